// lane.h - one hashing thread: its own loop, session, algorithms and streams
//
// Lanes share nothing but the ZeroMQ context and what lane_config borrows, so
// the broker sees each as a worker of its own. All functions are for the
// supervising thread.
#ifndef HASHER_LANE_H
#define HASHER_LANE_H
#include <stdint.h>

struct curve;
struct lane;
struct lane_stats;

struct lane_config {
    void *zmq;
    const char *endpoint;          // resolved
    const char *name;              // of this lane, "host/pid/0"; copied
    const char *const *algorithms; // NULL-terminated; borrowed
    const struct curve *curve;     // borrowed
    uint64_t grace_ms;
    struct lane_stats *stats; // borrowed; the lane's thread writes it
    // Called on the lane's thread as its last act; failed: it could not start
    // or go on, and has said so in the log.
    void (*on_end)(void *arg, int failed);
    void *arg;
};

// Starts the thread. Returns 0 or a negative errno. The caller owns *out_lane.
int lane_start(const struct lane_config *config, struct lane **out_lane);

// The first call: take no new work, finish open streams within the grace, end.
// The second: end now.
void lane_stop(struct lane *lane);

// Waits for the thread's end, which must have been asked for or announced by
// on_end, and frees the lane.
void lane_join(struct lane **lane);

#endif
