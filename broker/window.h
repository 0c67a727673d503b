// window.h - how many body bytes each fetcher may have on their way
//
// --buffer-memory is divided among the fetchers. A window is what a fetcher may
// send before it gets CREDIT back; since all windows together stay within the
// budget, so do the bytes between fetchers and hashers, wherever they wait.
// Windows shrink by withholding credit and grow by giving more than came, until
// each is its fair share. Loop thread only.
#ifndef BROKER_WINDOW_H
#define BROKER_WINDOW_H
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct session;

// The window that one more fetcher would get, beside those that were promised
// to unproven ones: a promise takes nothing from the budget.
uint64_t window_promise(const struct broker *broker);

// Gives a fetcher its first window (session->granted, as promised); it goes
// back to the budget when the session ends. Returns false when there is no room
// for it any more.
bool window_open(struct broker *broker, const struct session *fetcher);

// The part of its window that one transfer may use.
uint64_t window_of_job(const struct session *fetcher);

// Bytes of the fetcher were consumed, or will never be: gathers CREDIT (job 0:
// for no single transfer).
void window_give(struct broker *broker, struct session *fetcher, uint64_t job,
                 uint32_t attempt, uint64_t bytes);

// Sends the gathered CREDIT when there is enough of it.
void window_flush(struct broker *broker, struct session *fetcher);

#endif
