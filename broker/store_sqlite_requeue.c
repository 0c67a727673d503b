// The SQLite engine: records that are taken back.
//
// A record's position in the order of completion is never given to another one:
// who reads with a cursor never misses a record nor sees two at one place. So
// `landed` only grows, and `replaced` says how many positions are empty.
#include "broker/store_sqlite.h"

#include <errno.h>

// Takes the record out of the counts. stmt is at its row (RESULT_GET).
static void
uncount(struct store_batch *row, sqlite3_stmt *stmt)
{
    int64_t outcome = sqlite3_column_int64(stmt, 0);

    row->replaced++;
    if (outcome == FAIL_CANCELLED)
        row->cancelled--;
    else if (outcome != FAIL_OK)
        row->failed--;
    if (sqlite3_column_int64(stmt, 2) > 0) // has digests
        row->bytes -= (uint64_t)sqlite3_column_int64(stmt, 1);
}

static int
delete_key(struct sqlite *sqlite, enum statement statement, uint64_t key)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, statement);

    sqlite_bind_u64(stmt, 1, key);
    return sqlite_finish(stmt);
}

static int
requeue_row(struct sqlite *sqlite, struct store_batch *row,
            const struct store_requeue_row *wanted, uint64_t *out_requeued)
{
    uint64_t batch = row->batch, landed;
    sqlite3_stmt *stmt;
    bool is_found;
    int err, rc;

    if (wanted->seq >= row->submitted)
        return 0; // would be the key of another batch
    stmt = sqlite_use(sqlite, STATEMENT_PLACE_GET);
    sqlite_bind_u64(stmt, 1, sqlite_key(batch, wanted->seq));
    err = sqlite_number(stmt, &is_found, &landed);
    if (err || !is_found || landed != wanted->landed)
        return err;
    stmt = sqlite_use(sqlite, STATEMENT_RESULT_GET);
    sqlite_bind_u64(stmt, 1, sqlite_key(batch, landed));
    rc = sqlite3_step(stmt);
    err = sqlite_errno(sqlite->db, rc);
    if (!err && rc != SQLITE_ROW)
        err = -EIO; // a place without its record
    if (!err)
        err = sqlite_insert_job(sqlite, batch, wanted->origin, wanted->seq,
                                sqlite3_column_blob(stmt, 3),
                                (size_t)sqlite3_column_bytes(stmt, 3));
    if (!err) {
        uncount(row, stmt);
        ++*out_requeued;
    }
    (void)sqlite3_reset(stmt);
    if (!err)
        err = delete_key(sqlite, STATEMENT_RESULT_DELETE,
                         sqlite_key(batch, landed));
    if (!err)
        err = delete_key(sqlite, STATEMENT_PLACE_DELETE,
                         sqlite_key(batch, wanted->seq));
    return err;
}

int
sqlite_requeue(struct sqlite *sqlite, struct store_requeue *op)
{
    struct batch_slot *slot = NULL;
    int err;

    op->requeued = 0;
    err = sqlite_batch_get(sqlite, op->batch, &slot);
    if (err)
        return err;
    if (!slot)
        op->op.err = -ENOENT;
    else if (slot->row.is_cancelled)
        op->op.err = -EPIPE;
    else if (!slot->row.is_closed)
        op->op.err = -EBUSY;
    else // the copy first, for it is what can fail
        op->op.err =
            sqlite_batch_copy(slot, true, &op->row, &op->options_owned);
    if (op->op.err)
        return 0;
    for (size_t i = 0; i < op->len; i++) {
        err = requeue_row(sqlite, &slot->row, &op->rows[i], &op->requeued);
        if (err)
            return err;
    }
    if (op->requeued > 0) {
        slot->row.finished_wall_ms = 0;
        slot->has_new_counts = slot->has_new_flags = true;
    }
    op->row = slot->row;
    op->row.options = op->options_owned; // whole
    return 0;
}
