// The SQLite engine: removed batches' rows, and room given back to the disk.
//
// A step takes a few milliseconds by the clock, because what a row costs
// depends on the cache and on the disk. It ends between two small statements,
// so what it has done so far is committed with the group.
//
// Pages that rows leave behind go to the file's list of free pages, and new
// rows take them from there. To make the file shorter, its last pages are
// moved into free ones (incremental auto_vacuum), one by one; the file itself
// is cut when the log is moved into it, see commit() in store_sqlite.c.
#include "broker/store_sqlite.h"
#include "common/clock.h"

// Others wait for the store meanwhile.
#define STEP_US 5000
// Rows deleted by one statement; well below a millisecond in the cache.
#define RESULTS_STRETCH 64
#define PLACES_STRETCH 2048
// Batches that go by age in one step.
#define AGED_MAX 16
// A file with less than this many free pages is not worth the trouble.
#define FREE_PAGES_MIN 64

static bool
is_over(uint64_t end_us)
{
    return clock_now_us() >= end_us;
}

// Deletes a stretch of the batch's keys in one table. *out_is_empty: it had
// none.
static int
delete_stretch(struct sqlite *sqlite, uint64_t batch, enum statement first,
               enum statement stretch, uint64_t len, bool *out_is_empty)
{
    uint64_t from = sqlite_key(batch, 0), to = sqlite_key(batch, SEQ_END - 1);
    sqlite3_stmt *stmt = sqlite_use(sqlite, first);
    bool is_found = false;
    int err;

    sqlite_bind_u64(stmt, 1, from);
    sqlite_bind_u64(stmt, 2, to);
    err = sqlite_number(stmt, &is_found, &from);
    *out_is_empty = !is_found;
    if (err || !is_found)
        return err;
    stmt = sqlite_use(sqlite, stretch);
    sqlite_bind_u64(stmt, 1, from);
    sqlite_bind_u64(stmt, 2, to - from < len ? to : from + len - 1);
    return sqlite_finish(stmt);
}

// A finished batch has no jobs: each of its lines has its record. The batch's
// own row goes last, for it is what says that the others are to go.
static int
delete_rows(struct sqlite *sqlite, uint64_t batch, uint64_t end_us)
{
    sqlite3_stmt *stmt;
    bool is_empty = false;
    int err = 0;

    while (!err && !is_empty && !is_over(end_us))
        err =
            delete_stretch(sqlite, batch, STATEMENT_PLACE_FIRST,
                           STATEMENT_PLACE_STRETCH, PLACES_STRETCH, &is_empty);
    if (err || !is_empty)
        return err;
    is_empty = false;
    while (!err && !is_empty && !is_over(end_us))
        err = delete_stretch(sqlite, batch, STATEMENT_RESULT_FIRST,
                             STATEMENT_RESULT_STRETCH, RESULTS_STRETCH,
                             &is_empty);
    if (err || !is_empty)
        return err;
    stmt = sqlite_use(sqlite, STATEMENT_BATCH_DELETE);
    sqlite_bind_u64(stmt, 1, batch);
    return sqlite_finish(stmt);
}

// Deletes what it can of removed batches. *out_is_clean: there are none left.
static int
delete_removed(struct sqlite *sqlite, uint64_t end_us, bool *out_is_clean)
{
    bool is_found = true;
    uint64_t batch;
    int err = 0;

    while (!err && is_found && !is_over(end_us)) {
        err = sqlite_number(sqlite_use(sqlite, STATEMENT_BATCH_REMOVED),
                            &is_found, &batch);
        if (!err && is_found)
            err = delete_rows(sqlite, batch, end_us);
    }
    *out_is_clean = !is_found;
    return err;
}

static int
remove_aged(struct sqlite *sqlite, struct store_tidy *op)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_BATCH_AGED);
    uint64_t batches[AGED_MAX];
    size_t len = 0;
    int err, rc;

    if (op->finished_before_wall_ms <= 0)
        return 0;
    err = sqlite_batch_write_all(sqlite); // the rows are read by SQL
    if (err)
        return err;
    (void)sqlite3_bind_int64(stmt, 1, op->finished_before_wall_ms);
    (void)sqlite3_bind_int64(stmt, 2, AGED_MAX);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && len < AGED_MAX)
        batches[len++] = (uint64_t)sqlite3_column_int64(stmt, 0);
    err = sqlite_errno(sqlite->db, rc);
    (void)sqlite3_reset(stmt);
    for (size_t i = 0; i < len && !err; i++)
        err = sqlite_batch_remove(sqlite, batches[i]);
    if (!err)
        op->removed = len;
    return err;
}

static int
count_pages(struct sqlite *sqlite, uint64_t *out_pages, uint64_t *out_free)
{
    bool is_found;
    int err;

    err = sqlite_number(sqlite_use(sqlite, STATEMENT_PAGE_COUNT), &is_found,
                        out_pages);
    if (err)
        return err;
    return sqlite_number(sqlite_use(sqlite, STATEMENT_FREE_COUNT), &is_found,
                         out_free);
}

// Begins at an eighth and goes on to a 64th, so that a file at work is not made
// shorter and longer all the time.
static int
shrink(struct sqlite *sqlite, uint64_t end_us, bool *out_has_more)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_SHRINK);
    uint64_t pages = 0, unused = 0;
    int err, rc;

    *out_has_more = false;
    if (!sqlite->can_shrink)
        return 0;
    err = count_pages(sqlite, &pages, &unused);
    if (err)
        return err;
    if (unused >= FREE_PAGES_MIN && unused > pages / 8)
        sqlite->is_shrinking = true;
    if (!sqlite->is_shrinking)
        return 0;
    do {
        rc = sqlite3_step(stmt); // one page
    } while (rc == SQLITE_ROW && !is_over(end_us));
    err = sqlite_errno(sqlite->db, rc);
    (void)sqlite3_reset(stmt);
    if (!err)
        err = count_pages(sqlite, &pages, &unused);
    if (err)
        return err;
    *out_has_more = rc == SQLITE_ROW && unused > pages / 64;
    if (!*out_has_more) {
        sqlite->is_shrinking = false;
        sqlite->wants_cut = true;
    }
    return 0;
}

int
sqlite_tidy(struct sqlite *sqlite, struct store_tidy *op)
{
    uint64_t end_us = clock_now_us() + STEP_US;
    bool is_clean;
    int err;

    op->removed = 0;
    op->has_more = true;
    err = delete_removed(sqlite, end_us, &is_clean);
    if (err || !is_clean)
        return err;
    err = remove_aged(sqlite, op);
    if (err || op->removed > 0)
        return err;
    return shrink(sqlite, end_us, &op->has_more);
}
