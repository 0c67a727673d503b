// The store's file: restarts, files that are not ours, a disk without room.
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

static void
execute_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

// --- Restarts ---

static void
test_reopen_goes_on(void **state)
{
    uint64_t batch = create("b");
    struct store_results page;
    bool is_finished;

    (void)state;
    assert_int_equal(append(batch, 0, 3, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 1, FAIL_OK, NULL), 0);
    reopen();
    assert_int_equal(append(batch, 2, 2, 1, NULL), 0);
    assert_int_equal(mark(STORE_CLOSE, batch, 4, NULL), 0);
    assert_int_equal(finish(batch, 1, 1, FAIL_OK, NULL), -ENOENT);
    assert_int_equal(finish(batch, 1, 0, FAIL_OK, NULL), 0);
    assert_int_equal(finish(batch, 1, 3, FAIL_OK, NULL), 0);
    reopen();
    assert_int_equal(finish(batch, 1, 2, FAIL_OK, &is_finished), 0);
    assert_true(is_finished);
    page = results(batch, true, 0, 10, 1000);
    assert_int_equal(page.len, 4);
    assert_int_equal(page.records[0].landed, 2);
    store_results_fini(&page);
    assert_int_equal(create("c"), batch + 1);
}

static void
test_survives_a_kill(void **state)
{
    pid_t child;
    int how;

    (void)state;
    store_close(&f.store);
    loop_free(&f.loop); // a child has no threads of its parent
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (loop_new(&f.loop) != 0 || open_store(f.path, true) != 0)
            _exit(1);
        if (append(create("b"), 0, 7, 1, NULL) != 0)
            _exit(1);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(loop_new(&f.loop), 0);
    assert_int_equal(open_store(f.path, true), 0);
    assert_int_equal(status(1).submitted, 7);
}

static size_t late_len;

static void
on_late(struct store_op *op)
{
    late_len++;
    assert_int_equal(op->err, late_len == 1 ? 0 : -ESHUTDOWN);
    if (late_len == 1) {
        store_push(f.store, op);
        store_flush(f.store);
    }
}

static void
test_close_gives_everything_back(void **state)
{
    struct store_create op = {
        .op = {.kind = STORE_CREATE, .done = on_late, .err = -EIO},
        .batch = {.id = "b", .algorithms = "md5"}};
    struct store_stats stats;

    (void)state;
    late_len = 0;
    store_push(f.store, &op.op); // and no flush
    store_stats(f.store, &stats);
    assert_int_equal(stats.waiting, 1);
    store_close(&f.store);
    assert_int_equal(late_len, 2);
    assert_int_equal(open_store(f.path, false), 0);
    assert_string_equal(status(1).id, "b");
    store_stats(f.store, &stats);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.operations, 1);
    assert_int_equal(stats.commits, 0); // it only read
}

// --- Files ---

static void
test_second_opener_is_refused(void **state)
{
    struct store_config config = {.path = f.path};
    struct store *second = NULL;

    (void)state;
    assert_int_equal(store_open(&config, f.loop, &second, f.why, sizeof(f.why)),
                     -EBUSY);
    assert_null(second);
    assert_non_null(strstr(f.why, "in use by another broker"));
    assert_int_equal(create("b"), 1); // the first one works on
}

static void
test_newer_schema_is_refused(void **state)
{
    (void)state;
    store_close(&f.store);
    execute_sql(f.path, "PRAGMA user_version=3");
    assert_int_equal(open_store(f.path, false), -EPROTONOSUPPORT);
    assert_null(f.store);
    assert_non_null(strstr(f.why, "newer"));
}

static void
test_foreign_files_are_refused(void **state)
{
    char before[4096] = "", after[4096] = "";
    FILE *file;

    (void)state;
    store_close(&f.store);
    assert_int_equal(unlink(f.path), 0);
    execute_sql(f.path, "CREATE TABLE photos(id)");
    file = fopen(f.path, "r");
    assert_non_null(file);
    assert_int_equal(fread(before, 1, sizeof(before), file), sizeof(before));
    (void)fclose(file);
    assert_int_equal(open_store(f.path, true), -EINVAL);
    assert_non_null(strstr(f.why, "another program"));
    file = fopen(f.path, "r");
    assert_non_null(file);
    assert_int_equal(fread(after, 1, sizeof(after), file), sizeof(after));
    (void)fclose(file);
    assert_memory_equal(before, after, sizeof(before)); // untouched

    file = fopen(f.path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        (void)fputs("https://example.org/\n", file);
    (void)fclose(file);
    assert_int_equal(open_store(f.path, true), -EINVAL);
    assert_non_null(strstr(f.why, "not a store"));
}

static void
test_folder_and_file_are_private(void **state)
{
    char folder[96], path[160];
    struct stat info;

    (void)state;
    store_close(&f.store);
    (void)snprintf(folder, sizeof(folder), "%s/a/b", f.folder);
    (void)snprintf(path, sizeof(path), "%s/s.db", folder);
    assert_int_equal(open_store(path, true), 0);
    assert_int_equal(create("b"), 1);
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    store_close(&f.store);

    (void)snprintf(path + strlen(path), 16, "/c"); // below a file
    assert_int_equal(open_store(path, true), -EACCES);
    assert_non_null(strstr(f.why, "/s.db"));
    assert_int_equal(open_store(f.folder, true), -EACCES); // a folder
    path[strlen(path) - 2] = '\0';
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(rmdir(folder), 0);
}

static int
on_sql_row(void *arg, int len, char **values, char **names)
{
    char *line = arg;

    (void)names;
    for (int i = 0; i < len; i++) {
        (void)strcat(line, values[i]);
        (void)strcat(line, "|");
    }
    return 0;
}

static void
test_results_by_sql(void **state)
{
    uint64_t batch = create("mine");
    char line[512] = "";
    sqlite3 *db = NULL;

    (void)state;
    assert_int_equal(append(batch, 0, 2, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 1, FAIL_OK, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_DNS, NULL), 0);
    store_close(&f.store);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "SELECT batch,seq,outcome,size,digests,http_status "
                     "FROM results",
                     on_sql_row, line, NULL),
        SQLITE_OK);
    assert_string_equal(line, "mine|1|ok|100|00ab00|200|mine|0|dns|100||200|");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

// --- Trouble ---

static void
limit_files(rlim_t bytes)
{
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
test_group_fails_as_one(void **state)
{
    uint64_t batch = create("b");
    struct store_finish done = finish_op(batch, 1, 1, FAIL_OK);
    struct store_append more = {.batch = batch, .first_seq = 3};
    struct store_url url = {"u3", 2, 1};
    struct store_results page = {.batch = batch, .max = 9, .bytes_max = 999};
    struct store_create new = {.batch = {.id = "new", .algorithms = "md5"}};
    struct stat log;
    char path[112];

    (void)state;
    assert_int_equal(append(batch, 0, 3, 1, NULL), 0);
    assert_int_equal(finish(batch, 1, 0, FAIL_OK, NULL), 0);
    (void)snprintf(path, sizeof(path), "%s-wal", f.path);
    assert_int_equal(stat(path, &log), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)log.st_size); // no byte more
    more.urls = &url;
    more.len = 1;
    push(&done.op, STORE_FINISH);
    push(&more.op, STORE_APPEND);
    push(&page.op, STORE_RESULTS);
    push(&new.op, STORE_CREATE);
    wait_all();
    assert_int_equal(done.op.err, -ENOSPC);
    assert_int_equal(more.op.err, -ENOSPC);
    assert_int_equal(page.op.err, 0); // run again, on what there is
    assert_int_equal(page.len, 1);
    assert_int_equal(page.row.submitted, 3);
    assert_int_equal(new.op.err, -ENOSPC);
    store_results_fini(&page);
    assert_int_equal(status(batch).landed, 1);
    assert_int_equal(status(batch).submitted, 3);

    limit_files(RLIM_INFINITY); // room returns
    assert_int_equal(run(&done.op, STORE_FINISH), 0);
    assert_int_equal(done.record.landed, 2);
    assert_int_equal(run(&more.op, STORE_APPEND), 0);
    assert_int_equal(more.submitted, 4);
    assert_int_equal(create("new"), batch + 1);
    reopen();
    assert_int_equal(status(batch).landed, 2);
    assert_int_equal(status(batch).submitted, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_reopen_goes_on),
        STORE_TEST(test_survives_a_kill),
        STORE_TEST(test_close_gives_everything_back),
        STORE_TEST(test_second_opener_is_refused),
        STORE_TEST(test_newer_schema_is_refused),
        STORE_TEST(test_foreign_files_are_refused),
        STORE_TEST(test_folder_and_file_are_private),
        STORE_TEST(test_results_by_sql),
        STORE_TEST(test_group_fails_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
