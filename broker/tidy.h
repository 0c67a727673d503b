// tidy.h - removing old and unwanted batches while nobody waits
//
// Removing a batch of ten million URLs takes a while: the store does it in
// steps of some milliseconds, which this hands out when the store has little
// else to do. Loop thread only.
#ifndef BROKER_TIDY_H
#define BROKER_TIDY_H
#include "broker/store.h"

struct broker;

// How often the store is asked whether there is something to do.
#define TIDY_EVERY_MS 60000
// More operations than that in the store: it is busy, a step has to wait ...
#define TIDY_WAITING_MAX 64
// ... but no longer than this, or a broker that is always busy never tidies.
#define TIDY_LATEST_MS 1000

struct tidy {
    struct store_tidy step;
    bool is_out;    // step is in the store
    uint64_t at_ms; // when the next step may begin
};

// Pushes the next step when it is due. Once a turn.
void tidy_run(struct broker *broker);

#endif
