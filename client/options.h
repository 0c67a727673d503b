// options.h - option rows that several subcommands share, and what they mean
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H
#include "client/format.h"
#include "common/conf.h"
#include "common/curve.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- How to reach a broker: --broker, --connect-wait, --broker-wait ---
struct connection_options {
    const char *broker; // NULL: none named
    int64_t connect_wait_ms;
    int64_t broker_wait_ms;
    struct curve_options keys; // filled by curve_options, a table of its own
};
extern const struct conf_option connection_options[];
// What subcommands use that make no sense without a broker.
#define OPTIONS_BROKER_DEFAULT "tcp://127.0.0.1"

// --- Where results go: --format, --output, --ordered, --zero, --quiet,
// --no-progress ---
struct output_options {
    const char *format;
    const char *output;
    bool is_ordered;
    bool is_zero_ended;
    bool is_quiet;
    bool has_no_progress;
};
extern const struct conf_option output_options[];

// --- What is asked for: --input, --algorithms ---
struct list_options {
    struct conf_list input;
    const char *algorithms;
};
extern const struct conf_option list_options[];

// --- How a batch's URLs are fetched: what travels in BatchOptions ---
struct batch_options {
    int64_t retry;
    bool retry_all_errors;
    bool want_digest;
    int64_t weight;
};
extern const struct conf_option batch_options[];

// Those of which a fetcher has its own setting too; `get` takes them from
// fetcher_transfer_options, which has the same names.
struct transfer_options {
    int64_t max_redirs;
    int64_t connect_timeout_ms;
    int64_t speed_limit;
    int64_t speed_time_ms;
    int64_t max_time_ms;
    int64_t max_filesize;
    bool no_resume;
    const char *cacert;
    const char *user_agent;
};
extern const struct conf_option transfer_options[];

// Which rows the user set, by name; conf_program.on_given fills it by
// options_note_given().
struct given {
    const char *names[96]; // the rows'
    bool by_flag[96];
    size_t len;
};
void options_note_given(struct given *given, const struct conf_option *row,
                        bool by_flag);
bool options_is_given(const struct given *given, const char *name);

// In a function with given and out_options (a BatchOptions): a row of the table
// of flags that travel. Each field is a oneof of its own, whose case is the
// field's number.
#define SET_IF_GIVEN(flag, number, oneof, field, value)                        \
    if (options_is_given(given, flag)) {                                       \
        out_options->oneof##_case = (number);                                  \
        out_options->field = (value);                                          \
    }

// Fills *out_options with what the user gave.
void options_to_batch(const struct given *given,
                      const struct batch_options *batch,
                      const struct transfer_options *transfer,
                      Urlsum__V1__BatchOptions *out_options);

// Reads a list of algorithms ("sha512,SHA-256") into format->algorithms, in
// OpenSSL's usual short names, lower case. Returns NULL, or a sentence that
// says what is wrong (unknown, twice, too many), static or in *why.
const char *options_parse_algorithms(const char *list, struct format *format,
                                     char *why, size_t why_size);

// Fills kind and is_zero_ended.
void options_parse_format(const struct output_options *options,
                          struct format *format);

// True for 1 to 64 of [A-Za-z0-9._-].
bool options_is_batch_id(const char *text);

#endif
