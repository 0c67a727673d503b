// The SQLite engine: batches' rows, kept in memory while batches are at work.
//
// A FINISH changes five numbers of its batch's row. They are changed here and
// written once a batch and commit, which halves the cost of a FINISH. A slot
// holds the batches of one remainder; whoever needs it writes the old row first
// (in the same transaction, so that is safe at any time).
#include "broker/batch_options.h"
#include "broker/store_sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
forget(struct batch_slot *slot)
{
    free((void *)slot->row.options); // the slot's own copy
    *slot = (struct batch_slot){.row.batch = 0};
}

void
sqlite_batch_forget_all(struct sqlite *sqlite)
{
    for (size_t i = 0; i < BATCH_SLOTS; i++)
        forget(&sqlite->slots[i]);
}

static int
write_slot(struct sqlite *sqlite, struct batch_slot *slot)
{
    const struct store_batch *row = &slot->row;
    sqlite3_stmt *stmt;
    int err;

    if (slot->has_new_counts) {
        stmt = sqlite_use(sqlite, STATEMENT_BATCH_COUNTS);
        sqlite_bind_u64(stmt, 1, row->batch);
        sqlite_bind_u64(stmt, 2, row->submitted);
        sqlite_bind_u64(stmt, 3, row->landed);
        sqlite_bind_u64(stmt, 4, row->failed);
        sqlite_bind_u64(stmt, 5, row->cancelled);
        sqlite_bind_u64(stmt, 6, row->bytes);
        sqlite_bind_u64(stmt, 7, row->replaced);
        sqlite_bind_u64(stmt, 8, row->list_hash);
        err = sqlite_finish(stmt);
        if (err)
            return err;
        slot->has_new_counts = false;
    }
    if (slot->has_new_flags) {
        stmt = sqlite_use(sqlite, STATEMENT_BATCH_FLAGS);
        sqlite_bind_u64(stmt, 1, row->batch);
        sqlite_bind_u64(stmt, 2, row->is_closed);
        sqlite_bind_u64(stmt, 3, row->is_cancelled);
        (void)sqlite3_bind_int64(stmt, 4, row->finished_wall_ms);
        err = sqlite_finish(stmt);
        if (err)
            return err;
        slot->has_new_flags = false;
    }
    return 0;
}

int
sqlite_batch_write_all(struct sqlite *sqlite)
{
    int err;

    for (size_t i = 0; i < BATCH_SLOTS; i++) {
        err = write_slot(sqlite, &sqlite->slots[i]);
        if (err)
            return err;
    }
    return 0;
}

static void
copy_text(char *to, size_t size, const unsigned char *from)
{
    size_t len = from ? strnlen((const char *)from, size - 1) : 0;

    if (len > 0)
        memcpy(to, from, len);
    to[len] = '\0';
}

void
sqlite_batch_read(sqlite3_stmt *stmt, struct store_batch *out_row)
{
    struct store_batch row = {
        .batch = (uint64_t)sqlite3_column_int64(stmt, 0),
        .created_wall_ms = sqlite3_column_int64(stmt, 4),
        .finished_wall_ms = sqlite3_column_int64(stmt, 5),
        .is_closed = sqlite3_column_int64(stmt, 6) != 0,
        .is_cancelled = sqlite3_column_int64(stmt, 7) != 0,
        .submitted = (uint64_t)sqlite3_column_int64(stmt, 8),
        .landed = (uint64_t)sqlite3_column_int64(stmt, 9),
        .failed = (uint64_t)sqlite3_column_int64(stmt, 10),
        .cancelled = (uint64_t)sqlite3_column_int64(stmt, 11),
        .bytes = (uint64_t)sqlite3_column_int64(stmt, 12),
        .replaced = (uint64_t)sqlite3_column_int64(stmt, 13),
        .list_hash = (uint64_t)sqlite3_column_int64(stmt, 14),
    };

    copy_text(row.id, sizeof(row.id), sqlite3_column_text(stmt, 1));
    copy_text(row.algorithms, sizeof(row.algorithms),
              sqlite3_column_text(stmt, 2));
    row.options = sqlite3_column_blob(stmt, 3);
    row.options_len = (size_t)sqlite3_column_bytes(stmt, 3);
    *out_row = row;
}

int
sqlite_batch_copy(const struct batch_slot *slot, bool is_whole,
                  struct store_batch *out_row, void **out_options)
{
    size_t len = slot->row.options_len;
    void *options;

    if (!is_whole)
        len = batch_options_public_len(slot->row.options, len);
    options = malloc(len + 1); // never 0 bytes
    if (!options)
        return -ENOMEM;
    if (len > 0)
        memcpy(options, slot->row.options, len);
    *out_row = slot->row;
    out_row->options = *out_options = options;
    out_row->options_len = len;
    return 0;
}

int
sqlite_batch_get(struct sqlite *sqlite, uint64_t batch,
                 struct batch_slot **out_slot)
{
    struct batch_slot *slot = &sqlite->slots[batch % BATCH_SLOTS];
    struct batch_slot found = {.row.batch = 0};
    sqlite3_stmt *stmt;
    void *options;
    int err, rc;

    *out_slot = NULL;
    if (batch == 0 || batch > BATCH_NUMBER_MAX)
        return 0;
    if (slot->row.batch == batch) {
        *out_slot = slot;
        return 0;
    }
    err = write_slot(sqlite, slot);
    if (err)
        return err;
    stmt = sqlite_use(sqlite, STATEMENT_BATCH_GET);
    sqlite_bind_u64(stmt, 1, batch);
    rc = sqlite3_step(stmt);
    err = sqlite_errno(sqlite->db, rc);
    if (rc == SQLITE_ROW) {
        sqlite_batch_read(stmt, &found.row);
        err = sqlite_batch_copy(&found, true, &found.row, &options);
        if (!err) {
            forget(slot);
            *slot = found;
            *out_slot = slot;
        }
    }
    (void)sqlite3_reset(stmt);
    return err;
}

int
sqlite_batch_find(struct sqlite *sqlite, uint64_t batch, struct store_op *op,
                  struct batch_slot **out_slot)
{
    int err = sqlite_batch_get(sqlite, batch, out_slot);

    if (!err && !*out_slot)
        op->err = -ENOENT;
    return err;
}

int
sqlite_batch_by_id(struct sqlite *sqlite, const char *id, uint64_t *out_batch)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_BATCH_BY_ID);
    bool is_found;
    int err;

    err = sqlite_errno(sqlite->db,
                       sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC));
    if (err)
        return err;
    return sqlite_number(stmt, &is_found, out_batch);
}

int
sqlite_batch_remove(struct sqlite *sqlite, uint64_t batch)
{
    struct batch_slot *slot = &sqlite->slots[batch % BATCH_SLOTS];
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_BATCH_REMOVE);
    int err;

    if (slot->row.batch == batch) {
        err = write_slot(sqlite, slot); // it may have ended a moment ago
        if (err)
            return err;
        forget(slot);
    }
    sqlite_bind_u64(stmt, 1, batch);
    return sqlite_finish(stmt);
}
