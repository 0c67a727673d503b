// stats.h - what the broker counts, and what /metrics and /readyz tell of it
//
// The modules count where things happen, in broker->stats; what can be seen in
// their own state is read when somebody asks. Loop thread only. docs/metrics.md
// says what each family means.
#ifndef BROKER_STATS_H
#define BROKER_STATS_H
#include "broker/life.h"
#include "common/metrics.h"

struct http;

// How long the store may take over one group of operations before the broker is
// not ready: a disk that hangs refuses nothing.
#define STATS_STORE_HUNG_MS 15000

enum session_ending {
    SESSION_LEFT,    // said BYE, had done its work, or began anew
    SESSION_LOST,    // silent, or its connection broke
    SESSION_REFUSED, // broke the protocol, or took nothing
    SESSION_ENDINGS
};

// All zeros is its beginning. Roles are WIRE_FETCHER and WIRE_HASHER.
struct stats {
    struct metrics_value jobs[JOB_STATE_COUNT]; // now; NONE is not counted
    struct metrics_value events[EV_COUNT];
    struct metrics_value retries[FAIL_COUNT]; // by why
    struct metrics_value records[FAIL_COUNT]; // committed, by outcome
    struct metrics_value submitted;           // URLs, committed
    struct metrics_value leases_over;         // taken back for silence
    struct metrics_value body_messages, body_bytes, digested_bytes;
    // From a body's last byte at a hasher until its digests came.
    struct metrics_histogram digest_wait;
    struct metrics_value sessions_begun[WIRE_HASHER + 1];
    struct metrics_value sessions_ended[WIRE_HASHER + 1][SESSION_ENDINGS];
    struct metrics_value hellos_refused[WIRE_HASHER + 1];
    struct metrics_value bad_frames[WIRE_HASHER + 1];
    struct metrics_value requests, requests_refused;
    struct metrics_value store_refusals;
};

// Serves them at the address (--http). Returns 0 or a negative errno, which was
// logged. The caller owns *out_http and frees it before the broker.
int stats_serve(struct broker *broker, const char *address,
                struct http **out_http);

#endif
