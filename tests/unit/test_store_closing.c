// The store: closed origins, which outlive the broker.
#include "tests/unit/sql_number.h"
#include "tests/unit/store_fixture.h"

static int
note(uint64_t origin, int64_t until_ms, int64_t over_before_ms)
{
    struct store_note_closing op = {
        .closing = {.origin = origin,
                    .text = "https://h.example:443",
                    .until_wall_ms = until_ms,
                    .status = 429,
                    .is_told = origin % 2,
                    .incidents = (uint32_t)(origin % 7)},
        .over_before_wall_ms = over_before_ms};

    return run(&op.op, STORE_NOTE_CLOSING);
}

static struct store_closings
closings(int64_t over_before_ms, size_t max)
{
    struct store_closings op = {.over_before_wall_ms = over_before_ms,
                                .max = max};

    assert_int_equal(run(&op.op, STORE_CLOSINGS), 0);
    return op;
}

static void
test_noted_and_read(void **state)
{
    const uint64_t high = UINT64_MAX - 5; // origins are hashes of 64 bits
    struct store_closings page;

    (void)state;
    page = closings(0, 10);
    assert_int_equal(page.len, 0);
    assert_int_equal(note(high, 5000, 0), 0);
    assert_int_equal(note(3, 7000, 0), 0);
    assert_int_equal(note(high, 9000, 0), 0); // in place of the first
    store_close(&f.store);
    assert_int_equal(open_store(f.path, false), 0);
    page = closings(0, 10);
    assert_int_equal(page.len, 2);
    assert_true(page.closings[0].origin == high);
    assert_int_equal(page.closings[0].until_wall_ms, 9000);
    assert_int_equal(page.closings[0].incidents, high % 7);
    assert_true(page.closings[1].is_told);
    assert_int_equal(page.closings[1].status, 429);
    assert_string_equal(page.closings[1].text, "https://h.example:443");
    store_closings_fini(&page);
    page = closings(7001, 10); // the others are over
    assert_int_equal(page.len, 1);
    store_closings_fini(&page);
    page = closings(0, 1); // the last to open
    assert_int_equal(page.len, 1);
    assert_int_equal(page.closings[0].until_wall_ms, 9000);
    store_closings_fini(&page);
}

static void
test_what_is_over_goes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(note(i, (int64_t)i * 1000, 0), 0);
    assert_int_equal(note(500, 500000, 90 * 1000), 0);
    store_close(&f.store);
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM closing"), 11);
}

// A file of the time before has no such table, and gets it.
static void
test_older_file(void **state)
{
    sqlite3 *db = NULL;

    (void)state;
    store_close(&f.store);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE closing", NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(open_store(f.path, false), 0);
    assert_int_equal(note(1, 1000, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_noted_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_over_goes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_older_file, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
