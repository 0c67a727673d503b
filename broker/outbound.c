#include "broker/outbound.h"

#include "common/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct outbound {
    pthread_mutex_t lock;
    size_t bytes;
    size_t refs;            // the owner, clients' counts, replies
    struct loop_wake *wake; // NULL: the owner is gone
};

// refs and bytes are under the outbound's lock.
struct unread {
    struct outbound *outbound;
    size_t refs; // the client, replies
    size_t bytes;
};

// One reply.
struct parcel {
    struct unread *unread;
    size_t bytes;
};

// Unlocks, and frees what nobody refers to any more.
static void
unlock(struct outbound *outbound)
{
    size_t refs = outbound->refs;

    (void)pthread_mutex_unlock(&outbound->lock);
    if (refs)
        return;
    (void)pthread_mutex_destroy(&outbound->lock);
    free(outbound);
}

// With the lock held.
static void
unref(struct unread *unread)
{
    if (--unread->refs)
        return;
    unread->outbound->refs--;
    free(unread);
}

int
outbound_new(struct loop *loop, void (*fn)(void *arg), void *arg,
             struct outbound **out_outbound)
{
    struct outbound *outbound = calloc(1, sizeof(*outbound));
    int err;

    if (!outbound)
        return -ENOMEM;
    err = loop_wake_new(loop, fn, arg, &outbound->wake);
    if (err) {
        free(outbound);
        return err;
    }
    (void)pthread_mutex_init(&outbound->lock, NULL); // cannot fail on Linux
    outbound->refs = 1;
    *out_outbound = outbound;
    return 0;
}

void
outbound_free(struct outbound **outbound)
{
    struct outbound *it = *outbound;

    if (!it)
        return;
    (void)pthread_mutex_lock(&it->lock);
    loop_wake_free(&it->wake);
    it->refs--;
    unlock(it);
    *outbound = NULL;
}

struct unread *
unread_new(struct outbound *outbound)
{
    struct unread *unread = calloc(1, sizeof(*unread));

    if (!unread)
        return NULL;
    unread->outbound = outbound;
    unread->refs = 1;
    (void)pthread_mutex_lock(&outbound->lock);
    outbound->refs++;
    (void)pthread_mutex_unlock(&outbound->lock);
    return unread;
}

void
unread_unref(struct unread **unread)
{
    struct outbound *outbound;

    if (!*unread)
        return;
    outbound = (*unread)->outbound;
    (void)pthread_mutex_lock(&outbound->lock);
    unref(*unread);
    unlock(outbound);
    *unread = NULL;
}

// libzmq has no more use for a reply. Any thread.
static void
on_sent(void *data, void *arg)
{
    struct parcel *parcel = arg;
    struct unread *unread = parcel->unread;
    struct outbound *outbound = unread->outbound;

    (void)pthread_mutex_lock(&outbound->lock);
    outbound->bytes -= parcel->bytes;
    unread->bytes -= parcel->bytes;
    unref(unread);
    if (outbound->wake)
        loop_wake_send(outbound->wake);
    unlock(outbound);
    free(parcel);
    free(data);
}

int
outbound_wrap(struct outbound *outbound, struct unread *unread,
              unsigned char *data, size_t len, zmq_msg_t *out_frame)
{
    struct parcel *parcel = malloc(sizeof(*parcel));

    if (!parcel ||
        zmq_msg_init_data(out_frame, data, len, on_sent, parcel) != 0) {
        free(parcel);
        free(data);
        return -ENOMEM;
    }
    *parcel = (struct parcel){unread, len};
    (void)pthread_mutex_lock(&outbound->lock);
    outbound->bytes += len;
    unread->bytes += len;
    unread->refs++;
    (void)pthread_mutex_unlock(&outbound->lock);
    return 0;
}

size_t
unread_bytes(const struct unread *unread)
{
    size_t bytes;

    (void)pthread_mutex_lock(&unread->outbound->lock);
    bytes = unread->bytes;
    (void)pthread_mutex_unlock(&unread->outbound->lock);
    return bytes;
}

size_t
outbound_bytes(struct outbound *outbound)
{
    size_t bytes;

    (void)pthread_mutex_lock(&outbound->lock);
    bytes = outbound->bytes;
    (void)pthread_mutex_unlock(&outbound->lock);
    return bytes;
}
