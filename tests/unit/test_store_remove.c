// The store: records taken back, batches removed, files that shrink.
#include "common/list_hash.h"
#include "tests/unit/sql_number.h"
#include "tests/unit/store_fixture.h"

#include <sys/stat.h>

static struct store_requeue
requeue(uint64_t batch, const struct store_requeue_row *rows, size_t len)
{
    struct store_requeue op = {.batch = batch, .rows = rows, .len = len};

    (void)run(&op.op, STORE_REQUEUE);
    return op;
}

// A batch of len lines of one origin, all done; every third one failed.
static uint64_t
finished(const char *id, uint64_t len)
{
    uint64_t batch = create(id);

    assert_int_equal(append(batch, 0, len, 1, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, batch, len, NULL), 0);
    for (uint64_t i = 0; i < len; i++)
        assert_int_equal(
            finish(batch, 1, i, i % 3 == 1 ? FAIL_DNS : FAIL_OK, NULL), 0);
    assert_true(status(batch).finished_wall_ms > 0);
    return batch;
}

// --- REQUEUE ---

static void
test_requeue_takes_records_back(void **state)
{
    static const struct store_requeue_row rows[] = {
        {1, 2, 1}, {4, 5, 1}, {4, 5, 1}, {2, 9, 1}, {99, 1, 1}};
    uint64_t batch = finished("b", 5);
    struct store_requeue op = requeue(batch, rows, 5);
    struct store_results page;
    struct store_refill jobs;
    struct store_batch row;
    bool is_finished;

    (void)state;
    assert_int_equal(op.op.err, 0);
    assert_int_equal(op.requeued, 2); // twice, another place, no such line
    assert_int_equal(op.row.finished_wall_ms, 0);
    store_requeue_fini(&op);
    reopen();
    row = status(batch);
    assert_int_equal(row.landed, 5);
    assert_int_equal(row.replaced, 2);
    assert_int_equal(row.failed, 0);
    assert_int_equal(row.bytes, 300);
    assert_int_equal(row.finished_wall_ms, 0);
    jobs = refill(batch, 1, 0, 10);
    assert_int_equal(jobs.len, 2);
    assert_int_equal(jobs.jobs[0].seq, 1);
    assert_int_equal(jobs.jobs[1].seq, 4);
    assert_int_equal(jobs.jobs[0].tries, 0);
    assert_int_equal(jobs.jobs[0].len, 10); // as the record had it
    store_refill_fini(&jobs);
    page = results(batch, false, 0, 10, 10000);
    assert_int_equal(page.len, 3);
    assert_int_equal(page.next, 5); // beyond the position that is empty now
    store_results_fini(&page);

    assert_int_equal(finish(batch, 1, 4, FAIL_OK, &is_finished), 0);
    assert_false(is_finished);
    assert_int_equal(finish(batch, 1, 1, FAIL_HTTP, &is_finished), 0);
    assert_true(is_finished);
    row = status(batch);
    assert_int_equal(row.landed, 7); // no position is used again
    assert_int_equal(row.landed - row.replaced, row.submitted);
    assert_int_equal(row.failed, 1);
    page = results(batch, false, 5, 10, 10000); // beyond the size
    assert_int_equal(page.len, 2);
    assert_int_equal(page.records[1].landed, 7);
    assert_int_equal(page.records[1].seq, 1);
    store_results_fini(&page);
    page = results(batch, true, 0, 10, 10000);
    assert_int_equal(page.len, 5);
    store_results_fini(&page);
    op = requeue(batch, rows, 5); // the places have changed: nothing to do
    assert_int_equal(op.requeued, 0);
    assert_true(op.row.finished_wall_ms > 0);
    store_requeue_fini(&op);
}

static void
test_requeue_refusals(void **state)
{
    static const struct store_requeue_row row = {0, 1, 1};
    uint64_t batch = create("b");

    (void)state;
    assert_int_equal(requeue(9, &row, 1).op.err, -ENOENT);
    assert_int_equal(append(batch, 0, 1, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_DNS, NULL), 0);
    assert_int_equal(requeue(batch, &row, 1).op.err, -EBUSY); // open
    assert_int_equal(mark(STORE_CANCEL, batch, 0, NULL), 0);
    assert_int_equal(requeue(batch, &row, 1).op.err, -EPIPE);
    assert_int_equal(status(batch).failed, 1);
}

static void
test_only_failed(void **state)
{
    enum { LEN = RESULTS_SCAN_MAX + 10 };
    uint64_t batch = create("b"), seen = 0, pages = 0;
    struct store_finish *ops = calloc(LEN, sizeof(*ops));
    struct store_results op;

    (void)state;
    assert_non_null(ops);
    assert_int_equal(append(batch, 0, LEN, 1, NULL), 0);
    for (uint64_t i = 0; i < LEN; i++) {
        ops[i] = finish_op(batch, 1, i,
                           i == 1 || i == LEN - 3 ? FAIL_TIMEOUT
                           : i == 2               ? FAIL_CANCELLED
                                                  : FAIL_OK);
        push(&ops[i].op, STORE_FINISH);
    }
    wait_all();
    op = (struct store_results){
        .batch = batch, .only_failed = true, .max = 10, .bytes_max = 10000};
    do {
        assert_int_equal(run(&op.op, STORE_RESULTS), 0);
        for (size_t i = 0; i < op.len; i++) {
            assert_int_equal(op.records[i].outcome, FAIL_TIMEOUT);
            assert_int_equal(op.records[i].seq, seen++ ? LEN - 3 : 1);
        }
        op.after = op.next;
        pages++;
        store_results_fini(&op);
    } while (op.next < op.row.landed);
    assert_int_equal(seen, 2);
    assert_int_equal(pages, 2);
    op.after = 0;
    op.max = 1;
    assert_int_equal(run(&op.op, STORE_RESULTS), 0);
    assert_int_equal(op.next, 2); // not beyond what it gave
    store_results_fini(&op);
    free(ops);
}

// --- The list's hash ---

static void
test_list_hash(void **state)
{
    uint64_t batch = create("b"), hash = LIST_HASH_EMPTY;
    struct store_mark op = {.batch = batch, .size = 12, .has_list_hash = true};

    (void)state;
    assert_true(status(batch).list_hash == LIST_HASH_EMPTY);
    assert_int_equal(append(batch, 0, 10, 1, NULL), 0);
    assert_int_equal(append(batch, 5, 7, 1, NULL), 0); // two are new
    reopen();
    for (int i = 0; i < 12; i++) {
        char url[16];
        int len = snprintf(url, sizeof(url), "u%d", i);

        hash = list_hash_add(hash, url, (size_t)len);
    }
    assert_true(status(batch).list_hash == hash);
    op.list_hash = hash + 1;
    assert_int_equal(run(&op.op, STORE_CLOSE), -EILSEQ);
    assert_false(status(batch).is_closed);
    op.list_hash = hash;
    assert_int_equal(run(&op.op, STORE_CLOSE), 0);
    store_mark_fini(&op);
    op.list_hash = 0;
    assert_int_equal(run(&op.op, STORE_CLOSE), -EILSEQ);
}

// --- REMOVE and TIDY ---

static struct store_tidy
tidy(int64_t before_wall_ms)
{
    struct store_tidy op = {.finished_before_wall_ms = before_wall_ms};

    assert_int_equal(run(&op.op, STORE_TIDY), 0);
    return op;
}

static uint64_t
tidy_all(void)
{
    uint64_t steps = 1;

    while (tidy(0).has_more)
        steps++;
    return steps;
}

static void
assert_gone(uint64_t batch, const char *id)
{
    static const struct store_requeue_row row = {0, 1, 1};
    struct store_batches list = {.max = 10};
    struct store_mark by_id = {.op.kind = STORE_STATUS};
    struct store_results page = {.batch = batch, .max = 1, .bytes_max = 1};
    struct store_refill jobs = {.batch = batch, .max = 1};
    uint64_t origin;
    struct store_origins origins = {
        .batch = batch, .is_first = true, .origins = &origin, .max = 1};

    (void)snprintf(by_id.id, sizeof(by_id.id), "%s", id);
    assert_int_equal(run(&by_id.op, STORE_STATUS), -ENOENT);
    for (enum store_kind kind = STORE_CLOSE; kind <= STORE_CANCEL; kind++)
        assert_int_equal(mark(kind, batch, 5, NULL), -ENOENT);
    assert_int_equal(mark(STORE_STATUS, batch, 0, NULL), -ENOENT);
    assert_int_equal(mark(STORE_REMOVE, batch, 0, NULL), -ENOENT);
    assert_int_equal(append(batch, 0, 5, 1, NULL), -ENOENT);
    assert_int_equal(finish(batch, 1, 0, FAIL_OK, NULL), -ENOENT);
    assert_int_equal(requeue(batch, &row, 1).op.err, -ENOENT);
    assert_int_equal(run(&page.op, STORE_RESULTS), -ENOENT);
    assert_int_equal(run(&jobs.op, STORE_REFILL), -ENOENT);
    assert_int_equal(run(&origins.op, STORE_ORIGINS), -ENOENT);
    assert_int_equal(run(&list.op, STORE_BATCHES), 0);
    for (size_t i = 0; i < list.len; i++)
        assert_int_not_equal(list.rows[i].batch, batch);
    store_batches_fini(&list);
}

static void
test_removed_is_gone_at_once(void **state)
{
    uint64_t keep = finished("keep", 4), batch = finished("b", 5), again;
    struct store_mark by_id = {.id = "b"};

    (void)state;
    assert_int_equal(mark(STORE_REMOVE, 77, 0, NULL), -ENOENT);
    assert_int_equal(run(&by_id.op, STORE_REMOVE), 0);
    assert_int_equal(by_id.row.batch, batch);
    assert_string_equal(by_id.row.id, "b");
    store_mark_fini(&by_id);
    assert_gone(batch, "b");
    reopen();
    assert_gone(batch, "b");
    again = create("b"); // the id is free, the number is not
    assert_int_equal(again, batch + 1);
    assert_int_equal(append(again, 0, 2, 1, NULL), 0);
    assert_int_equal(mark(STORE_REMOVE, again, 0, NULL), -EBUSY);

    (void)tidy_all();
    store_close(&f.store);
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM batch"), 2);
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM result"), 4);
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM place"), 4);
    assert_int_equal(open_store(f.path, false), 0);
    assert_int_equal(mark(STORE_CANCEL, again, 0, NULL), 0);
    assert_int_equal(finish(again, 1, 0, FAIL_CANCELLED, NULL), 0);
    assert_int_equal(finish(again, 1, 1, FAIL_CANCELLED, NULL), 0);
    assert_int_equal(mark(STORE_REMOVE, again, 0, NULL), 0);
    (void)tidy_all();
    reopen();
    assert_int_equal(create("c"), again + 1); // nor after all are gone
    assert_int_equal(status(keep).landed, 4);
}

// Ended, removed and another of that id made: all in one transaction.
static void
test_removed_in_one_group(void **state)
{
    uint64_t batch = create("b");
    struct store_finish done = finish_op(batch, 1, 0, FAIL_OK);
    struct store_mark gone = {.batch = batch}, look = {.id = "b"};
    struct store_create new = {.batch = {.id = "b", .algorithms = "md5"}};

    (void)state;
    assert_int_equal(append(batch, 0, 1, 1, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, batch, 1, NULL), 0);
    push(&done.op, STORE_FINISH);
    push(&gone.op, STORE_REMOVE);
    push(&new.op, STORE_CREATE);
    push(&look.op, STORE_STATUS);
    wait_all();
    assert_int_equal(gone.op.err, 0);
    assert_true(gone.row.finished_wall_ms > 0);
    assert_int_equal(new.op.err, 0);
    assert_false(new.existed);
    assert_int_equal(look.row.batch, batch + 1);
    store_mark_fini(&gone);
    store_mark_fini(&look);
    store_create_fini(&new);
    assert_gone(batch, "x");
}

static void
test_tidy_by_age(void **state)
{
    uint64_t old = finished("old", 3), open = create("open");
    int64_t at = status(old).finished_wall_ms;
    struct store_tidy op;

    (void)state;
    op = tidy(at); // not before this moment
    assert_int_equal(op.removed, 0);
    assert_false(op.has_more);
    op = tidy(at + 1);
    assert_int_equal(op.removed, 1);
    assert_true(op.has_more);
    assert_gone(old, "old");
    assert_false(tidy(at + 1).has_more);
    assert_int_equal(status(open).submitted, 0);
}

// --- The file ---

static int64_t
size_of(const char *suffix)
{
    struct stat info = {.st_size = 0};
    char path[112];

    (void)snprintf(path, sizeof(path), "%s%s", f.path, suffix);
    (void)stat(path, &info); // no file: 0
    return info.st_size;
}

static void
fill(uint64_t batch, uint64_t len, uint64_t finish_len)
{
    struct store_finish *ops = calloc(finish_len + 1, sizeof(*ops));

    assert_non_null(ops);
    for (uint64_t i = 0; i < len; i += 1000)
        assert_int_equal(append(batch, i, 1000, 1, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, batch, len, NULL), 0);
    for (uint64_t i = 0; i < finish_len; i++) {
        ops[i] = finish_op(batch, 1, i, FAIL_OK);
        ops[i].record.facts_len = 0;
        push(&ops[i].op, STORE_FINISH);
        if (i % 1000 == 999)
            wait_all();
    }
    if (f.pending)
        wait_all();
    free(ops);
}

static void
test_file_shrinks(void **state)
{
    uint64_t small = finished("small", 10), large = create("large");
    uint64_t steps;
    int64_t empty = size_of(""), full;

    (void)state;
    fill(large, 100000, 100000);
    reopen(); // the log goes into the file
    full = size_of("");
    assert_true(full > 5000000);
    assert_int_equal(mark(STORE_REMOVE, large, 0, NULL), 0);
    steps = tidy_all();
    assert_true(steps > 3);
    assert_true(size_of("") < 400000);
    assert_true(size_of("") < empty + 400000);
    assert_int_equal(size_of("-wal"), 0);
    assert_false(tidy(0).has_more); // there is nothing left to do
    assert_int_equal(status(small).landed, 10);
    store_close(&f.store);
    assert_int_equal(sql_number(f.path,
                                "SELECT count(*) FROM pragma_integrity_check "
                                "WHERE integrity_check<>'ok'"),
                     0);
    assert_int_equal(open_store(f.path, false), 0);
}

static void
test_shrinks_beside_work(void **state)
{
    uint64_t large = create("large"), other;
    struct store_finish done;
    uint64_t seq = 0;
    int64_t full;
    bool has_more = true;

    (void)state;
    fill(large, 60000, 60000);
    other = create("other");
    fill(other, 3000, 0);
    reopen();
    full = size_of("");
    assert_int_equal(mark(STORE_REMOVE, large, 0, NULL), 0);
    while (has_more) {
        struct store_tidy op = {.op.kind = STORE_TIDY};

        done = finish_op(other, 1, seq, FAIL_OK);
        push(&op.op, STORE_TIDY);
        if (seq < 3000)
            push(&done.op, STORE_FINISH);
        wait_all();
        assert_int_equal(op.op.err, 0);
        if (seq++ < 3000)
            assert_int_equal(done.op.err, 0);
        has_more = op.has_more;
    }
    assert_true(size_of("") < full / 3);
    for (; seq < 3000; seq++)
        assert_int_equal(finish(other, 1, seq, FAIL_OK, NULL), 0);
    assert_true(status(other).finished_wall_ms > 0);
    store_close(&f.store);
    assert_int_equal(sql_number(f.path,
                                "SELECT count(*) FROM pragma_integrity_check "
                                "WHERE integrity_check<>'ok'"),
                     0);
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM result"), 3000);
    assert_int_equal(open_store(f.path, false), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_requeue_takes_records_back),
        STORE_TEST(test_requeue_refusals),
        STORE_TEST(test_only_failed),
        STORE_TEST(test_list_hash),
        STORE_TEST(test_removed_is_gone_at_once),
        STORE_TEST(test_removed_in_one_group),
        STORE_TEST(test_tidy_by_age),
        STORE_TEST(test_file_shrinks),
        STORE_TEST(test_shrinks_beside_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
