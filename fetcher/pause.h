// pause.h - tells the broker that jobs would only wait here
//
// While no DNS server answers, a fetcher says PAUSE, with the jobs that wait
// for their host's addresses: the broker may give them to another fetcher,
// whose servers answer. See proto/worker.md. Loop thread only.
#ifndef FETCHER_PAUSE_H
#define FETCHER_PAUSE_H
#include <stdbool.h>
#include <stdint.h>

struct downloads;
struct worker_link;

// Milliseconds between two words about the same pause: for a fetcher that came
// in between, and for jobs that did.
#define PAUSE_AGAIN_MS 2000

// Embedded; zeroed is "nothing said".
struct pause {
    bool is_on;      // the broker was told that it pauses
    uint64_t due_ms; // when it is told again
};

// A session begins: the broker knows nothing.
void pause_reset(struct pause *pause);

// Once a turn: says what is due.
void pause_turn(struct pause *pause, bool is_out, struct worker_link *link,
                struct downloads *downloads, uint64_t now_ms);

#endif
