// A group of operations, and what becomes of it when its transaction is lost.
//
// Nearly always all of it is run and committed at once. When that fails, for
// one operation or at the commit, everything is undone and the group goes on in
// three lists:
// 1. records and tries (FINISH, RETRY), which build on nothing that came in the
//    same group;
// 2. what clients asked for, and TIDY. When one of them fails, those behind it
//    that may build on it fail too: a CLOSE must not be told that the size is
//    wrong because its APPEND found no room;
// 3. what only reads, on what is committed then.
//
// Writes are tried again at once when there was no room (in ever smaller
// portions: small ones may fit where a large one does not) or when one of them
// was to blame (a damaged page: without that one). So an operation that can
// never succeed does not keep its neighbours from it. A commit that failed for
// another reason fails all of them: the disk is in trouble, and who asked will
// ask again.
//
// Why it is safe to go on with SQLite after a failed fsync, though the kernel
// may then drop the pages that it could not write, and say that all is well the
// next time:
// - At a commit, only frames of this transaction at the end of the log were
//   unwritten; all before them were synced when they were committed. The
//   transaction is undone, and the next one writes its frames at the same
//   offsets. Each frame's checksum goes on from the one before it, so what is
//   left of the old ones does not fit behind the new.
// - If the machine dies before that, and all the frames did reach the disk, the
//   transaction is there after all. Every operation may be repeated, so who was
//   told of a failure and asks again gets the same result.
// - When the log is moved into the file and that cannot be synced, SQLite does
//   not count it as moved: the log stays as it is, and all its pages are
//   written and synced again the next time.
// (sqlite.org/howtocorrupt.html 3.1, /walformat.html and /wal.html; wal.c.)
#include "broker/store_group.h"
#include "broker/store_engine.h"
#include "common/clock.h"
#include "common/fault.h"

#include <assert.h>
#include <errno.h>

// Transactions tried for one list: enough to halve any group down to one. What
// is left then is refused, and comes again from who asked.
#define ATTEMPTS_MAX 24

void
op_list_init(struct op_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->len = list->writes = 0;
}

enum op_class { OP_RECORD, OP_REQUEST, OP_READ };

static enum op_class
class_of(enum store_kind kind)
{
    switch (kind) {
    case STORE_RETRY:
    case STORE_FINISH:
        return OP_RECORD;
    case STORE_NOTE_CLOSING:
    case STORE_CREATE:
    case STORE_APPEND:
    case STORE_CLOSE:
    case STORE_CANCEL:
    case STORE_REQUEUE:
    case STORE_REMOVE:
    case STORE_TIDY:
        return OP_REQUEST;
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RESULTS:
    case STORE_STATUS:
    case STORE_BATCHES:
    case STORE_CLOSINGS:
        return OP_READ;
    }
    assert(false && "an operation of no kind");
    return OP_REQUEST;
}

void
op_list_add(struct op_list *list, struct store_op *op)
{
    op->next = NULL;
    *list->tail = op;
    list->tail = &op->next;
    list->len++;
    list->writes += class_of(op->kind) != OP_READ;
}

void
op_list_move(struct op_list *to, struct op_list *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->len += from->len;
    to->writes += from->writes;
    op_list_init(from);
}

static struct store_op *
take_first(struct op_list *list)
{
    struct store_op *op = list->head;

    list->head = op->next;
    if (!list->head)
        list->tail = &list->head;
    list->len--;
    list->writes -= class_of(op->kind) != OP_READ;
    return op;
}

// Frees what an operation found, for it may be run again.
static void
drop_answer(struct store_op *op)
{
    struct store_create *create = (struct store_create *)op;

    switch (op->kind) {
    case STORE_CREATE:
        if (create->existed && create->options_owned) {
            store_create_fini(create);
            create->batch.options = NULL;
            create->batch.options_len = 0;
        }
        return;
    case STORE_CLOSE:
    case STORE_CANCEL:
    case STORE_REMOVE:
    case STORE_STATUS:
        store_mark_fini((struct store_mark *)op);
        return;
    case STORE_REQUEUE:
        store_requeue_fini((struct store_requeue *)op);
        return;
    case STORE_REFILL:
        store_refill_fini((struct store_refill *)op);
        return;
    case STORE_RESULTS:
        store_results_fini((struct store_results *)op);
        return;
    case STORE_BATCHES:
        store_batches_fini((struct store_batches *)op);
        return;
    case STORE_CLOSINGS:
        store_closings_fini((struct store_closings *)op);
        return;
    case STORE_NOTE_CLOSING:
    case STORE_APPEND:
    case STORE_RETRY:
    case STORE_FINISH:
    case STORE_TIDY:
    case STORE_ORIGINS:
        return;
    }
}

// Runs the first len operations in one transaction. On failure nothing of it
// has happened, and *out_culprit is the one that failed, NULL: the commit.
static int
attempt(struct store_engine *engine, struct op_list *list, size_t len,
        uint64_t *commits, uint64_t *commit_us, struct store_op **out_culprit)
{
    struct store_op *op = list->head, *end;
    uint64_t start_us;
    size_t writes = 0;
    int err;

    *out_culprit = NULL;
    err = engine->calls->begin(engine);
    for (size_t i = 0; i < len && !err; i++) {
        op->err = 0;
        err = engine->calls->run(engine, op);
        writes += class_of(op->kind) != OP_READ;
        if (err)
            *out_culprit = op;
        op = op->next;
    }
    end = op;
    start_us = clock_now_us();
    fault_before_commit();
    if (!err)
        err = engine->calls->commit(engine);
    if (err) {
        engine->calls->rollback(engine);
        for (op = list->head; op != end; op = op->next)
            drop_answer(op);
        return err;
    }
    fault_after_commit();
    if (writes > 0) {
        ++*commits;
        *commit_us += clock_now_us() - start_us;
    }
    return 0;
}

// The batch that a request is about; 0: known by its id alone, or none.
static uint64_t
batch_of(const struct store_op *op)
{
    if (op->kind == STORE_APPEND)
        return ((const struct store_append *)op)->batch;
    if (op->kind == STORE_REQUEUE)
        return ((const struct store_requeue *)op)->batch;
    if (op->kind == STORE_CREATE || op->kind == STORE_TIDY)
        return 0;
    return ((const struct store_mark *)op)->batch;
}

// Moves op to done, failed; and from list those that may build on it.
static void
settle_request(struct op_list *list, struct store_op *op, int err,
               struct op_list *done)
{
    uint64_t batch = batch_of(op);
    struct op_list left;

    op_list_init(&left);
    op->err = err;
    op_list_add(done, op);
    while (op->kind != STORE_TIDY && list->head) {
        struct store_op *next = take_first(list);
        bool is_independent = next->kind == STORE_CREATE ||
                              next->kind == STORE_TIDY ||
                              (batch_of(next) != 0 && batch_of(next) != batch);

        next->err = err;
        op_list_add(is_independent ? &left : done, next);
    }
    op_list_move(list, &left);
}

// Takes op, which is in list, out of it, and fails it.
static void
settle(struct op_list *list, struct store_op *op, int err, struct op_list *done)
{
    struct op_list before;

    op_list_init(&before);
    while (list->head != op)
        op_list_add(&before, take_first(list));
    op = take_first(list);
    if (class_of(op->kind) == OP_REQUEST) {
        settle_request(list, op, err, done);
    } else {
        op->err = err;
        op_list_add(done, op);
    }
    op_list_move(&before, list);
    op_list_move(list, &before);
}

// A CREATE that found a batch has that one's options where its own were, so it
// cannot be run again.
static void
settle_spent(struct op_list *list, int err, struct op_list *done)
{
    struct store_op *next;

    for (struct store_op *op = list->head; op; op = next) {
        next = op->next;
        if (op->kind != STORE_CREATE || !((struct store_create *)op)->existed)
            continue;
        settle(list, op, err, done);
        next = list->head; // others may have gone with it
    }
}

// Runs what of list can be run, and moves all of it to done.
static void
run_parts(struct store_engine *engine, struct op_list *list, int err,
          uint64_t *commits, uint64_t *commit_us, struct op_list *done)
{
    struct store_op *culprit;
    size_t len = list->len;
    int refusal = err; // the last one: for what is not tried again

    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        settle_spent(list, refusal, done);
        if (!list->head)
            break;
        if (len > list->len)
            len = list->len;
        err = attempt(engine, list, len, commits, commit_us, &culprit);
        if (err)
            refusal = err;
        if (!err) {
            for (size_t j = 0; j < len; j++)
                op_list_add(done, take_first(list));
        } else if (len == 1) {
            settle(list, list->head, err, done);
        } else if (err == -ENOSPC) {
            len /= 2;
        } else if (culprit) {
            settle(list, culprit, err, done);
        } else {
            break;
        }
    }
    while (list->head) {
        struct store_op *op = take_first(list);

        op->err = refusal;
        op_list_add(done, op);
    }
}

void
store_group_run(struct store_engine *engine, struct op_list *group,
                uint64_t *commits, uint64_t *commit_us)
{
    struct op_list lists[3], done;
    struct store_op *culprit;
    int err;

    err = attempt(engine, group, group->len, commits, commit_us, &culprit);
    if (!err)
        return;
    op_list_init(&done);
    for (size_t i = 0; i < 3; i++)
        op_list_init(&lists[i]);
    while (group->head) {
        struct store_op *op = take_first(group);
        bool is_hopeless =
            class_of(op->kind) != OP_READ && err != -ENOSPC && !culprit;

        op->err = err;
        op_list_add(is_hopeless ? &done : &lists[class_of(op->kind)], op);
    }
    for (size_t i = 0; i < 3; i++)
        run_parts(engine, &lists[i], err, commits, commit_us, &done);
    op_list_move(group, &done);
}
