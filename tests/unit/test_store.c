// The store: every operation and every refusal.
#include "tests/unit/store_fixture.h"

// --- Operations ---

static void
test_create_finds_what_was_there(void **state)
{
    static const char options[] = "\x08\x00\xff\x01";
    struct store_create op = {.batch = {.id = "one",
                                        .algorithms = "sha512,md5",
                                        .created_wall_ms = 1234,
                                        .options = options,
                                        .options_len = 4}};
    struct store_mark by_id = {.id = "one"};

    (void)state;
    assert_int_equal(run(&op.op, STORE_CREATE), 0);
    assert_false(op.existed);
    assert_int_equal(op.batch.batch, 1);
    store_create_fini(&op);
    assert_int_equal(create("two"), 2);
    reopen(); // so that it comes from the file, not from memory

    op = (struct store_create){.batch = {.id = "one", .algorithms = "sha1"}};
    assert_int_equal(run(&op.op, STORE_CREATE), 0);
    assert_true(op.existed);
    assert_false(op.is_same);
    assert_int_equal(op.batch.batch, 1);
    assert_string_equal(op.batch.algorithms, "sha512,md5");
    assert_int_equal(op.batch.created_wall_ms, 1234);
    assert_int_equal(op.batch.options_len, 4);
    assert_memory_equal(op.batch.options, options, 4);
    store_create_fini(&op);

    assert_int_equal(run(&by_id.op, STORE_STATUS), 0);
    assert_int_equal(by_id.row.batch, 1);
    assert_memory_equal(by_id.row.options, options, 4);
    store_mark_fini(&by_id);
    (void)snprintf(by_id.id, sizeof(by_id.id), "three");
    by_id.batch = 0;
    assert_int_equal(run(&by_id.op, STORE_STATUS), -ENOENT);
    assert_int_equal(mark(STORE_STATUS, UINT64_MAX, 0, NULL), -ENOENT);
    assert_int_equal(mark(STORE_STATUS, 3, 0, NULL), -ENOENT);
}

static void
test_append_is_idempotent(void **state)
{
    uint64_t batch = create("b");
    struct store_append op;
    struct store_refill jobs;

    (void)state;
    assert_int_equal(append(batch, 0, 10, 1, &op), 0);
    assert_int_equal(op.submitted, 10);
    assert_int_equal(op.fresh_from, 0);
    assert_int_equal(append(batch, 0, 10, 1, &op), 0); // the same again
    assert_int_equal(op.submitted, 10);
    assert_int_equal(op.fresh_from, 10);
    assert_int_equal(append(batch, 5, 10, 1, &op), 0); // half of it is new
    assert_int_equal(op.submitted, 15);
    assert_int_equal(op.fresh_from, 10);
    assert_int_equal(append(batch, 16, 1, 1, &op), -ERANGE); // a gap
    assert_int_equal(append(batch, 15, 0, 1, NULL), 0);
    assert_int_equal(append(batch + 1, 0, 1, 1, NULL), -ENOENT);
    op =
        (struct store_append){.batch = batch, .first_seq = 15, .len = SIZE_MAX};
    assert_int_equal(run(&op.op, STORE_APPEND), -ERANGE);

    assert_int_equal(mark(STORE_CLOSE, batch, 15, NULL), 0);
    assert_int_equal(append(batch, 10, 5, 1, &op), 0);
    assert_int_equal(op.submitted, 15);
    assert_int_equal(append(batch, 10, 6, 1, NULL), -EPIPE);
    assert_int_equal(status(batch).submitted, 15);

    jobs = refill(batch, 1, 0, 100);
    assert_int_equal(jobs.len, 15);
    for (size_t i = 0; i < 15; i++) {
        char url[16];
        int len = snprintf(url, sizeof(url), "u%zu", i);

        assert_int_equal(jobs.jobs[i].seq, i);
        assert_int_equal(jobs.jobs[i].len, len);
        assert_memory_equal(jobs.jobs[i].url, url, (size_t)len);
    }
    store_refill_fini(&jobs);
}

static void
test_batch_finishes_by_close_or_by_finish(void **state)
{
    uint64_t a = create("a"), b = create("b"), empty = create("empty");
    struct store_batch row;
    bool is_finished;

    (void)state;
    assert_int_equal(append(a, 0, 2, 1, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, a, 3, NULL), -ERANGE);
    assert_false(status(a).is_closed);
    assert_int_equal(mark(STORE_CLOSE, a, 2, &row), 0);
    assert_true(row.is_closed);
    assert_int_equal(row.finished_wall_ms, 0);
    assert_int_equal(mark(STORE_CLOSE, a, 2, NULL), 0); // twice is fine
    assert_int_equal(finish(a, 1, 0, FAIL_OK, &is_finished), 0);
    assert_false(is_finished);
    assert_int_equal(finish(a, 1, 1, FAIL_DNS, &is_finished), 0);
    assert_true(is_finished);
    row = status(a);
    assert_true(row.finished_wall_ms > 0);
    assert_int_equal(mark(STORE_CANCEL, a, 0, &row), 0); // too late
    assert_false(row.is_cancelled);

    assert_int_equal(append(b, 0, 1, 1, NULL), 0);
    assert_int_equal(finish(b, 1, 0, FAIL_CANCELLED, &is_finished), 0);
    assert_false(is_finished);
    assert_int_equal(mark(STORE_CANCEL, b, 0, &row), 0);
    assert_true(row.is_cancelled);
    assert_true(row.is_closed); // takes no more, and had its last record
    assert_true(row.finished_wall_ms > 0);
    assert_int_equal(append(b, 1, 1, 1, NULL), -EPIPE);
    assert_int_equal(row.cancelled, 1);
    assert_int_equal(row.failed, 0);

    assert_int_equal(mark(STORE_CLOSE, empty, 0, &row), 0);
    assert_true(row.finished_wall_ms > 0);
    assert_int_equal(mark(STORE_CLOSE, 99, 0, NULL), -ENOENT);
    assert_int_equal(mark(STORE_CANCEL, 99, 0, NULL), -ENOENT);
}

static void
test_finish_once(void **state)
{
    uint64_t batch = create("b");
    struct store_finish first = finish_op(batch, 2, 1, FAIL_OK), second = first;
    struct store_batch row;

    (void)state;
    assert_int_equal(append(batch, 0, 4, 2, NULL), 0);
    assert_int_equal(finish(batch, 1, 1, FAIL_OK, NULL), -ENOENT); // origin
    assert_int_equal(finish(batch, 1, 4, FAIL_OK, NULL), -ENOENT);
    assert_int_equal(finish(batch + 1, 2, 1, FAIL_OK, NULL), -ENOENT);
    assert_int_equal(finish(batch, 2, UINT64_MAX, FAIL_OK, NULL), -ENOENT);
    push(&first.op, STORE_FINISH);
    push(&second.op, STORE_FINISH); // in the same transaction
    wait_all();
    assert_int_equal(first.op.err, 0);
    assert_int_equal(first.record.landed, 1);
    assert_int_equal(second.op.err, -ENOENT);
    assert_int_equal(finish(batch, 2, 1, FAIL_OK, NULL), -ENOENT);
    assert_int_equal(finish(batch, 2, 3, FAIL_TIMEOUT, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_CANCELLED, NULL), 0);
    row = status(batch);
    assert_int_equal(row.landed, 3);
    assert_int_equal(row.failed, 1);
    assert_int_equal(row.cancelled, 1);
    assert_int_equal(row.bytes, 100);
    assert_int_equal(row.submitted, 4);
}

static void
test_retry_is_remembered(void **state)
{
    uint64_t batch = create("b");
    struct store_retry op = {
        .batch = batch, .origin = 1, .seq = 1, .tries = 3, .lost = 2};
    struct store_refill jobs;

    (void)state;
    assert_int_equal(append(batch, 0, 2, 1, NULL), 0);
    assert_int_equal(run(&op.op, STORE_RETRY), 0);
    reopen();
    jobs = refill(batch, 1, 0, 10);
    assert_int_equal(jobs.len, 2);
    assert_int_equal(jobs.jobs[0].tries, 0);
    assert_int_equal(jobs.jobs[1].tries, 3);
    assert_int_equal(jobs.jobs[1].lost, 2);
    store_refill_fini(&jobs);
    op.seq = 2;
    assert_int_equal(run(&op.op, STORE_RETRY), -ENOENT);
    op.seq = UINT64_C(1) << 40; // not the first job of the next batch
    assert_int_equal(run(&op.op, STORE_RETRY), -ENOENT);
    op.batch = UINT64_MAX;
    assert_int_equal(run(&op.op, STORE_RETRY), -ENOENT);
}

static void
test_refill_pages(void **state)
{
    uint64_t batch = create("b");
    struct store_refill jobs = {.batch = 7};
    static char large[60000];
    struct store_url urls[20];
    struct store_append op = {.batch = batch, .urls = urls, .len = 20};

    (void)state;
    assert_int_equal(run(&jobs.op, STORE_REFILL), -ENOENT);
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < 20; i++)
        urls[i] = (struct store_url){large, sizeof(large), 5};
    assert_int_equal(run(&op.op, STORE_APPEND), 0);
    jobs = refill(batch, 5, 0, 20);
    assert_int_equal(jobs.len, 18); // the first to reach 1 MiB
    assert_false(jobs.is_end);
    assert_memory_equal(jobs.jobs[17].url, large, sizeof(large));
    store_refill_fini(&jobs);
    jobs = refill(batch, 5, 18, 2);
    assert_int_equal(jobs.len, 2);
    assert_true(jobs.is_end); // full, and yet there is no more
    store_refill_fini(&jobs);
    jobs = refill(batch, 5, 17, 2);
    assert_int_equal(jobs.jobs[0].seq, 17);
    assert_false(jobs.is_end);
    store_refill_fini(&jobs);
    jobs = refill(batch, 6, 0, 2);
    assert_int_equal(jobs.len, 0);
    assert_true(jobs.is_end);
    store_refill_fini(&jobs);
    jobs = refill(batch, 5, UINT64_MAX, 2);
    assert_int_equal(jobs.len, 0);
    store_refill_fini(&jobs);
}

static size_t
read_origins(uint64_t batch, size_t max, uint64_t *out_origins)
{
    struct store_origins op = {
        .batch = batch, .is_first = true, .origins = out_origins, .max = max};
    size_t len = 0;

    do {
        assert_int_equal(run(&op.op, STORE_ORIGINS), 0);
        len += op.len;
        op.origins += op.len;
        if (op.len > 0)
            op.after = op.origins[-1];
        op.is_first = false;
    } while (op.len == max);
    return len;
}

static int
compare_u64(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
test_origins_pages(void **state)
{
    // The edges of signed and unsigned numbers, each many times.
    static const uint64_t edges[] = {0,         1,          INT64_MAX - 1,
                                     INT64_MAX, 1ULL << 63, UINT64_MAX};
    uint64_t batch = create("b"), found[16];
    struct store_url urls[120];
    struct store_append op = {.batch = batch, .urls = urls, .len = 120};
    struct store_origins none = {.batch = 9, .origins = found, .max = 1};

    (void)state;
    assert_int_equal(run(&none.op, STORE_ORIGINS), -ENOENT);
    assert_int_equal(read_origins(batch, 3, found), 0);
    for (size_t i = 0; i < 120; i++)
        urls[i] = (struct store_url){"u", 1, edges[i % 6]};
    assert_int_equal(run(&op.op, STORE_APPEND), 0);
    for (size_t max = 1; max < 9; max++) {
        assert_int_equal(read_origins(batch, max, found), 6);
        qsort(found, 6, sizeof(*found), compare_u64);
        assert_memory_equal(found, edges, sizeof(edges));
    }
    for (size_t i = 1; i < 120; i += 6)
        assert_int_equal(finish(batch, 1, i, FAIL_OK, NULL), 0);
    assert_int_equal(read_origins(batch, 4, found), 5); // 1 has none left
}

static void
test_results_in_both_orders(void **state)
{
    static const uint64_t order[] = {3, 0, 1, 5};
    uint64_t batch = create("b");
    struct store_results page = {.batch = 77};

    (void)state;
    assert_int_equal(run(&page.op, STORE_RESULTS), -ENOENT);
    assert_int_equal(append(batch, 0, 6, 1, NULL), 0);
    page = results(batch, false, 0, 10, 1000);
    assert_int_equal(page.len, 0);
    assert_int_equal(page.next, 0);
    store_results_fini(&page);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            finish(batch, 1, order[i], i ? FAIL_OK : FAIL_HTTP, NULL), 0);
    reopen();
    page = results(batch, false, 0, 3, 1000);
    assert_int_equal(page.len, 3);
    assert_int_equal(page.next, 3);
    assert_int_equal(page.row.landed, 4);
    assert_string_equal(page.row.id, "b");
    for (size_t i = 0; i < 3; i++) {
        const struct store_record *record = &page.records[i];

        assert_int_equal(record->seq, order[i]);
        assert_int_equal(record->landed, i + 1);
        assert_int_equal(record->outcome, i ? FAIL_OK : FAIL_HTTP);
        assert_int_equal(record->size, 100);
        assert_int_equal(record->http_status, 200);
        assert_int_equal(record->tries, 2);
        assert_int_equal(record->url_len, 10);
        assert_memory_equal(record->url, "http://a/\xff", 10);
        assert_int_equal(record->digests_len, i ? 3 : 0);
        assert_memory_equal(record->digests, "\x00\xab", i ? 3 : 0);
        assert_int_equal(record->facts_len, 6);
        assert_memory_equal(record->facts, "fac\0ts", 6);
    }
    store_results_fini(&page);
    page = results(batch, false, 3, 3, 1000);
    assert_int_equal(page.len, 1);
    assert_int_equal(page.records[0].seq, 5);
    assert_int_equal(page.next, 4);
    store_results_fini(&page);
    page = results(batch, false, 0, 9, 1); // at least one
    assert_int_equal(page.len, 1);
    store_results_fini(&page);

    page = results(batch, true, 0, 9, 1000); // 2 is not there yet
    assert_int_equal(page.len, 2);
    assert_int_equal(page.records[0].seq, 0);
    assert_int_equal(page.records[1].seq, 1);
    assert_int_equal(page.records[1].landed, 3);
    assert_int_equal(page.next, 2);
    store_results_fini(&page);
    page = results(batch, true, 2, 9, 1000);
    assert_int_equal(page.len, 0);
    assert_int_equal(page.next, 2);
    store_results_fini(&page);
    assert_int_equal(finish(batch, 1, 2, FAIL_OK, NULL), 0);
    page = results(batch, true, 2, 9, 1000);
    assert_int_equal(page.len, 2); // 4 is not there yet
    assert_int_equal(page.next, 4);
    store_results_fini(&page);
    page = results(batch, true, UINT64_MAX, 9, 1000);
    assert_int_equal(page.len, 0);
    store_results_fini(&page);
}

static void
test_batches_pages(void **state)
{
    struct store_create op = {.batch = {.id = "x",
                                        .algorithms = "md5",
                                        .options = "opt",
                                        .options_len = 3}};
    struct store_batches list = {.max = 2};
    char id[16];

    (void)state;
    assert_int_equal(run(&list.op, STORE_BATCHES), 0);
    assert_int_equal(list.len, 0);
    store_batches_fini(&list);
    for (int i = 1; i < 5; i++) {
        (void)snprintf(id, sizeof(id), "b%d", i);
        assert_int_equal(create(id), i);
    }
    assert_int_equal(run(&op.op, STORE_CREATE), 0);
    store_create_fini(&op);
    assert_int_equal(mark(STORE_CLOSE, 2, 0, NULL), 0); // finished
    assert_int_equal(append(4, 0, 3, 1, NULL), 0);

    list.after = 1;
    assert_int_equal(run(&list.op, STORE_BATCHES), 0);
    assert_int_equal(list.len, 2);
    assert_int_equal(list.rows[0].batch, 2);
    assert_int_equal(list.rows[1].batch, 3);
    store_batches_fini(&list);
    list.only_unfinished = true;
    list.max = 10;
    assert_int_equal(run(&list.op, STORE_BATCHES), 0);
    assert_int_equal(list.len, 3);
    assert_int_equal(list.rows[0].batch, 3);
    assert_int_equal(list.rows[1].submitted, 3);
    assert_string_equal(list.rows[2].algorithms, "md5");
    assert_int_equal(list.rows[2].options_len, 3);
    assert_memory_equal(list.rows[2].options, "opt", 3);
    store_batches_fini(&list);
    list.after = UINT64_MAX;
    assert_int_equal(run(&list.op, STORE_BATCHES), 0);
    assert_int_equal(list.len, 0);
    store_batches_fini(&list);
}

// More batches in one transaction than rows are kept in memory.
static void
test_many_batches_at_once(void **state)
{
    enum { LEN = 600 };
    static struct store_append ops[2 * LEN];
    static const struct store_url url = {"u", 1, 1};
    char id[16];

    (void)state;
    memset(ops, 0, sizeof(ops));
    for (int i = 1; i <= LEN; i++) {
        (void)snprintf(id, sizeof(id), "b%d", i);
        assert_int_equal(create(id), i);
    }
    for (size_t i = 0; i < 2 * LEN; i++) {
        ops[i].batch = i % LEN + 1;
        ops[i].first_seq = i / LEN;
        ops[i].urls = &url;
        ops[i].len = 1;
        push(&ops[i].op, STORE_APPEND);
    }
    wait_all();
    for (size_t i = 0; i < 2 * LEN; i++)
        assert_int_equal(ops[i].op.err, 0);
    reopen();
    for (uint64_t i = 1; i <= LEN; i++)
        assert_int_equal(status(i).submitted, 2);
}

// --- Many ---

static void
test_hundred_thousand(void **state)
{
    enum { LEN = 150000, ORIGINS = 1000 }; // three parts of the queue
    struct store_finish *ops = calloc(LEN, sizeof(*ops));
    uint64_t batch, *origins = calloc(ORIGINS + 100, sizeof(*origins));
    struct store_refill jobs;
    struct store_results page;
    struct store_batch row;
    uint64_t seen = 0;

    (void)state;
    assert_non_null(ops);
    assert_non_null(origins);
    store_close(&f.store);
    assert_int_equal(open_store(NULL, false), 0);
    batch = create("b");
    for (uint64_t i = 0; i < LEN; i += 1000)
        assert_int_equal(append(batch, i, 1000, ORIGINS, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, batch, LEN, NULL), 0);
    assert_int_equal(read_origins(batch, 100, origins), ORIGINS);
    qsort(origins, ORIGINS, sizeof(*origins), compare_u64);
    for (size_t i = 0; i < ORIGINS; i++)
        assert_int_equal(origins[i], i + 1);
    jobs = refill(batch, 8, 60007, 1000);
    assert_int_equal(jobs.len, 90);
    for (size_t i = 0; i < 90; i++)
        assert_int_equal(jobs.jobs[i].seq, 60007 + i * ORIGINS);
    store_refill_fini(&jobs);
    for (uint64_t i = 0; i < LEN; i++) { // 7919 is prime to LEN
        uint64_t seq = i * 7919 % LEN;

        ops[i] = finish_op(batch, seq % ORIGINS + 1, seq, FAIL_OK);
        push(&ops[i].op, STORE_FINISH);
        if (i % 1000 == 0)
            store_flush(f.store);
    }
    wait_all();
    for (uint64_t i = 0; i < LEN; i++) {
        assert_int_equal(ops[i].op.err, 0);
        assert_int_equal(ops[i].record.landed, i + 1);
        assert_int_equal(ops[i].batch_is_finished, i == LEN - 1);
    }
    row = status(batch);
    assert_int_equal(row.landed, LEN);
    assert_int_equal(row.bytes, (uint64_t)LEN * 100);
    do {
        page = results(batch, true, seen, 4096, 1000000);
        seen = page.next;
        store_results_fini(&page);
    } while (page.next < LEN && page.next > page.after);
    assert_int_equal(seen, LEN);
    assert_int_equal(read_origins(batch, 10, origins), 0);
    free(ops);
    free(origins);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_create_finds_what_was_there),
        STORE_TEST(test_append_is_idempotent),
        STORE_TEST(test_batch_finishes_by_close_or_by_finish),
        STORE_TEST(test_finish_once),
        STORE_TEST(test_retry_is_remembered),
        STORE_TEST(test_refill_pages),
        STORE_TEST(test_origins_pages),
        STORE_TEST(test_results_in_both_orders),
        STORE_TEST(test_batches_pages),
        STORE_TEST(test_many_batches_at_once),
        STORE_TEST(test_hundred_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
