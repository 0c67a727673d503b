// conf.h - the option table: one row an option, everything else follows
//
// Flags, environment (URLSUM_<NAME>, '-' and '.' as '_'), --help, --version and
// --print-config all come from the rows; -h and -V are taken. Precedence: flag
// > environment > initial value; an empty variable is as good as none. Unknown
// flags, values out of range and unreadable numbers stop the program with exit
// code 2 and the row's sentence. Built on argp.
#ifndef COMMON_CONF_H
#define COMMON_CONF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    CONF_BOOL,    // bool: present or not; environment: 1/0/true/false/yes/no
    CONF_STRING,  // const char *: borrowed from argv, environ or the row
    CONF_CHOICE,  // const char *: one of the words of arg ("csv|json")
    CONF_LIST,    // struct conf_list: every occurrence, in order; environment:
                  // separated by newlines
    CONF_SECRET,  // as STRING, and --print-config does not show it
    CONF_SECRETS, // as LIST, likewise
    CONF_INT,     // int64_t: lowest..highest
    CONF_SIZE,    // int64_t bytes: 10, 64K, 2M, 1G (1024-based, as curl's)
    CONF_SECONDS, // int64_t milliseconds from seconds, decimals allowed ("2.5")
    CONF_DAYS,    // int64_t milliseconds from days, decimals allowed
    CONF_RATE,    // int64_t thousandths an hour: 2/s, 30/m, 0.5/h; 0: no limit
};

struct conf_list {
    const char **items; // owned by the table's caller until conf_fini()
    size_t len;
};

struct conf_option {
    const char *name; // long flag without dashes; NULL ends the table
    int short_flag;   // 'a', or 0
    enum conf_type type;
    size_t offset;       // of the variable in the config struct
    const char *initial; // as text; NULL: NULL, false, 0 or empty
    int64_t lowest;      // of INT, SIZE (bytes), SECONDS (ms)
    int64_t highest;
    // What --help calls the value. Shells complete by it: FILE, DIR, ENDPOINT,
    // words with '|' between, "WORD,..." for several with commas between.
    const char *arg;
    const char *help; // one sentence
};

// What every program has besides: --print-config, --version, --help;
// NULL-ended.
extern const struct conf_option conf_own_options[];

// A program's options may come from several tables (a role's rows, shared
// rows), each for its own part of the config struct.
struct conf_table {
    const struct conf_option *rows; // NULL ends the list of tables
    size_t base;                    // added to the rows' offsets
};

struct conf_program {
    const char *name;  // "urlsum-broker"
    const char *usage; // what follows the options: "[URL...]", or NULL
    const char *doc;   // what --help says first; may hold \v and an epilogue
    const struct conf_table *tables;
    bool takes_arguments; // else positional arguments are a usage error
    // Called for each row that the user set, by flag or by environment, before
    // conf_parse() returns; may be NULL.
    void (*on_given)(void *config, const struct conf_option *row, bool by_flag);
};

// Fills *config (which the offsets speak of) and returns the index of the first
// positional argument in *out_first (argv is permuted so that they come last).
// Handles --help, --version (exits 0) and --print-config (prints name=value
// lines with their source, exits 0). On a usage error prints one line that says
// what to do and exits 2: main.c has nothing to clean up yet.
void conf_parse(const struct conf_program *program, int argc, char **argv,
                void *config, int *out_first);

// Frees what lists own.
void conf_fini(const struct conf_program *program, void *config);

// True for one that may be given again, each time with one more item.
bool conf_is_list(const struct conf_option *row);

// Writes a row's environment variable and returns name: "URLSUM_LOG_LEVEL" of
// log-level.
#define CONF_ENV_NAME_MAX 80
const char *conf_env_name(const struct conf_option *row,
                          char name[CONF_ENV_NAME_MAX]);

// The highest rate: a million a second.
#define CONF_RATE_MAX (INT64_C(1000000) * 3600 * 1000)

// Parses a rate as rows do; a unit is required, but for 0. Returns 0 or
// -EINVAL.
int conf_parse_rate(const char *text, int64_t *out_rate);

// Parses a size, a number of seconds or of days as rows do. Returns 0 or
// -EINVAL.
int conf_parse_size(const char *text, int64_t *out_bytes);
int conf_parse_seconds(const char *text, int64_t *out_ms);
int conf_parse_days(const char *text, int64_t *out_ms);

#endif
