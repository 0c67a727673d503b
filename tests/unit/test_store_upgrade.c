// The store: files of an older schema, and damaged ones.
#include "common/list_hash.h"
#include "tests/unit/sql_number.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

// Schema 1 as it was written by 0.1, with a finished batch of two lines, an
// open one of one line, and an empty one.
static const char schema_1[] =
    "PRAGMA page_size=4096;"
    "PRAGMA journal_mode=WAL;"
    "BEGIN;"
    "CREATE TABLE batch("
    " batch INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " algorithms TEXT NOT NULL,"
    " options BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " finished_ms INTEGER NOT NULL DEFAULT 0,"
    " closed INTEGER NOT NULL DEFAULT 0,"
    " cancelled INTEGER NOT NULL DEFAULT 0,"
    " submitted INTEGER NOT NULL DEFAULT 0,"
    " landed INTEGER NOT NULL DEFAULT 0,"
    " failed INTEGER NOT NULL DEFAULT 0,"
    " cancelled_urls INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX batch_unfinished ON batch(batch) WHERE finished_ms=0;"
    "CREATE TABLE job("
    " part INTEGER NOT NULL,"
    " origin INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " tries INTEGER NOT NULL,"
    " lost INTEGER NOT NULL,"
    " url BLOB NOT NULL,"
    " PRIMARY KEY(part,origin,seq)) WITHOUT ROWID;"
    "CREATE TABLE result("
    " key INTEGER PRIMARY KEY,"
    " seq INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL,"
    " size INTEGER NOT NULL,"
    " http_status INTEGER NOT NULL,"
    " tries INTEGER NOT NULL,"
    " url BLOB NOT NULL,"
    " digests BLOB NOT NULL,"
    " facts BLOB NOT NULL);"
    "CREATE TABLE place(key INTEGER PRIMARY KEY, landed INTEGER NOT NULL);"
    "CREATE TABLE outcome(number INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE VIEW results AS"
    " SELECT b.id AS batch, r.seq, CAST(r.url AS TEXT) AS url,"
    "  coalesce(o.name, r.outcome) AS outcome, r.size,"
    "  lower(hex(r.digests)) AS digests, r.http_status, r.tries"
    " FROM batch b"
    " JOIN result r ON r.key BETWEEN b.batch<<40 AND b.batch<<40|0xffffffffff"
    " LEFT JOIN outcome o ON o.number=r.outcome;"
    "INSERT INTO outcome VALUES(0,'ok');"
    "INSERT INTO batch VALUES"
    " (1,'done','sha512',x'0801',7,99,1,0,2,2,0,0,200),"
    " (2,'open','sha512',x'',8,0,0,0,1,0,0,0,0),"
    " (3,'empty','sha512',x'',9,0,0,0,0,0,0,0,0);"
    "INSERT INTO result VALUES"
    " (1<<40|1,1,0,100,200,1,'u1',x'ab',x''),"
    " (1<<40|2,0,0,100,200,1,'u0',x'cd',x'');"
    "INSERT INTO place VALUES(1<<40|1,1),(1<<40|0,2);"
    "INSERT INTO job VALUES((2<<40)>>16,1,0,1,0,'u0');"
    "PRAGMA application_id=0x75726c73;"
    "PRAGMA user_version=1;"
    "COMMIT;";

static void
write_schema_1(void)
{
    sqlite3 *db = NULL;

    store_close(&f.store);
    (void)unlink(f.path);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema_1, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
check_upgraded(void)
{
    struct store_results page;
    struct store_refill jobs;
    struct store_mark op = {
        .batch = 2, .size = 3, .has_list_hash = true, .list_hash = 12345};

    page = results(1, true, 0, 10, 1000);
    assert_int_equal(page.len, 2);
    assert_int_equal(page.records[0].landed, 2);
    assert_int_equal(page.row.replaced, 0);
    assert_int_equal(page.row.options_len, 2);
    store_results_fini(&page);
    assert_int_equal(status(2).list_hash, 0); // cannot be known
    assert_int_equal(append(2, 1, 2, 1, NULL), 0);
    assert_int_equal(status(2).list_hash, 0);
    jobs = refill(2, 1, 0, 10);
    assert_int_equal(jobs.len, 3);
    assert_int_equal(jobs.jobs[0].tries, 1);
    store_refill_fini(&jobs);
    assert_int_equal(run(&op.op, STORE_CLOSE), 0); // so any is taken
    store_mark_fini(&op);
    assert_true(status(3).list_hash == LIST_HASH_EMPTY);
    assert_int_equal(mark(STORE_REMOVE, 1, 0, NULL), 0);
    assert_int_equal(create("done"), 4);
}

static void
test_schema_1_is_upgraded(void **state)
{
    (void)state;
    write_schema_1();
    assert_int_equal(sql_number(f.path, "PRAGMA auto_vacuum"), 0);
    assert_int_equal(open_store(f.path, true), 0);
    check_upgraded();
    store_close(&f.store);
    assert_int_equal(sql_number(f.path, "PRAGMA user_version"), 2);
    assert_int_equal(sql_number(f.path, "PRAGMA auto_vacuum"),
                     2); // small, so it can shrink
    assert_int_equal(sql_number(f.path, "SELECT count(*) FROM results"),
                     0); // 1 is removed
    assert_int_equal(open_store(f.path, true), 0);
}

// What an upgraded file has is what a new one has.
static void
test_upgraded_like_new(void **state)
{
    static const char sql[] =
        "SELECT count(*) FROM sqlite_master WHERE type IN('index','view')";
    int64_t fresh, columns;

    (void)state;
    store_close(&f.store);
    fresh = sql_number(f.path, sql);
    columns =
        sql_number(f.path, "SELECT count(*) FROM pragma_table_info('batch')");
    write_schema_1();
    assert_int_equal(open_store(f.path, true), 0);
    store_close(&f.store);
    assert_int_equal(sql_number(f.path, sql), fresh);
    assert_int_equal(
        sql_number(f.path, "SELECT count(*) FROM pragma_table_info('batch')"),
        columns);
    assert_int_equal(open_store(f.path, true), 0);
}

static long statements_left;

static int
on_statement(unsigned mask, void *arg, void *stmt, void *sql)
{
    (void)mask;
    (void)arg;
    (void)stmt;
    (void)sql;
    if (--statements_left == 0)
        (void)raise(SIGKILL);
    return 0;
}

static int
watch(sqlite3 *db, char **why, const struct sqlite3_api_routines *calls)
{
    (void)why;
    (void)calls;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

// Killed before its n-th statement, for every n until it gets to the end: the
// next opening has all of it.
static void
test_killed_while_upgrading(void **state)
{
    bool was_killed = true;
    long n = 0;

    (void)state;
    store_close(&f.store);
    loop_free(&f.loop); // a child has no threads of its parent
    while (was_killed) {
        pid_t child;
        int how;

        n++;
        write_schema_1();
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            statements_left = n;
            if (sqlite3_auto_extension((void (*)(void))watch) != SQLITE_OK ||
                loop_new(&f.loop) != 0)
                _exit(1);
            _exit(open_store(f.path, true) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        was_killed = WIFSIGNALED(how);
        assert_true(was_killed || WEXITSTATUS(how) == 0);
        assert_int_equal(loop_new(&f.loop), 0);
        assert_int_equal(open_store(f.path, true), 0);
        check_upgraded();
        store_close(&f.store);
        loop_free(&f.loop);
    }
    assert_true(n > 20); // it did go through the statements
    assert_int_equal(loop_new(&f.loop), 0);
    assert_int_equal(open_store(f.path, true), 0);
}

static void
test_damaged_file_is_told(void **state)
{
    char page[4096];
    int fd;

    (void)state;
    assert_int_equal(create("b"), 1);
    store_close(&f.store);
    fd = open(f.path, O_RDWR);
    assert_true(fd >= 0);
    memset(page, 0x5a, sizeof(page));
    // The head stays; the tree of tables behind it is no more.
    assert_int_equal(pwrite(fd, page, sizeof(page) - 100, 100), 3996);
    (void)close(fd);
    assert_int_equal(open_store(f.path, true), -EIO);
    assert_non_null(strstr(f.why, "is damaged"));
    assert_non_null(strstr(f.why, ".recover"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_schema_1_is_upgraded),
        STORE_TEST(test_upgraded_like_new),
        STORE_TEST(test_killed_while_upgrading),
        STORE_TEST(test_damaged_file_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
