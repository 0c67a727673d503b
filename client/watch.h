// watch.h - what is in a batch's way, said once
//
// Commands that wait for a batch show its row to this, which tells a person on
// stderr why nothing moves: no fetcher, no hasher (after two seconds of it), a
// broker that cannot store (at once), a batch that nobody closed. It ends the
// command when the store's trouble outlasts --broker-wait. One thread.
#ifndef CLIENT_WATCH_H
#define CLIENT_WATCH_H
#include <stdbool.h>
#include <stdint.h>
#include <urlsum.pb-c.h>

struct session;

// How long a broker may wait before it answers a question about a batch: so
// often news of what is in the way comes.
#define WATCH_WAIT_MS 2000

struct watch {
    struct session *session; // borrowed
    const char *batch;       // borrowed
    bool is_ours; // this process submits it: that it is open is known
    uint64_t done;
    uint64_t moved_ms; // when done changed last
    uint64_t open_ms;  // since when all is done but the batch is open; 0: not
    char hindrance[200];
    uint64_t hindered_ms; // when it was first seen
    bool is_said, is_open_said;
    uint64_t refused_ms; // since when the store refuses; 0: it works
};

void watch_init(struct watch *watch, struct session *session, const char *batch,
                bool is_ours, uint64_t now_ms);

// Notes a row and says what is due.
void watch_note(struct watch *watch, const Urlsum__V1__Batch *batch,
                uint64_t now_ms);

// 0, or the exit code, having said why, when waiting has become pointless.
int watch_check(const struct watch *watch, uint64_t now_ms)
    __attribute__((warn_unused_result));

#endif
