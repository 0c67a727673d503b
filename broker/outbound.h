// outbound.h - large replies while they are in libzmq's hands
//
// A reply is handed to libzmq without a copy, and counted until libzmq has no
// more use for it: it went out to the kernel, or its client is gone. So the
// broker knows what waits for clients that do not read. Loop thread, but for
// the counting down, which libzmq's own thread does; that may be after all else
// here is gone.
#ifndef BROKER_OUTBOUND_H
#define BROKER_OUTBOUND_H
#include <stddef.h>
#include <zmq.h>

struct loop;
struct outbound; // all of them
struct unread;   // one client's

// fn runs on the loop after a reply went out. Returns 0 or a negative errno.
int outbound_new(struct loop *loop, void (*fn)(void *arg), void *arg,
                 struct outbound **out_outbound);
// fn does not run any more. NULL is fine.
void outbound_free(struct outbound **outbound);

// Returns NULL without memory. It must be given back before outbound_free().
struct unread *unread_new(struct outbound *outbound);
void unread_unref(struct unread **unread);

// Makes a frame of data (from malloc), which it takes, also on failure. Returns
// 0 or -ENOMEM.
int outbound_wrap(struct outbound *outbound, struct unread *unread,
                  unsigned char *data, size_t len, zmq_msg_t *out_frame);

// Bytes that have not gone out: one client's, all clients'.
size_t unread_bytes(const struct unread *unread);
size_t outbound_bytes(struct outbound *outbound);

#endif
