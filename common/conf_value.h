// conf_value.h - option values as users write them, for conf.c alone
//
// conf_parse_size() and its like are conf.h's.
#ifndef COMMON_CONF_VALUE_H
#define COMMON_CONF_VALUE_H
#include "common/conf.h"

// Bytes of a number as text, its end included.
#define CONF_VALUE_MAX 64

// A whole number, perhaps negative; no blanks, no plus. Returns 0 or -EINVAL.
int conf_parse_int(const char *text, int64_t *out_value);

// 1/0/true/false/yes/no, capitals as well. Returns 0 or -EINVAL.
int conf_parse_bool(const char *text, bool *out_value);

// Writes a number of an INT, SIZE, SECONDS, DAYS or RATE row as a user would,
// and returns text.
const char *conf_print_number(enum conf_type type, int64_t value,
                              char text[CONF_VALUE_MAX]);

#endif
