// store_fixture.h - a store on a file of its own, and its operations as calls
//
// Each test runs on a fresh store; run() and what is built on it wait for one
// operation on a real loop.
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H
#include "scratch.h"

#include "broker/store.h"
#include "common/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct loop *loop;
    struct store *store;
    char folder[64];
    char path[80];
    char why[256];
    size_t pending;
};

static struct fixture f;

static inline int
open_store(const char *path, bool is_durable)
{
    struct store_config config = {.path = path, .is_durable = is_durable};

    return store_open(&config, f.loop, &f.store, f.why, sizeof(f.why));
}

static inline int
set_up(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    if (scratch_folder(f.folder, sizeof(f.folder)) != 0)
        return -1;
    (void)snprintf(f.path, sizeof(f.path), "%s/store.db", f.folder);
    if (loop_new(&f.loop) != 0)
        return -1;
    return open_store(f.path, false);
}

static inline int
tear_down(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    char path[96];

    (void)state;
    store_close(&f.store);
    loop_free(&f.loop);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f.path, suffixes[i]);
        (void)unlink(path); // not all of them exist
    }
    return rmdir(f.folder);
}

static inline void
on_done(struct store_op *op)
{
    (void)op;
    if (--f.pending == 0)
        loop_end(f.loop);
}

static inline void
push(struct store_op *op, enum store_kind kind)
{
    op->kind = kind;
    op->err = -ENOTRECOVERABLE; // must be overwritten
    op->done = on_done;
    f.pending++;
    store_push(f.store, op);
}

static inline void
wait_all(void)
{
    store_flush(f.store);
    loop_run(f.loop);
    assert_int_equal(f.pending, 0);
}

static inline int
run(struct store_op *op, enum store_kind kind)
{
    push(op, kind);
    wait_all();
    return op->err;
}

static inline void
reopen(void)
{
    store_close(&f.store);
    assert_null(f.store);
    assert_int_equal(open_store(f.path, false), 0);
}

static inline uint64_t
create(const char *id)
{
    struct store_create op = {.batch = {.algorithms = "sha512"}};
    uint64_t batch;

    (void)snprintf(op.batch.id, sizeof(op.batch.id), "%s", id);
    assert_int_equal(run(&op.op, STORE_CREATE), 0);
    assert_false(op.existed);
    batch = op.batch.batch;
    store_create_fini(&op);
    return batch;
}

// URLs "u<seq>" of origin seq % origins + 1.
static inline int
append(uint64_t batch, uint64_t first, size_t len, uint64_t origins,
       struct store_append *out_op)
{
    struct store_append op = {.batch = batch, .first_seq = first, .len = len};
    struct store_url *urls = calloc(len + 1, sizeof(*urls));
    char(*texts)[16] = calloc(len + 1, sizeof(*texts));

    assert_non_null(urls);
    assert_non_null(texts);
    for (size_t i = 0; i < len; i++) {
        urls[i].len = (size_t)snprintf(texts[i], sizeof(texts[i]), "u%" PRIu64,
                                       first + i);
        urls[i].url = texts[i];
        urls[i].origin = (first + i) % origins + 1;
    }
    op.urls = urls;
    (void)run(&op.op, STORE_APPEND);
    free(urls);
    free(texts);
    if (out_op)
        *out_op = op;
    return op.op.err;
}

static inline struct store_finish
finish_op(uint64_t batch, uint64_t origin, uint64_t seq, enum fail outcome)
{
    return (struct store_finish){
        .batch = batch,
        .origin = origin,
        .record = {.seq = seq,
                   .outcome = outcome,
                   .url = "http://a/\xff",
                   .url_len = 10,
                   .size = 100,
                   .http_status = 200,
                   .tries = 2,
                   .digests = (const unsigned char *)"\x00\xab\x00",
                   .digests_len = outcome == FAIL_OK ? 3 : 0,
                   .facts = "fac\0ts",
                   .facts_len = 6},
    };
}

static inline int
finish(uint64_t batch, uint64_t origin, uint64_t seq, enum fail outcome,
       bool *out_is_finished)
{
    struct store_finish op = finish_op(batch, origin, seq, outcome);

    (void)run(&op.op, STORE_FINISH);
    if (out_is_finished)
        *out_is_finished = op.batch_is_finished;
    return op.op.err;
}

static inline int
mark(enum store_kind kind, uint64_t batch, uint64_t size,
     struct store_batch *out_row)
{
    struct store_mark op = {.batch = batch, .size = size};

    (void)run(&op.op, kind);
    if (out_row)
        *out_row = op.row;
    if (out_row)
        out_row->options = NULL; // goes with the operation
    store_mark_fini(&op);
    return op.op.err;
}

static inline struct store_batch
status(uint64_t batch)
{
    struct store_batch row;

    assert_int_equal(mark(STORE_STATUS, batch, 0, &row), 0);
    return row;
}

static inline struct store_results
results(uint64_t batch, bool by_seq, uint64_t after, size_t max,
        size_t bytes_max)
{
    struct store_results op = {.batch = batch,
                               .by_seq = by_seq,
                               .after = after,
                               .max = max,
                               .bytes_max = bytes_max};

    assert_int_equal(run(&op.op, STORE_RESULTS), 0);
    return op;
}

static inline struct store_refill
refill(uint64_t batch, uint64_t origin, uint64_t from_seq, size_t max)
{
    struct store_refill op = {
        .batch = batch, .origin = origin, .from_seq = from_seq, .max = max};

    assert_int_equal(run(&op.op, STORE_REFILL), 0);
    return op;
}

#define STORE_TEST(test)                                                       \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
