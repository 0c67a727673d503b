// manual.h - manual pages and completions, made from the option tables
//
// A program for the build alone: `generate OUT_DIR FRAGMENTS_DIR DATE`. What a
// row says is said nowhere else, so nothing here can differ from --help.
#ifndef MANUAL_MANUAL_H
#define MANUAL_MANUAL_H
#include "common/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// A page: of a program, or of a subcommand of urlsum.
struct page {
    char name[64];       // "urlsum-get"
    const char *command; // "get"; NULL for a program's own page
    const char *summary; // NULL: the fragment has it
    // Whose options these are: of page urlsum those of get, its default.
    const struct conf_program *program;
};

#define PAGES_MAX 64
struct manual {
    struct page pages[PAGES_MAX];
    size_t pages_len;
    const char *out_dir;
    const char *fragments_dir;
    const char *date; // of the version: 2026-11-24
};

// True for the pages of urlsum and of its subcommands.
bool page_is_client(const struct page *page);

// The folder for what belongs to the page's program: "urlsum-broker".
const char *page_package(const struct page *page);

// Calls fn for each row of the program, its own three at the end.
void page_each_row(const struct page *page,
                   void (*fn)(const struct conf_option *row, void *arg),
                   void *arg);

// --- What the shell offers for a value ---

enum value_kind {
    VALUE_ABSENT, // the option takes none
    VALUE_ANY,    // nothing that could be known
    VALUE_FILE,
    VALUE_DIR,
    VALUE_WORDS,  // one of them
    VALUE_LIST,   // several of them, with commas between
    VALUE_STARTS, // they begin a value: "tcp://"
    VALUE_BATCH,  // the id of a batch that the broker has
};

// Bytes of all words of a value, with a blank between.
#define VALUE_WORDS_MAX 4096

struct value {
    enum value_kind kind;
    char words[VALUE_WORDS_MAX];
};

// Of an option.
void value_of_row(const struct conf_option *row, struct value *out_value);

// Of arguments: "[URL...]", NULL for none.
void value_of_usage(const char *usage, struct value *out_value);

// The words "bash", "zsh", "fish" call the kind in their tables.
const char *value_kind_name(enum value_kind kind);

// --- Writers: each writes to a file of its own and prints what went wrong ---

// The first clause of a row's help, fit for one line beside the flag.
void text_brief(const char *help, char *out_text, size_t size);

// Makes DIR/a/b/c with the folders it needs; exits when it cannot.
FILE *file_make(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void file_close(FILE *file);
// The whole of a file, to be freed; NULL when there is none.
char *file_read(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// Copies fragment `name` to out, with every @PROGRAM@ and @FUNCTION@ replaced.
void file_copy_template(const struct manual *manual, const char *name,
                        const struct page *program, FILE *out);

void roff_write(const struct manual *manual, const struct page *page);
void bash_write(const struct manual *manual, const struct page *program);
void zsh_write(const struct manual *manual, const struct page *program);
void fish_write(const struct manual *manual, const struct page *program);

#endif
