// frames.h - whole ZeroMQ messages in and out, a few frames each
//
// Also the one place that tells ThreadSanitizer what libzmq, built without it,
// cannot: that a frame sent happens before the same frame received.
#ifndef COMMON_FRAMES_H
#define COMMON_FRAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

// Frames of one message that anyone of ours sends: address, delimiter, head,
// body.
#define FRAMES_MAX 4

struct frames {
    zmq_msg_t parts[FRAMES_MAX];
    size_t len;
    size_t count; // of frames that came, also of those that were thrown away
    // What came over the connection, all frames with their framing (rather too
    // much than too little of it), those that were thrown away as well.
    size_t bytes;
};

// Receives one whole message without waiting. The caller closes it with
// frames_close(). Returns 0, -EAGAIN (none), -EMSGSIZE (more than FRAMES_MAX
// frames: received and thrown away; what fits, the address among it, stays in
// *out_frames for an answer) or another negative errno.
int frames_recv(void *socket, struct frames *out_frames);

// Closes all parts; closing twice is fine.
void frames_close(struct frames *frames);

// Sends data (copied) as one frame, more to follow or not, without waiting.
// Returns 0, -EAGAIN (no room, no connection), -EHOSTUNREACH (ROUTER: no such
// peer) or another negative errno.
int frames_send_copy(void *socket, const void *data, size_t len, bool is_more);

// Sends the frame without copying; on success *part is an empty message, on
// failure it is unchanged and the caller's.
int frames_send_take(void *socket, zmq_msg_t *part, bool is_more);

// How many sends this thread has tried so far: whoever watches a socket's
// descriptor must ask again after one (see loop.c).
uint64_t frames_sends(void);

#endif
