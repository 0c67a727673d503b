// arena.h - memory for one unpacked reply, given back all at once
//
// A page of results is thousands of small objects that die together; this
// makes them a few large ones, reused from page to page.
#ifndef CLIENT_ARENA_H
#define CLIENT_ARENA_H
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct arena_block;

struct arena {
    ProtobufCAllocator allocator; // what protobuf-c's unpack gets
    struct arena_block *blocks;   // the one in use first
    size_t bytes;                 // of all blocks
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);

// Forgets everything that was allocated; keeps the memory.
void arena_reset(struct arena *arena);

#endif
