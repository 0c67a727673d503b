// hash_stats.h - what /metrics, /livez and /readyz tell of a hasher
//
// Each lane counts in a struct of its own; the supervisor's loop reads them all
// and answers.
#ifndef HASHER_HASH_STATS_H
#define HASHER_HASH_STATS_H
#include "common/metrics.h"
#include "proto/link_stats.h"

#include <stdalign.h>
#include <stdbool.h>

struct http;
struct loop;

// A lane whose loop has not turned for so long hangs. A turn is some hundred
// messages at most, below a second; a machine may be starved, though.
#define HASH_STATS_HUNG_MS 30000

// Of one lane, written by its thread alone. All zeros is its beginning.
struct lane_stats {
    alignas(METRICS_ALIGNED) struct link_stats link;
    struct metrics_value turned_ms; // the last turn of its loop; 0: it has none
    struct metrics_value streams;   // open now
    struct metrics_value messages, bytes, bodies, aborts;
    // From the first message of those that are digested together to the last
    // digest; the rest of its time a lane waits.
    struct metrics_histogram batch_time;
    struct metrics_histogram body_size;
};

struct hash_stats {
    struct lane_stats *lanes;
    size_t lanes_len;
    bool is_draining;
};

// Makes room for the lanes' counts. Returns 0 or -ENOMEM.
int hash_stats_init(struct hash_stats *stats, size_t lanes_len);
void hash_stats_fini(struct hash_stats *stats);

// False, with the reason in why (HTTP_WHY_MAX bytes), when a lane hangs: it has
// not turned for silence_ms. One that has not begun, or has ended, does not.
bool hash_stats_is_live(const struct hash_stats *stats, uint64_t now_ms,
                        uint64_t silence_ms, char *why);

// Serves them at the address (--http). Returns 0 or a negative errno, which was
// logged. The caller owns *out_http and frees it before stats.
int hash_stats_serve(struct hash_stats *stats, struct loop *loop,
                     const char *address, struct http **out_http);

#endif
