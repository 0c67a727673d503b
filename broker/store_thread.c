// The store's thread: queues, group commit, and the way back to the loop.
#include "broker/store.h"
#include "broker/store_engine.h"
#include "broker/store_group.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/loop.h"
#include "common/metrics.h"

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
    // The thread's, for others to read.
    struct metrics_value busy_since_us; // 0: idle
    struct metrics_histogram commit_times;
};

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

static void
run_group(struct store *store, struct op_list *group)
{
    uint64_t commits = 0, commit_us = 0;

    metrics_set(&store->busy_since_us, clock_now_us());
    store_group_run(store->engine, group, &commits, &commit_us);
    metrics_set(&store->busy_since_us, 0);
    // More than one: a group that was tried again in portions.
    for (uint64_t i = 0; i < commits; i++)
        metrics_observe(&store->commit_times, &metrics_shape_work,
                        commit_us / commits);
    atomic_fetch_add(&store->commits, commits);
    atomic_fetch_add(&store->commit_us, commit_us);
    atomic_fetch_add(&store->operations, group->len);
}

static void *
thread_main(void *arg)
{
    struct store *store = arg;
    struct op_list group;
    uint64_t last_commit_us = 0;
    bool is_first_back;

    op_list_init(&group);
    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        store->state = THREAD_IDLE;
        while (!store->waiting.head && !store->is_stopping)
            (void)pthread_cond_wait(&store->cond, &store->lock);
        if (!store->waiting.head)
            break;
        gather(store, last_commit_us);
        store->state = THREAD_BUSY;
        op_list_move(&group, &store->waiting);
        fault_at_group(group.writes);
        (void)pthread_mutex_unlock(&store->lock);

        run_group(store, &group);
        if (group.writes > 0)
            last_commit_us = clock_now_us();

        (void)pthread_mutex_lock(&store->lock);
        is_first_back = !store->back.head;
        op_list_move(&store->back, &group);
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

    op_list_init(&back);
    (void)pthread_mutex_lock(&store->lock);
    op_list_move(&back, &store->back);
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
    op_list_init(&store->fresh);
    op_list_init(&store->waiting);
    op_list_init(&store->back);
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
            op_list_move(&store->back, &store->fresh);
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
    op_list_add(&store->fresh, op);
    atomic_fetch_add(&store->in_store, 1);
}

void
store_flush(struct store *store)
{
    bool has_news;

    if (!store->fresh.head || store->is_closing)
        return;
    (void)pthread_mutex_lock(&store->lock);
    op_list_move(&store->waiting, &store->fresh);
    fault_at_flush();
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
    uint64_t since_us = metrics_get(&store->busy_since_us);
    uint64_t now_us = clock_now_us();

    *out_stats = (struct store_stats){
        .commits = atomic_load(&store->commits),
        .operations = atomic_load(&store->operations),
        .commit_us = atomic_load(&store->commit_us),
        .waiting = atomic_load(&store->in_store),
        // It may have begun since the clock was read.
        .busy_us = since_us && since_us < now_us ? now_us - since_us : 0,
        .commit_times = &store->commit_times,
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
store_requeue_fini(struct store_requeue *requeue)
{
    free(requeue->options_owned);
    requeue->options_owned = NULL;
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

void
store_closings_fini(struct store_closings *closings)
{
    free(closings->closings);
    closings->closings = NULL;
    closings->len = 0;
}
