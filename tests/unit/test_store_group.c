// What becomes of a group of operations whose transaction is lost, with an
// engine that has room for so many operations in one transaction.
#include "broker/store_engine.h"
#include "broker/store_group.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OPS 200

struct engine {
    struct store_engine engine; // first
    size_t room;                // operations that a transaction may hold
    size_t len;                 // of this one
    struct store_op *open[OPS];
    size_t committed_len;
    struct store_op *committed[2 * OPS];
};

static int
begin(struct store_engine *engine)
{
    ((struct engine *)engine)->len = 0;
    return 0;
}

static int
run(struct store_engine *engine, struct store_op *op)
{
    struct engine *it = (struct engine *)engine;

    it->open[it->len++] = op;
    return 0;
}

static int
commit(struct store_engine *engine)
{
    struct engine *it = (struct engine *)engine;

    if (it->len > it->room)
        return -ENOSPC;
    memcpy(it->committed + it->committed_len, it->open,
           it->len * sizeof(*it->open));
    it->committed_len += it->len;
    return 0;
}

static void
rollback(struct store_engine *engine)
{
    ((struct engine *)engine)->len = 0;
}

static const struct store_engine_calls calls = {
    .begin = begin, .run = run, .commit = commit, .rollback = rollback};

static size_t
commits_of(const struct engine *engine, const struct store_op *op)
{
    size_t count = 0;

    for (size_t i = 0; i < engine->committed_len; i++)
        count += engine->committed[i] == op;
    return count;
}

// Whatever room there is: an operation that is told to have worked was
// committed once, and one that was refused never.
static void
test_told_is_true(void **state)
{
    static struct store_finish records[OPS];
    static struct store_refill reads[OPS];

    (void)state;
    for (size_t room = 1; room <= OPS; room += 3) {
        struct engine engine = {.engine = {&calls}, .room = room};
        struct op_list group;
        uint64_t commits = 0, commit_us = 0;
        size_t worked = 0;

        op_list_init(&group);
        memset(records, 0, sizeof(records));
        memset(reads, 0, sizeof(reads));
        for (size_t i = 0; i < OPS / 2; i++) {
            records[i].op.kind = STORE_FINISH;
            op_list_add(&group, &records[i].op);
            reads[i].op.kind = STORE_REFILL;
            op_list_add(&group, &reads[i].op);
        }
        store_group_run(&engine.engine, &group, &commits, &commit_us);
        assert_int_equal(group.len, OPS);
        for (size_t i = 0; i < OPS / 2; i++) {
            assert_int_equal(commits_of(&engine, &records[i].op),
                             !records[i].op.err);
            assert_int_equal(commits_of(&engine, &reads[i].op),
                             !reads[i].op.err);
            worked += !records[i].op.err;
        }
        assert_true(worked > 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_is_true),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
