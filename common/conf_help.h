// conf_help.h - what --help prints, for conf.c alone
#ifndef COMMON_CONF_HELP_H
#define COMMON_CONF_HELP_H
#include <stdio.h>

struct conf_program;

// Prints the usage, the program's doc around a list of all its options, in the
// rows' order; lines are shorter than 80 columns where words are.
void conf_print_help(const struct conf_program *program, FILE *out);

#endif
