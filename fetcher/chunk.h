// chunk.h - buffers of the largest body frame, recycled when ZeroMQ is done
//
// A chunk filled on the loop's thread travels as a ZeroMQ message without a
// copy and comes back from whichever thread lets go of the last byte, in the
// embedded run perhaps after the fetcher has ended. So a pool lives until its
// owner and every chunk have let it go.
#ifndef FETCHER_CHUNK_H
#define FETCHER_CHUNK_H
#include "common/limits.h"

#include <stddef.h>
#include <zmq.h>

struct chunk_pool;

struct chunk {
    struct chunk_pool *pool; // private
    struct chunk *next;      // private
    unsigned char bytes[WIRE_BODY_BYTES_MAX];
};

// Keeps at most keep_max chunks for reuse; more go back to the system. Returns
// 0 or -ENOMEM. The caller owns *out_pool.
int chunk_pool_new(size_t keep_max, struct chunk_pool **out_pool);

// The owner's letting go. *pool becomes NULL.
void chunk_pool_free(struct chunk_pool **pool);

// Returns NULL when there is no memory. Any thread.
struct chunk *chunk_new(struct chunk_pool *pool);

// Gives the chunk back. *chunk becomes NULL; NULL is fine. Any thread.
void chunk_free(struct chunk **chunk);

// Makes an uninitialised message of the chunk's first len bytes and takes the
// chunk. Returns 0 or -ENOMEM (nothing taken).
int chunk_take_to_msg(struct chunk **chunk, size_t len, zmq_msg_t *out_msg);

#endif
