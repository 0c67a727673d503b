// api_arena.c - the memory of one request's message
#include "broker/api_private.h"

#include <stdlib.h>

#define ARENA_BLOCK_MIN ((size_t)2 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, room;
    max_align_t data[];
};

static void *
arena_alloc(void *arg, size_t size)
{
    struct arena *arena = arg;
    struct arena_block *block = arena->blocks;
    void *at;

    if (size > ARENA_BYTES_MAX)
        return NULL;
    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (!block || block->room - block->used < size) {
        size_t room = block ? block->room * 2 : ARENA_BLOCK_MIN;

        if (room < size || arena->total + room > ARENA_BYTES_MAX)
            room = size;
        if (arena->total + room > ARENA_BYTES_MAX)
            return NULL;
        block = malloc(sizeof(*block) + room);
        if (!block) {
            arena->is_exhausted = true;
            return NULL;
        }
        *block = (struct arena_block){.next = arena->blocks, .room = room};
        arena->blocks = block;
        arena->total += room;
    }
    at = (char *)block->data + block->used;
    block->used += size;
    return at;
}

static void
arena_ignore_free(void *arg, void *at)
{
    (void)arg, (void)at; // goes with the arena
}

struct arena *
api_arena_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (arena)
        arena->allocator = (ProtobufCAllocator){
            .alloc = arena_alloc,
            .free = arena_ignore_free,
            .allocator_data = arena,
        };
    return arena;
}

void
api_arena_free(struct arena *arena)
{
    struct arena_block *block, *next;

    if (!arena)
        return;
    for (block = arena->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    free(arena);
}
