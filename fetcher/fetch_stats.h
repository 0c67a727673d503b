// fetch_stats.h - what a fetcher counts, and what /metrics and /readyz tell
//
// Loop thread only. docs/metrics.md says what each family means.
#ifndef FETCHER_FETCH_STATS_H
#define FETCHER_FETCH_STATS_H
#include "fetcher/resolver.h"
#include "proto/fail.h"
#include "proto/link_stats.h"

#include <stdbool.h>
#include <stddef.h>

struct http;
struct loop;
struct wire_fetched;

// All zeros is its beginning, but for slots.
struct fetch_stats {
    struct link_stats link;
    struct resolver_stats names;
    bool is_draining;
    // As of now; the owner keeps them.
    size_t slots; // --parallel-max
    struct metrics_value in_hand;
    // Since the start.
    struct metrics_value outcomes[FAIL_COUNT]; // of transfers
    struct metrics_value classes[6];           // answers by status / 100
    struct metrics_value dropped;              // ended without an outcome
    struct metrics_value bytes;                // of bodies, as they come
    struct metrics_value connects, redirects, credit_waits;
    struct metrics_histogram fetch_time, first_byte_time, body_size;
};

// Counts how a transfer ended.
void fetch_stats_count(struct fetch_stats *stats,
                       const struct wire_fetched *fetched);

// Serves them at the address (--http). Returns 0 or a negative errno, which was
// logged. The caller owns *out_http and frees it before stats.
int fetch_stats_serve(struct fetch_stats *stats, struct loop *loop,
                      const char *address, struct http **out_http);

#endif
