#include "client/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES (256 * 1024)
// A page is at most some MiB; a reply that needs more than this is an attack.
#define ARENA_BYTES_MAX (64 * 1024 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

// Takes from the block in use, or from a new one.
static void *
allocate(void *arg, size_t size)
{
    struct arena *arena = arg;
    struct arena_block *block = arena->blocks;
    size_t step =
        (size + alignof(max_align_t) - 1) & ~(size_t)(alignof(max_align_t) - 1);
    size_t need = step > BLOCK_BYTES ? step : BLOCK_BYTES;
    void *at;

    if (size > ARENA_BYTES_MAX)
        return NULL;
    if (!block || block->size - block->used < step) {
        if (arena->bytes + need > ARENA_BYTES_MAX)
            return NULL;
        block = malloc(sizeof(*block) + need);
        if (!block)
            return NULL;
        block->used = 0;
        block->size = need;
        block->next = arena->blocks;
        arena->blocks = block;
        arena->bytes += need;
    }
    at = block->bytes + block->used;
    block->used += step;
    return at;
}

static void
release(void *arg, void *at)
{
    (void)arg; // everything goes at arena_reset()
    (void)at;
}

void
arena_init(struct arena *arena)
{
    *arena = (struct arena){
        .allocator = {allocate, release, arena},
    };
}

void
arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    while (block) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->bytes = 0;
}

void
arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    if (block && block->next) {
        // It took several: one that holds as much serves the next page.
        size_t bytes = arena->bytes;

        arena_fini(arena);
        block = malloc(sizeof(*block) + bytes);
        if (!block)
            return; // the next allocation tries again
        block->next = NULL;
        block->size = bytes;
        arena->blocks = block;
        arena->bytes = bytes;
    }
    if (block)
        block->used = 0;
}
