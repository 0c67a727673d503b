// rate.h - --limit-rate: bytes a second, of all transfers of a fetcher together
//
// A bucket that fills with time, up to a quarter of a second's bytes. Whoever
// asks while there is something in it may take what he has, more than is there
// too: the next ones wait until that is made up for. They stand in one line, so
// transfers take turns. Pure: the caller brings the time.
#ifndef FETCHER_RATE_H
#define FETCHER_RATE_H
#include <stdbool.h>
#include <stdint.h>

// A transfer's part; embedded in it.
struct rate_claim {
    uint64_t paid; // bytes that were taken, and will come again
    bool waits;    // in line
    struct rate_claim *prev, *next;
};

struct rate {
    uint64_t bytes_a_second; // 0: no limit
    int64_t bucket;          // below 0: what has to be made up for
    uint64_t rest;           // thousandths of a byte that came beside it
    uint64_t filled_ms;
    struct rate_claim *line;
};

// bytes_a_second: at most 2^40.
void rate_init(struct rate *rate, uint64_t bytes_a_second, uint64_t now_ms);

// Takes bytes, or puts the claim in line and returns false.
bool rate_take(struct rate *rate, struct rate_claim *claim, uint64_t bytes,
               uint64_t now_ms);

// What was taken last could not be used: it comes again and is paid for.
void rate_keep(struct rate_claim *claim, uint64_t bytes);

// The next waiter that can go on, no longer in line, or NULL. It is expected to
// take at once.
struct rate_claim *rate_next(struct rate *rate, uint64_t now_ms);

// The transfer has ended; it waits no longer.
void rate_close(struct rate *rate, struct rate_claim *claim);

// When rate_next() is to be asked again; UINT64_MAX: nobody waits.
uint64_t rate_due_ms(const struct rate *rate);

#endif
