// The store: disks that are full, fail to write or to sync, and damaged pages.
// Built together with tests/faulty_disk.c, which makes the calls fail.
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <sqlite3.h>

// From now on these calls fail (see faulty_disk.c); "": none.
static void
faults(const char *rules)
{
    char path[96];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/faults", f.folder);
    (void)setenv("FAULTY_DISK", path, 1);
    (void)unlink(path);
    if (!rules[0])
        return;
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(rules, file);
    (void)fclose(file);
}

static int
tear_down_faults(void **state)
{
    faults("");
    (void)unsetenv("FAULTY_DISK");
    return tear_down(state);
}

static void
check_integrity(void)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;

    store_close(&f.store);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    (void)sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(open_store(f.path, true), 0);
}

// A group of every sort fails for the given fault, and goes through after it.
static void
check_fault(const char *rules, int err)
{
    uint64_t batch = create("b");
    struct store_finish done = finish_op(batch, 1, 1, FAIL_OK);
    struct store_url url = {"u3", 2, 1};
    struct store_append more = {
        .batch = batch, .first_seq = 3, .urls = &url, .len = 1};
    struct store_results page = {.batch = batch, .max = 9, .bytes_max = 999};
    struct store_refill jobs = {.batch = batch, .origin = 1, .max = 9};
    struct store_create old = {.batch = {.id = "b", .algorithms = "md5"}};
    struct store_mark by_id = {.id = "new"};
    struct store_create new = {.batch = {.id = "new", .algorithms = "md5"}};

    store_close(&f.store);
    assert_int_equal(open_store(f.path, true), 0);
    assert_int_equal(append(batch, 0, 3, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_OK, NULL), 0);
    faults(rules);
    for (int i = 0; i < 3; i++) {
        push(&done.op, STORE_FINISH);
        push(&more.op, STORE_APPEND);
        push(&page.op, STORE_RESULTS);
        push(&jobs.op, STORE_REFILL);
        push(&new.op, STORE_CREATE);
        push(&by_id.op, STORE_STATUS);
        wait_all();
        assert_int_equal(done.op.err, err);
        assert_int_equal(more.op.err, err);
        assert_int_equal(new.op.err, err);
        assert_int_equal(page.op.err, 0); // only reads, what is committed
        assert_int_equal(page.len, 1);
        assert_int_equal(page.row.submitted, 3);
        assert_int_equal(jobs.op.err, 0);
        assert_int_equal(jobs.len, 2);
        assert_int_equal(by_id.op.err, -ENOENT);
        store_results_fini(&page);
        store_refill_fini(&jobs);
    }
    faults("");
    assert_int_equal(run(&done.op, STORE_FINISH), 0);
    assert_int_equal(done.record.landed, 2);
    assert_int_equal(run(&more.op, STORE_APPEND), 0);
    assert_int_equal(run(&new.op, STORE_CREATE), 0);
    assert_int_equal(new.batch.batch, batch + 1);
    assert_int_equal(run(&old.op, STORE_CREATE), 0);
    assert_true(old.existed);
    store_create_fini(&old);
    check_integrity();
    assert_int_equal(status(batch).landed, 2);
    assert_int_equal(status(batch).submitted, 4);
}

static void
test_sync_fails(void **state)
{
    (void)state;
    check_fault("sync EIO .db-wal", -EIO);
}

static void
test_write_fails(void **state)
{
    (void)state;
    check_fault("write EIO .db-wal", -EIO);
}

static void
test_no_room(void **state)
{
    (void)state;
    check_fault("write ENOSPC .db-wal", -ENOSPC);
}

static void
test_quota(void **state)
{
    (void)state;
    check_fault("write EDQUOT .db-wal", -ENOSPC);
}

static void
append_large(uint64_t batch, uint64_t first, size_t len, int err)
{
    static char text[60000];
    struct store_url urls[20];
    struct store_append op = {
        .batch = batch, .first_seq = first, .urls = urls, .len = len};

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < len; i++)
        urls[i] = (struct store_url){text, sizeof(text), 1};
    assert_int_equal(run(&op.op, STORE_APPEND), err);
}

// The log cannot be moved into the file: commits go on, and it is moved later.
static void
move_fails(const char *rules)
{
    uint64_t batch = create("b");
    char path[96];
    struct stat log;

    faults(rules);
    for (uint64_t i = 0; i < 400; i += 20)
        append_large(batch, i, 20, 0);
    (void)snprintf(path, sizeof(path), "%s-wal", f.path);
    assert_int_equal(stat(path, &log), 0);
    assert_true(log.st_size > 24000000); // beyond where it is moved
    faults("");
    append_large(batch, 400, 20, 0);
    append_large(batch, 420, 1, 0);
    check_integrity();
    assert_int_equal(status(batch).submitted, 421);
}

static void
test_file_sync_fails(void **state)
{
    (void)state;
    store_close(&f.store);
    assert_int_equal(open_store(f.path, true), 0);
    move_fails("sync EIO store.db");
}

static void
test_file_write_fails(void **state)
{
    (void)state;
    move_fails("write ENOSPC store.db 100");
}

// --- Room for some ---

static void
limit_files(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
test_small_records_get_through(void **state)
{
    enum { LEN = 10 };
    static char text[60000];
    uint64_t small = create("small"), large = create("large");
    struct store_url urls[20];
    struct store_append append_op = {.batch = large, .urls = urls, .len = 20};
    struct store_mark close_op = {.batch = large, .size = 20};
    struct store_mark other = {.batch = small, .size = LEN};
    struct store_mark look = {.batch = large};
    struct store_finish done[LEN];
    struct stat log;
    char path[96];

    (void)state;
    assert_int_equal(append(small, 0, LEN, 1, NULL), 0);
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < 20; i++)
        urls[i] = (struct store_url){text, sizeof(text), 1};
    (void)snprintf(path, sizeof(path), "%s-wal", f.path);
    assert_int_equal(stat(path, &log), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)log.st_size + 100000);
    push(&append_op.op, STORE_APPEND);
    push(&close_op.op, STORE_CLOSE);
    for (size_t i = 0; i < LEN; i++) {
        done[i] = finish_op(small, 1, i, FAIL_OK);
        push(&done[i].op, STORE_FINISH);
    }
    push(&other.op, STORE_CLOSE);
    push(&look.op, STORE_STATUS);
    wait_all();
    limit_files(RLIM_INFINITY);
    assert_int_equal(append_op.op.err, -ENOSPC);
    assert_int_equal(close_op.op.err, -ENOSPC); // and not: another size
    for (size_t i = 0; i < LEN; i++) {
        assert_int_equal(done[i].op.err, 0);
        assert_int_equal(done[i].record.landed, i + 1);
    }
    assert_int_equal(other.op.err, 0);
    assert_true(other.row.finished_wall_ms > 0);
    assert_int_equal(look.op.err, 0);
    assert_int_equal(look.row.submitted, 0);
    store_mark_fini(&close_op);
    store_mark_fini(&other);
    store_mark_fini(&look);
    assert_int_equal(run(&append_op.op, STORE_APPEND), 0);
    assert_int_equal(run(&close_op.op, STORE_CLOSE), 0);
    store_mark_fini(&close_op);
    check_integrity();
    assert_int_equal(status(small).landed, LEN);
}

static void
test_full_tmpfs(void **state)
{
    uint64_t batch, len = 0;
    char options[32] = "size=1m", path[96];
    int err = 0;

    (void)state;
    store_close(&f.store);
    (void)snprintf(path, sizeof(path), "%s/disk", f.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("urlsum-test", path, "tmpfs", 0, options) != 0) {
        (void)rmdir(path);
        assert_int_equal(open_store(f.path, true), 0);
        skip();
    }
    (void)snprintf(f.path, sizeof(f.path), "%s/disk/store.db", f.folder);
    assert_int_equal(open_store(f.path, true), 0);
    batch = create("b");
    while (!err && len < 1000000) {
        err = append(batch, len, 1000, 1, NULL);
        len += err ? 0 : 1000;
    }
    assert_int_equal(err, -ENOSPC);
    assert_true(len > 0);
    assert_int_equal(status(batch).submitted, len);
    store_close(&f.store); // on a full disk
    assert_int_equal(open_store(f.path, true), 0);
    assert_int_equal(status(batch).submitted, len);
    (void)snprintf(options, sizeof(options), "size=8m");
    assert_int_equal(mount("urlsum-test", path, "tmpfs", MS_REMOUNT, options),
                     0);
    assert_int_equal(append(batch, len, 1000, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_OK, NULL), 0);
    check_integrity();
    assert_int_equal(status(batch).submitted, len + 1000);

    store_close(&f.store);
    assert_int_equal(umount(path), 0);
    assert_int_equal(rmdir(path), 0);
    (void)snprintf(f.path, sizeof(f.path), "%s/store.db", f.folder);
    assert_int_equal(open_store(f.path, true), 0);
}

// --- A damaged page ---

static void
damage_a_page_of_jobs(void)
{
    static const char sql[] = "SELECT pageno FROM dbstat WHERE name='job' AND "
                              "pagetype='leaf' LIMIT 1 OFFSET 20";
    sqlite3_stmt *stmt = NULL;
    sqlite3 *db = NULL;
    char page[4096];
    off_t number;
    int fd;

    store_close(&f.store);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    number = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    memset(page, 0x5a, sizeof(page));
    fd = open(f.path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, page, sizeof(page), (number - 1) * 4096), 4096);
    (void)close(fd);
    assert_int_equal(open_store(f.path, true), 0);
}

// Who needs that page fails; the neighbours in the group do not.
static void
test_damaged_page_fails_few(void **state)
{
    enum { LEN = 200 };
    uint64_t batch = create("b"), damaged = 0;
    static struct store_finish done[LEN];
    struct store_mark close_op = {.batch = batch, .size = 20000};
    struct store_refill jobs = {.batch = batch, .origin = 1, .max = 20000};

    (void)state;
    for (uint64_t i = 0; i < 20000; i += 1000)
        assert_int_equal(append(batch, i, 1000, 1, NULL), 0);
    damage_a_page_of_jobs();
    for (uint64_t i = 0; i < LEN; i++) {
        done[i] = finish_op(batch, 1, i * 100, FAIL_OK);
        push(&done[i].op, STORE_FINISH);
    }
    push(&close_op.op, STORE_CLOSE);
    push(&jobs.op, STORE_REFILL);
    wait_all();
    for (uint64_t i = 0; i < LEN; i++)
        damaged += done[i].op.err != 0;
    assert_true(damaged >= 1 && damaged <= 4);
    assert_int_equal(close_op.op.err, 0);
    assert_int_equal(close_op.row.landed, LEN - damaged);
    assert_int_equal(jobs.op.err, -EIO);
    store_mark_fini(&close_op);
    store_refill_fini(&jobs);
    assert_int_equal(status(batch).landed, LEN - damaged);
}

#define TROUBLE_TEST(test)                                                     \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down_faults)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TROUBLE_TEST(test_sync_fails),
        TROUBLE_TEST(test_write_fails),
        TROUBLE_TEST(test_no_room),
        TROUBLE_TEST(test_quota),
        TROUBLE_TEST(test_file_sync_fails),
        TROUBLE_TEST(test_file_write_fails),
        TROUBLE_TEST(test_small_records_get_through),
        TROUBLE_TEST(test_full_tmpfs),
        TROUBLE_TEST(test_damaged_page_fails_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
