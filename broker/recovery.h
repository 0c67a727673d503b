// recovery.h - unfinished batches come back into memory after a start
//
// Page by page, so that memory does not depend on how many there are. What has
// no room (BATCHES_MAX) waits in the store until others are finished. Loop
// thread only.
#ifndef BROKER_RECOVERY_H
#define BROKER_RECOVERY_H
#include "broker/store.h"

struct broker;

// Called once: err 0 when all that has room is in memory.
typedef void recovery_fn(void *arg, int err);

struct recovery {
    struct store_batches page;
    bool is_out;    // page is in the store
    bool is_stale;  // and was asked for too early: all is read again
    bool is_over;   // fn was called
    bool has_more;  // batches that are not in memory may be in the store
    uint64_t after; // number of the last one read
    uint64_t at_ms; // when the next page may be read
    recovery_fn *fn;
    void *arg;
};

// Starts reading; fn is called from a later turn of the loop.
void recovery_start(struct broker *broker, recovery_fn *fn, void *arg);

// A batch has become unfinished for which there is no room: all are looked at
// again.
void recovery_again(struct broker *broker);

// Reads on when there is room. Once a turn.
void recovery_run(struct broker *broker);

#endif
