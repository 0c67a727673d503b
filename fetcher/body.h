// body.h - the bytes of one transfer on their way into the outbox
//
// A body is collected while it is small; one that grows beyond
// OUTBOX_WHOLE_MAX streams: its bytes leave whenever a chunk is full, at the
// end of each turn, and when many others have bytes waiting. The bytes that
// will leave are to be covered by credit before they are accepted: body_need()
// says how many. Loop thread only.
#ifndef FETCHER_BODY_H
#define FETCHER_BODY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct body;
struct chunk;
struct chunk_pool;
struct outbox;
struct wire_fetched;

// Shared by the bodies of one fetcher.
struct body_sink {
    struct outbox *outbox;
    struct chunk_pool *pool;
    size_t collected;    // bytes allocated for small bodies
    struct body *unsent; // bodies with bytes in a chunk, longest first
    size_t unsent_len;
};

// Embedded in a transfer.
struct body {
    struct body_sink *sink;
    uint64_t job;
    uint32_t attempt;
    bool is_stream;
    bool has_left; // some of it was handed to the outbox
    uint64_t size; // bytes accepted
    uint64_t sent; // bytes handed to the outbox
    // Collected, not a stream (yet).
    void *small;
    size_t small_room;
    // A stream's bytes not handed over yet: size - sent of them.
    struct chunk *chunk;
    bool is_unsent; // in the sink's list
    struct body *prev, *next;
};

void body_init(struct body *body, struct body_sink *sink, uint64_t job,
               uint32_t attempt);

// Credit to take before body_write() of len more bytes: 0 while the body stays
// small. expected: Content-Length or UINT64_MAX.
uint64_t body_need(const struct body *body, size_t len, uint64_t expected);

// Accepts bytes, all of them. Returns 0 or a negative errno.
int body_write(struct body *body, const void *data, size_t len,
               uint64_t expected);

// The body begins anew: nothing of it counts any more. Returns 0 or a negative
// errno; *out_unsent is the credit that bytes had taken which never left.
int body_restart(struct body *body, uint64_t *out_unsent);

// Credit to take before body_end(): a small body's size, 0 for a stream, which
// has paid already.
uint64_t body_end_need(const struct body *body);

// The body is complete: hands the outcome and what is left to the outbox.
// Returns 0 or a negative errno.
int body_end(struct body *body, const struct wire_fetched *outcome);

// Drops what was not sent. Returns how much credit that had taken. Always
// called at the end; more than once is fine.
uint64_t body_drop(struct body *body);

// End of the turn: what streams hold goes to the outbox. Returns 0 or a
// negative errno.
int body_flush_streams(struct body_sink *sink);

#endif
