// downloads.h - the jobs in hand, each from its lease to its outcome
//
// A job gets a transfer, an idle one if there is any. What the transfers may
// take of both windows and of --limit-rate is decided here, and here they stand
// in line for it. Loop thread only.
#ifndef FETCHER_DOWNLOADS_H
#define FETCHER_DOWNLOADS_H
#include "proto/wire.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>

struct multi_gate;
struct downloads;
struct fetch_stats;
struct loop;
struct outbox;
struct profiles;
struct transfer_env;

// All that is pointed to outlives the downloads.
struct downloads_config {
    size_t jobs_max;     // in hand at once
    uint64_t limit_rate; // bytes a second; 0: no limit
    struct loop *loop;
    struct transfer_env *env; // downloads_new() sets its callbacks
    struct profiles *profiles;
    struct outbox *outbox;
    struct fetch_stats *stats;
    // An outcome could not be written: err is a negative errno. The session
    // cannot go on.
    void (*on_error)(void *arg, int err);
    void *arg;
};

// Returns 0 or a negative errno. The caller owns *out_downloads. No transfer is
// made before the first job.
int downloads_new(const struct downloads_config *config,
                  struct downloads **out_downloads);
// Drops what is in hand. Before the multis and the outbox are freed.
void downloads_free(struct downloads **downloads);

// A session begins: full windows. None may be in hand.
void downloads_begin(struct downloads *downloads, uint64_t window,
                     uint64_t job_window);
// It is over: all are dropped, and what was to be sent of them.
void downloads_drop_all(struct downloads *downloads);

// In hand now.
size_t downloads_len(const struct downloads *downloads);

// JOBS brought one. One that cannot be started is answered with its failure.
void downloads_add(struct downloads *downloads, const struct wire_job *job,
                   const struct wire_request *request);
// ABORT names one; it may be unknown.
void downloads_abort(struct downloads *downloads,
                     const struct wire_aborted *item);
// CREDIT came: bytes for all, and those of items, each for one.
void downloads_credit(struct downloads *downloads, uint64_t bytes,
                      const struct wire_credit *items, size_t len);

// Of a multi that transfers run on, whose arg is the downloads: a
// multi_done_fn.
void downloads_on_done(void *arg, struct multi_gate *gate, CURLcode code);

// Once a turn: lets those go on that waited for credit, while there is some.
void downloads_run_credit(struct downloads *downloads);
// Once a turn: lets those go on that waited for --limit-rate.
void downloads_run_rate(struct downloads *downloads);

// Lists those that are vouched for (vouch.h), or those that wait for their
// host's addresses and of which nothing has come. Returns how many; *out_items
// is lent until the next call of either.
size_t downloads_list_vouched(struct downloads *downloads,
                              const struct wire_vouched **out_items);
size_t downloads_list_unbegun(struct downloads *downloads,
                              const struct wire_vouched **out_items);

#endif
