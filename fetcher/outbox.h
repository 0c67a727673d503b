// outbox.h - packs what goes to the broker: outcomes and body bytes
//
// Whole small bodies are collected and share messages; a large body's bytes
// leave in messages of their own. Outcomes are collected too, and always leave
// before a message that holds a LAST segment: the broker knows how a transfer
// ended before anyone can digest its end. Credit is the caller's business. Pure
// but for the send function it is given; loop thread only.
#ifndef FETCHER_OUTBOX_H
#define FETCHER_OUTBOX_H
#include "proto/wire.h"

#include <zmq.h>

struct chunk;
struct outbox;

// Small: what outbox_take_whole() accepts. Such a body is kept to its end.
#define OUTBOX_WHOLE_MAX (128 * 1024)

// Sends one message; takes body (may be NULL) also when it cannot send. Returns
// 0 or a negative errno, -ENOTCONN (no session, the message is lost with it)
// being none of our concern.
typedef int outbox_send_fn(void *arg, const struct wire_buf *buf,
                           zmq_msg_t *body);

// Returns 0 or -ENOMEM. The caller owns *out_outbox.
int outbox_new(outbox_send_fn *send, void *arg, struct outbox **out_outbox);
void outbox_free(struct outbox **outbox);

// Forgets everything not sent: the session it was for is gone.
void outbox_reset(struct outbox *outbox);

// Adds the outcome of a transfer; everything it borrows is copied. A success is
// followed by outbox_take_whole(), or by outbox_take_chunk() with is_last. All
// adding functions may send what was added before. They return 0, -ENOMEM or
// what send returned.
int outbox_add_fetched(struct outbox *outbox, const struct wire_fetched *item);

// Adds algorithms that an attempt's body is to be digested with as well: before
// anything of the body. Their names are static.
int outbox_add_suite(struct outbox *outbox, const struct wire_suite *item);

// Adds that a connection to the host of an attempt's URL was made.
int outbox_add_connected(struct outbox *outbox, uint64_t job, uint32_t attempt);

// Adds a whole body of at most OUTBOX_WHOLE_MAX bytes and takes data, which was
// made by malloc() (NULL for an empty body).
int outbox_take_whole(struct outbox *outbox, uint64_t job, uint32_t attempt,
                      void **data, size_t len);

// Sends len bytes of a larger body and takes the chunk, unless they are so few
// that copying them is cheaper: then *chunk stays, to be filled anew. With
// is_last, len may be 0 and *chunk NULL.
int outbox_take_chunk(struct outbox *outbox, const struct wire_segment *segment,
                      struct chunk **chunk);

// Sends all that was added.
int outbox_flush(struct outbox *outbox);

#endif
