#include "fetcher/chunk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct chunk_pool {
    pthread_mutex_t lock;
    struct chunk *idle;
    size_t idle_len;
    size_t keep_max;
    size_t refs; // the owner's and one a chunk that is out
};

int
chunk_pool_new(size_t keep_max, struct chunk_pool **out_pool)
{
    struct chunk_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool);
        return -ENOMEM;
    }
    pool->keep_max = keep_max;
    pool->refs = 1;
    *out_pool = pool;
    return 0;
}

// Drops one reference; the lock is held and is given up here.
static void
unref_and_unlock(struct chunk_pool *pool)
{
    size_t refs = --pool->refs;

    pthread_mutex_unlock(&pool->lock);
    if (refs)
        return;
    // Nobody else can reach the pool any more.
    while (pool->idle) {
        struct chunk *chunk = pool->idle;

        pool->idle = chunk->next;
        free(chunk);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void
chunk_pool_free(struct chunk_pool **pool)
{
    if (!*pool)
        return;
    pthread_mutex_lock(&(*pool)->lock);
    (*pool)->keep_max = 0; // what is still out goes back to the system
    unref_and_unlock(*pool);
    *pool = NULL;
}

struct chunk *
chunk_new(struct chunk_pool *pool)
{
    struct chunk *chunk;

    pthread_mutex_lock(&pool->lock);
    chunk = pool->idle;
    if (chunk) {
        pool->idle = chunk->next;
        pool->idle_len--;
    } else {
        chunk = malloc(sizeof(*chunk));
    }
    if (chunk) {
        chunk->pool = pool;
        pool->refs++;
    }
    pthread_mutex_unlock(&pool->lock);
    return chunk;
}

void
chunk_free(struct chunk **chunk)
{
    struct chunk *gone = *chunk;
    struct chunk_pool *pool;

    if (!gone)
        return;
    *chunk = NULL;
    pool = gone->pool;
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_len < pool->keep_max) {
        gone->next = pool->idle;
        pool->idle = gone;
        pool->idle_len++;
    } else {
        free(gone);
    }
    unref_and_unlock(pool);
}

static void
free_from_zmq(void *data, void *hint)
{
    struct chunk *chunk = hint;

    (void)data; // the chunk's own bytes
    chunk_free(&chunk);
}

int
chunk_take_to_msg(struct chunk **chunk, size_t len, zmq_msg_t *out_msg)
{
    assert(len <= sizeof((*chunk)->bytes));
    if (zmq_msg_init_data(out_msg, (*chunk)->bytes, len, free_from_zmq,
                          *chunk) != 0)
        return -ENOMEM;
    *chunk = NULL; // the message's now
    return 0;
}
