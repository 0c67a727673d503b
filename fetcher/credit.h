// credit.h - who may send how many body bytes, and who waits for more
//
// Two windows bound what may leave: the fetcher's and that of each transfer.
// Bytes are taken before they are accepted from libcurl, never more than both
// windows hold. Who asks in vain stands in line; credit that comes is offered
// from the front, so waiting transfers take turns. Pure; loop thread only.
//
// A waiter is woken only when credit_wake_bytes (or its whole need, if that is
// more) fit: waking for every few bytes would make many small messages. The
// wake-up size is at most a quarter of the fetcher's and half of a transfer's
// window, so it always comes: whatever has been sent is given back in the end.
#ifndef FETCHER_CREDIT_H
#define FETCHER_CREDIT_H
#include <stdbool.h>
#include <stdint.h>

enum credit_wait {
    CREDIT_RUNS,      // not waiting
    CREDIT_WAITS_OWN, // for its own window; not in line
    CREDIT_IN_LINE,   // for the fetcher's window, or for its turn
};

// A transfer's part; embedded in it.
struct credit_claim {
    uint64_t window;
    uint64_t need; // bytes asked for in vain
    enum credit_wait wait;
    struct credit_claim *prev, *next; // in line
};

struct credit {
    uint64_t window;
    uint64_t job_window; // of a new claim
    uint64_t wake, job_wake;
    struct credit_claim *line;
    const struct credit_claim *turn; // may take before those in line
};

// A session begins: full windows, nobody waits. Claims of old are void.
void credit_init(struct credit *credit, uint64_t window, uint64_t job_window);

// A transfer begins.
void credit_open(const struct credit *credit, struct credit_claim *claim);

// The transfer is over; it waits no longer.
void credit_close(struct credit *credit, struct credit_claim *claim);

// Takes bytes from both windows, or puts the claim in line and returns false.
// Zero bytes are always granted.
bool credit_take(struct credit *credit, struct credit_claim *claim,
                 uint64_t bytes);

// Taken bytes that were never sent return to the fetcher's window.
void credit_untake(struct credit *credit, uint64_t bytes);

// CREDIT came: for the fetcher, or for one transfer.
void credit_give(struct credit *credit, uint64_t bytes);
void credit_give_claim(struct credit *credit, struct credit_claim *claim,
                       uint64_t bytes);

// The next waiter that can go on, no longer in line: its next takes go before
// the line until credit_next() is called again. NULL: nobody can go on.
struct credit_claim *credit_next(struct credit *credit);

#endif
