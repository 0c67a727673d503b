// pull.h - results of a batch, page by page, from the broker to the output
//
// One page is asked for at a time; the next request leaves before the page that
// came is formatted. No record outlives its page.
#ifndef CLIENT_PULL_H
#define CLIENT_PULL_H
#include <stdbool.h>
#include <stdint.h>

struct remote;
struct format;
struct output;
struct watch;

// What a batch's row says, as of the last reply that had one.
struct pull_counts {
    uint64_t done, failed, cancelled, bytes, submitted;
    bool is_closed, is_finished;
};

struct pull_config {
    const char *batch;           // borrowed
    const struct format *format; // borrowed
    struct output *output;       // borrowed
    struct watch *watch;         // borrowed; sees each page's batch. NULL: none
    bool by_seq;
    bool is_quiet;    // no line on stderr for a failed URL
    bool follows;     // waits for what is not there yet, up to the end
    uint32_t wait_ms; // longest wait of the broker for a page
};

struct pull {
    struct remote *remote;
    struct pull_config config;
    uint64_t cursor;
    uint64_t number;    // the broker's of the batch, for job=
    bool is_ended;      // the last record was written (follows: of the batch)
    uint64_t written;   // records
    uint64_t failed;    // of these: neither ok nor cancelled
    uint64_t differing; // ok, but not what their servers declare
    uint64_t cancelled;
    struct pull_counts counts;
    int err; // 0, -EREMOTE (pull_error()), -ENOMEM, or a write's errno
    bool is_write_error;
    char why[1100];
};

void pull_init(struct pull *pull, struct remote *remote,
               const struct pull_config *config);

// Asks for the first page; the rest follows from within remote_wait(). Look at
// err and is_ended after each remote_wait().
void pull_start(struct pull *pull);

#endif
