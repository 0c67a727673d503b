// The store's thread: queues, group commit, and the way back to the loop.
#include "broker/store.h"
#include "broker/store_engine.h"
#include "common/clock.h"
#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// An fsync costs the same for one record as for a thousand, and a loop at work
// brings new operations every turn. So a small group that would start within
// this time of the last commit waits for company until then: at most 500
// commits a second however the operations trickle in, and an operation that
// comes alone after a pause does not wait at all.
#define GATHER_US 2000
// A group with this many writes is worth its commit and starts at once.
#define GATHER_WRITES 64

struct op_list {
    struct store_op *head;
    struct store_op **tail;
    size_t writes;
};

enum thread_state {
    THREAD_BUSY,      // in a group; looks at the queue by itself afterwards
    THREAD_IDLE,      // wants to be told of anything
    THREAD_GATHERING, // wants to be told when there are GATHER_WRITES
};

struct store {
    struct store_engine *engine;
    struct loop_wake *wake;
    pthread_t thread;
    bool has_thread, has_lock, has_cond;
    bool is_durable;

    // The loop thread's.
    struct op_list fresh; // pushed, not yet flushed
    bool is_closing;      // the thread takes no more

    // Between the two, under lock.
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct op_list waiting;
    struct op_list back;
    enum thread_state state;
    bool is_stopping;

    _Atomic uint64_t commits, operations, commit_us, in_store;
};

static void
list_init(struct op_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->writes = 0;
}

// Empties from into the end of to.
static void
list_move(struct op_list *to, struct op_list *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->writes += from->writes;
    list_init(from);
}

static bool
is_write(enum store_kind kind)
{
    switch (kind) {
    case STORE_CREATE:
    case STORE_APPEND:
    case STORE_CLOSE:
    case STORE_CANCEL:
    case STORE_RETRY:
    case STORE_FINISH:
        return true;
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RESULTS:
    case STORE_STATUS:
    case STORE_BATCHES:
        return false;
    }
    assert(false && "an operation of no kind");
    return true;
}

// Called with the lock held; gives it up while it waits.
static void
gather(struct store *store, uint64_t last_commit_us)
{
    uint64_t until_us = last_commit_us + GATHER_US;
    struct timespec until = {
        .tv_sec = (time_t)(until_us / 1000000),
        .tv_nsec = (long)(until_us % 1000000 * 1000),
    };

    // Without fsync a commit is cheaper than the wait for a larger group, and
    // reads alone commit nothing.
    if (!store->waiting.writes)
        return;
    store->state = THREAD_GATHERING;
    while (!store->is_stopping && store->waiting.writes < GATHER_WRITES &&
           clock_now_us() < until_us)
        (void)pthread_cond_timedwait(&store->cond, &store->lock, &until);
}

// Runs the whole group in one transaction. On the first error that loses the
// transaction everything is undone, and all operations get that error: a later
// one may have seen what an earlier one wrote.
static void
run_group(struct store *store, struct op_list *group)
{
    struct store_engine *engine = store->engine;
    uint64_t start_us;
    int err;

    err = engine->calls->begin(engine);
    for (struct store_op *op = group->head; op && !err; op = op->next) {
        op->err = 0;
        err = engine->calls->run(engine, op);
    }
    start_us = clock_now_us();
    if (!err)
        err = engine->calls->commit(engine);
    if (err) {
        engine->calls->rollback(engine);
        for (struct store_op *op = group->head; op; op = op->next)
            op->err = err;
        return;
    }
    if (group->writes > 0) {
        atomic_fetch_add(&store->commits, 1);
        atomic_fetch_add(&store->commit_us, clock_now_us() - start_us);
    }
}

static size_t
list_len(const struct op_list *list)
{
    size_t len = 0;

    for (const struct store_op *op = list->head; op; op = op->next)
        len++;
    return len;
}

static void *
thread_main(void *arg)
{
    struct store *store = arg;
    struct op_list group;
    uint64_t last_commit_us = 0;
    bool is_first_back;

    list_init(&group);
    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        store->state = THREAD_IDLE;
        while (!store->waiting.head && !store->is_stopping)
            (void)pthread_cond_wait(&store->cond, &store->lock);
        if (!store->waiting.head)
            break;
        gather(store, last_commit_us);
        store->state = THREAD_BUSY;
        list_move(&group, &store->waiting);
        (void)pthread_mutex_unlock(&store->lock);

        run_group(store, &group);
        if (group.writes > 0)
            last_commit_us = clock_now_us();
        atomic_fetch_add(&store->operations, list_len(&group));

        (void)pthread_mutex_lock(&store->lock);
        is_first_back = !store->back.head;
        list_move(&store->back, &group);
        // The loop takes all of back at once, so while something is in it, a
        // wake is on its way already. Sent under the lock: whoever finds back
        // filled may be sure that it was.
        if (is_first_back)
            loop_wake_send(store->wake);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return NULL;
}

// On the loop: gives back what the thread has done.
static void
on_wake(void *arg)
{
    struct store *store = arg;
    struct op_list back;
    struct store_op *next;

    list_init(&back);
    (void)pthread_mutex_lock(&store->lock);
    list_move(&back, &store->back);
    (void)pthread_mutex_unlock(&store->lock);
    for (struct store_op *op = back.head; op; op = next) {
        next = op->next; // done() may free the operation or push it again
        op->next = NULL;
        atomic_fetch_sub(&store->in_store, 1);
        op->done(op);
    }
}

static int
start_sync(struct store *store)
{
    pthread_condattr_t attr;
    int err;

    err = pthread_mutex_init(&store->lock, NULL);
    if (err)
        return -err;
    store->has_lock = true;
    err = pthread_condattr_init(&attr);
    if (err)
        return -err;
    err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); // clock_now_us's
    if (!err)
        err = pthread_cond_init(&store->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    store->has_cond = !err;
    return -err;
}

// Signals are for the loop's thread: this one takes none.
static int
start_thread(struct store *store)
{
    sigset_t all, old;
    int err;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&store->thread, NULL, thread_main, store);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    store->has_thread = !err;
    if (!err)
        (void)pthread_setname_np(store->thread, "store"); // for ps and perf
    return -err;
}

int
store_open(const struct store_config *config, struct loop *loop,
           struct store **out_store, char *out_why, size_t why_size)
{
    struct store *store = calloc(1, sizeof(*store));
    int err = -ENOMEM;

    if (why_size > 0)
        out_why[0] = '\0';
    if (!store)
        goto out;
    list_init(&store->fresh);
    list_init(&store->waiting);
    list_init(&store->back);
    store->is_durable = config->is_durable;
    err = store_sqlite_open(config, &store->engine, out_why, why_size);
    if (err)
        goto out;
    err = start_sync(store);
    if (err)
        goto out;
    err = loop_wake_new(loop, on_wake, store, &store->wake);
    if (err)
        goto out;
    err = start_thread(store);
    if (err)
        goto out;

    *out_store = store;
    store = NULL; // the caller's now
out:
    if (err && why_size > 0 && !out_why[0])
        (void)snprintf(out_why, why_size,
                       "the store could not be started: out of memory or "
                       "threads");
    store_close(&store);
    return err;
}

void
store_close(struct store **store_ref)
{
    struct store *store = *store_ref;

    if (!store)
        return;
    if (store->has_thread) {
        store_flush(store);
        store->is_closing = true;
        (void)pthread_mutex_lock(&store->lock);
        store->is_stopping = true;
        (void)pthread_cond_signal(&store->cond);
        (void)pthread_mutex_unlock(&store->lock);
        (void)pthread_join(store->thread, NULL);
        on_wake(store);
        // What a done() pushes now comes too late to be run.
        while (store->fresh.head) {
            for (struct store_op *op = store->fresh.head; op; op = op->next)
                op->err = -ESHUTDOWN;
            list_move(&store->back, &store->fresh);
            on_wake(store);
        }
    }
    loop_wake_free(&store->wake);
    if (store->engine)
        store->engine->calls->free(store->engine);
    if (store->has_cond)
        (void)pthread_cond_destroy(&store->cond);
    if (store->has_lock)
        (void)pthread_mutex_destroy(&store->lock);
    free(store);
    *store_ref = NULL;
}

void
store_push(struct store *store, struct store_op *op)
{
    op->next = NULL;
    *store->fresh.tail = op;
    store->fresh.tail = &op->next;
    if (is_write(op->kind))
        store->fresh.writes++;
    atomic_fetch_add(&store->in_store, 1);
}

void
store_flush(struct store *store)
{
    bool has_news;

    if (!store->fresh.head || store->is_closing)
        return;
    (void)pthread_mutex_lock(&store->lock);
    list_move(&store->waiting, &store->fresh);
    has_news =
        store->state == THREAD_IDLE || (store->state == THREAD_GATHERING &&
                                        store->waiting.writes >= GATHER_WRITES);
    (void)pthread_mutex_unlock(&store->lock);
    if (has_news)
        (void)pthread_cond_signal(&store->cond);
}

void
store_stats(const struct store *store, struct store_stats *out_stats)
{
    *out_stats = (struct store_stats){
        .commits = atomic_load(&store->commits),
        .operations = atomic_load(&store->operations),
        .commit_us = atomic_load(&store->commit_us),
        .waiting = atomic_load(&store->in_store),
    };
}

void
store_create_fini(struct store_create *create)
{
    free(create->options_owned);
    create->options_owned = NULL;
}

void
store_mark_fini(struct store_mark *mark)
{
    free(mark->options_owned);
    mark->options_owned = NULL;
}

void
store_refill_fini(struct store_refill *refill)
{
    free(refill->jobs);
    free(refill->owned);
    refill->jobs = NULL;
    refill->owned = NULL;
    refill->len = 0;
}

void
store_results_fini(struct store_results *results)
{
    free(results->records);
    free(results->owned);
    free(results->options_owned);
    results->records = NULL;
    results->owned = results->options_owned = NULL;
    results->len = 0;
}

void
store_batches_fini(struct store_batches *batches)
{
    free(batches->rows);
    free(batches->owned);
    batches->rows = NULL;
    batches->owned = NULL;
    batches->len = 0;
}
