// The SQLite engine: the door, the operations that write, and error numbers.
#include "broker/store_sqlite.h"
#include "common/clock.h"
#include "common/list_hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// SQLite knows ENOSPC alone as a full disk (SQLITE_FULL). A quota or a size
// limit is no different to the user. Asked of the files, since the number that
// sqlite3_system_errno() has is not set by a failed commit.
static bool
is_out_of_room(sqlite3 *db)
{
    static const int files[] = {SQLITE_FCNTL_FILE_POINTER,
                                SQLITE_FCNTL_JOURNAL_POINTER};

    for (size_t i = 0; i < 2; i++) {
        sqlite3_file *file = NULL;
        int number = 0;

        if (sqlite3_file_control(db, "main", files[i], &file) != SQLITE_OK ||
            !file || !file->pMethods)
            continue;
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO,
                                           &number); // stays 0 if unknown
        if (number == EDQUOT || number == EFBIG || number == ENOSPC)
            return true;
    }
    return false;
}

int
sqlite_errno(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_NOTADB:
        return -EINVAL;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM)
            return -ENOMEM;
        if (rc == SQLITE_IOERR_WRITE && db && is_out_of_room(db))
            return -ENOSPC;
        return -EIO;
    default: // CORRUPT and whatever else: the record cannot be kept
        return -EIO;
    }
}

sqlite3_stmt *
sqlite_use(struct sqlite *sqlite, enum statement statement)
{
    return sqlite->statements[statement];
}

void
sqlite_bind_u64(sqlite3_stmt *stmt, int column, uint64_t value)
{
    (void)sqlite3_bind_int64(stmt, column, (sqlite3_int64)value);
}

// data must live until the statement is used again.
static int
bind_blob(sqlite3_stmt *stmt, int column, const void *data, size_t len)
{
    // A NULL pointer would become SQL's NULL; an empty value is a value.
    return sqlite_errno(NULL,
                        sqlite3_bind_blob64(stmt, column, len > 0 ? data : "",
                                            len, SQLITE_STATIC));
}

int
sqlite_finish(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int err = sqlite_errno(sqlite3_db_handle(stmt), rc);

    assert(rc != SQLITE_ROW);
    (void)sqlite3_reset(stmt); // says the same as step() again
    return err;
}

int
sqlite_number(sqlite3_stmt *stmt, bool *out_found, uint64_t *out_number)
{
    int rc = sqlite3_step(stmt);
    int err = sqlite_errno(sqlite3_db_handle(stmt), rc);

    if (!err) {
        *out_found = rc == SQLITE_ROW;
        *out_number = *out_found ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    }
    (void)sqlite3_reset(stmt);
    return err;
}

static void
finish_batch_if_complete(struct batch_slot *slot)
{
    struct store_batch *row = &slot->row;

    if (!row->is_closed || row->finished_wall_ms != 0 ||
        row->landed - row->replaced != row->submitted)
        return;
    row->finished_wall_ms = clock_wall_ms();
    slot->has_new_flags = true;
}

static int
insert_batch(struct sqlite *sqlite, const struct store_batch *row,
             uint64_t *out_batch)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_BATCH_INSERT);
    int err;

    err = sqlite_errno(sqlite->db,
                       sqlite3_bind_text(stmt, 1, row->id, -1, SQLITE_STATIC));
    if (err)
        return err;
    err = sqlite_errno(sqlite->db, sqlite3_bind_text(stmt, 2, row->algorithms,
                                                     -1, SQLITE_STATIC));
    if (err)
        return err;
    err = bind_blob(stmt, 3, row->options, row->options_len);
    if (err)
        return err;
    (void)sqlite3_bind_int64(stmt, 4, row->created_wall_ms);
    sqlite_bind_u64(stmt, 5, LIST_HASH_EMPTY);
    err = sqlite_finish(stmt);
    if (err)
        return err;
    *out_batch = (uint64_t)sqlite3_last_insert_rowid(sqlite->db);
    return 0;
}

static bool
is_same(const struct store_batch *one, const struct store_batch *other)
{
    return strcmp(one->algorithms, other->algorithms) == 0 &&
           one->options_len == other->options_len &&
           (!one->options_len ||
            memcmp(one->options, other->options, one->options_len) == 0);
}

static int
create(struct sqlite *sqlite, struct store_create *op)
{
    struct batch_slot *slot = NULL;
    sqlite3_stmt *stmt;
    uint64_t batch;
    int err;

    op->existed = false;
    err = sqlite_batch_by_id(sqlite, op->batch.id, &batch);
    if (err)
        return err;
    if (batch != 0) {
        err = sqlite_batch_get(sqlite, batch, &slot);
        if (err || !slot)
            return err ? err : -EIO; // the index names a row that is not there
        op->existed = true;
        op->is_same = is_same(&op->batch, &slot->row);
        op->op.err =
            sqlite_batch_copy(slot, false, &op->batch, &op->options_owned);
        return 0;
    }
    err = insert_batch(sqlite, &op->batch, &batch);
    if (err)
        return err;
    if (batch > BATCH_NUMBER_MAX) { // eight million batches were made before
        stmt = sqlite_use(sqlite, STATEMENT_BATCH_DELETE);
        sqlite_bind_u64(stmt, 1, batch);
        op->op.err = -ENOSPC;
        return sqlite_finish(stmt);
    }
    op->batch.batch = batch;
    op->batch.finished_wall_ms = 0;
    op->batch.is_closed = op->batch.is_cancelled = false;
    op->batch.submitted = op->batch.landed = op->batch.replaced = 0;
    op->batch.failed = op->batch.cancelled = op->batch.bytes = 0;
    op->batch.list_hash = LIST_HASH_EMPTY;
    return 0;
}

int
sqlite_insert_job(struct sqlite *sqlite, uint64_t batch, uint64_t origin,
                  uint64_t seq, const void *url, size_t url_len)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_JOB_INSERT);
    int err;

    sqlite_bind_u64(stmt, 1, sqlite_part(batch, seq));
    sqlite_bind_u64(stmt, 2, origin);
    sqlite_bind_u64(stmt, 3, seq);
    err = bind_blob(stmt, 4, url, url_len);
    return err ? err : sqlite_finish(stmt);
}

static int
append(struct sqlite *sqlite, struct store_append *op)
{
    struct batch_slot *slot;
    uint64_t end, seq, hash;
    int err;

    err = sqlite_batch_find(sqlite, op->batch, &op->op, &slot);
    if (err || !slot)
        return err;
    op->submitted = op->fresh_from = slot->row.submitted;
    if (op->first_seq > slot->row.submitted ||
        op->len > SEQ_END - op->first_seq) {
        op->op.err = -ERANGE;
        return 0;
    }
    end = op->first_seq + op->len;
    if (slot->row.is_closed && end > slot->row.submitted) {
        op->op.err = -EPIPE;
        return 0;
    }
    hash = slot->row.list_hash;
    for (seq = slot->row.submitted; seq < end; seq++) {
        const struct store_url *url = &op->urls[seq - op->first_seq];

        err = sqlite_insert_job(sqlite, op->batch, url->origin, seq, url->url,
                                url->len);
        if (err)
            return err;
        hash = list_hash_add(hash, url->url, url->len);
    }
    if (seq > slot->row.submitted) {
        slot->row.submitted = seq;
        if (slot->row.list_hash != 0)
            slot->row.list_hash = hash;
        slot->has_new_counts = true;
    }
    op->submitted = slot->row.submitted;
    return 0;
}

// Why the batch cannot be marked so; 0: it can.
static int
refusal_of_mark(const struct store_mark *op, const struct store_batch *row)
{
    if (op->op.kind == STORE_CLOSE && op->size != row->submitted)
        return -ERANGE;
    if (op->op.kind == STORE_CLOSE && op->has_list_hash &&
        row->list_hash != 0 && op->list_hash != row->list_hash)
        return -EILSEQ;
    if (op->op.kind == STORE_REMOVE && row->finished_wall_ms == 0)
        return -EBUSY;
    return 0;
}

static int
mark(struct sqlite *sqlite, struct store_mark *op)
{
    struct batch_slot *slot = NULL;
    uint64_t batch = op->batch;
    int err;

    if (batch == 0) {
        err = sqlite_batch_by_id(sqlite, op->id, &batch);
        if (err)
            return err;
    }
    err = sqlite_batch_get(sqlite, batch, &slot);
    if (err)
        return err;
    op->op.err = slot ? refusal_of_mark(op, &slot->row) : -ENOENT;
    if (op->op.err)
        return 0;
    // The copy first, for it is what can fail.
    op->op.err = sqlite_batch_copy(slot, false, &op->row, &op->options_owned);
    if (op->op.err)
        return 0;
    if (op->op.kind == STORE_CLOSE && !slot->row.is_closed) {
        slot->row.is_closed = slot->has_new_flags = true;
        finish_batch_if_complete(slot);
    }
    if (op->op.kind == STORE_CANCEL && slot->row.finished_wall_ms == 0 &&
        !slot->row.is_cancelled) {
        slot->row.is_cancelled = slot->row.is_closed = true;
        slot->has_new_flags = true;
        finish_batch_if_complete(slot);
    }
    op->row.is_closed = slot->row.is_closed;
    op->row.is_cancelled = slot->row.is_cancelled;
    op->row.finished_wall_ms = slot->row.finished_wall_ms;
    return op->op.kind == STORE_REMOVE ? sqlite_batch_remove(sqlite, batch) : 0;
}

static int
retry(struct sqlite *sqlite, struct store_retry *op)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_JOB_RETRY);
    int err;

    op->op.err = -ENOENT;
    if (op->batch > BATCH_NUMBER_MAX || op->seq >= SEQ_END)
        return 0; // would be the key of another job
    sqlite_bind_u64(stmt, 1, sqlite_part(op->batch, op->seq));
    sqlite_bind_u64(stmt, 2, op->origin);
    sqlite_bind_u64(stmt, 3, op->seq);
    sqlite_bind_u64(stmt, 4, op->tries);
    sqlite_bind_u64(stmt, 5, op->lost);
    err = sqlite_finish(stmt);
    if (!err && sqlite3_changes(sqlite->db) > 0)
        op->op.err = 0;
    return err;
}

static int
insert_result(struct sqlite *sqlite, uint64_t batch,
              const struct store_record *record)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_RESULT_INSERT);
    int err;

    sqlite_bind_u64(stmt, 1, sqlite_key(batch, record->landed));
    sqlite_bind_u64(stmt, 2, record->seq);
    sqlite_bind_u64(stmt, 3, (uint64_t)record->outcome);
    sqlite_bind_u64(stmt, 4, record->size);
    sqlite_bind_u64(stmt, 5, record->http_status);
    sqlite_bind_u64(stmt, 6, record->tries);
    err = bind_blob(stmt, 7, record->url, record->url_len);
    if (err)
        return err;
    err = bind_blob(stmt, 8, record->digests, record->digests_len);
    if (err)
        return err;
    err = bind_blob(stmt, 9, record->facts, record->facts_len);
    if (err)
        return err;
    err = sqlite_finish(stmt);
    if (err)
        return err;

    stmt = sqlite_use(sqlite, STATEMENT_PLACE_INSERT);
    sqlite_bind_u64(stmt, 1, sqlite_key(batch, record->seq));
    sqlite_bind_u64(stmt, 2, record->landed);
    return sqlite_finish(stmt);
}

static void
count_result(struct batch_slot *slot, const struct store_record *record)
{
    struct store_batch *row = &slot->row;

    row->landed = record->landed;
    if (record->outcome == FAIL_CANCELLED)
        row->cancelled++;
    else if (record->outcome != FAIL_OK)
        row->failed++;
    if (record->digests_len > 0)
        row->bytes += record->size;
    slot->has_new_counts = true;
    finish_batch_if_complete(slot);
}

static int
finish(struct sqlite *sqlite, struct store_finish *op)
{
    struct store_record *record = &op->record;
    struct batch_slot *slot;
    sqlite3_stmt *stmt;
    int err;

    err = sqlite_batch_get(sqlite, op->batch, &slot);
    if (err)
        return err;
    op->op.err = -ENOENT;
    if (!slot || record->seq >= slot->row.submitted)
        return 0;
    stmt = sqlite_use(sqlite, STATEMENT_JOB_DELETE);
    sqlite_bind_u64(stmt, 1, sqlite_part(op->batch, record->seq));
    sqlite_bind_u64(stmt, 2, op->origin);
    sqlite_bind_u64(stmt, 3, record->seq);
    err = sqlite_finish(stmt);
    if (err || sqlite3_changes(sqlite->db) == 0)
        return err;
    op->op.err = 0;
    record->landed = slot->row.landed + 1;
    err = insert_result(sqlite, op->batch, record);
    if (err)
        return err;
    count_result(slot, record);
    op->batch_is_finished = slot->row.finished_wall_ms != 0;
    return 0;
}

static int
run(struct store_engine *engine, struct store_op *op)
{
    struct sqlite *sqlite = (struct sqlite *)engine;

    switch (op->kind) {
    case STORE_CREATE:
        return create(sqlite, (struct store_create *)op);
    case STORE_APPEND:
        return append(sqlite, (struct store_append *)op);
    case STORE_CLOSE:
    case STORE_CANCEL:
    case STORE_STATUS:
    case STORE_REMOVE:
        return mark(sqlite, (struct store_mark *)op);
    case STORE_ORIGINS:
        return sqlite_origins(sqlite, (struct store_origins *)op);
    case STORE_REFILL:
        return sqlite_refill(sqlite, (struct store_refill *)op);
    case STORE_RETRY:
        return retry(sqlite, (struct store_retry *)op);
    case STORE_FINISH:
        return finish(sqlite, (struct store_finish *)op);
    case STORE_RESULTS:
        return sqlite_results(sqlite, (struct store_results *)op);
    case STORE_BATCHES:
        return sqlite_batches(sqlite, (struct store_batches *)op);
    case STORE_REQUEUE:
        return sqlite_requeue(sqlite, (struct store_requeue *)op);
    case STORE_CLOSINGS:
        return sqlite_closings(sqlite, (struct store_closings *)op);
    case STORE_NOTE_CLOSING:
        return sqlite_note_closing(sqlite, (struct store_note_closing *)op);
    case STORE_TIDY:
        return sqlite_tidy(sqlite, (struct store_tidy *)op);
    }
    assert(false && "an operation of no kind");
    return -EINVAL;
}

static int
begin(struct store_engine *engine)
{
    struct sqlite *sqlite = (struct sqlite *)engine;

    return sqlite_finish(sqlite_use(sqlite, STATEMENT_BEGIN));
}

static int
commit(struct store_engine *engine)
{
    struct sqlite *sqlite = (struct sqlite *)engine;
    int err;

    err = sqlite_batch_write_all(sqlite);
    if (!err)
        err = sqlite_finish(sqlite_use(sqlite, STATEMENT_COMMIT));
    if (err)
        return err;
    // The file gets its new size when the log has been moved into it. What is
    // committed stands, whatever comes of this.
    if (sqlite->wants_cut)
        (void)sqlite3_wal_checkpoint_v2(sqlite->db, NULL,
                                        SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite->wants_cut = false;
    return 0;
}

static void
rollback(struct store_engine *engine)
{
    struct sqlite *sqlite = (struct sqlite *)engine;

    sqlite_batch_forget_all(sqlite);
    sqlite->wants_cut = false;
    // Some errors (a full disk, no memory) have rolled back already.
    if (!sqlite3_get_autocommit(sqlite->db))
        (void)sqlite_finish(sqlite_use(sqlite, STATEMENT_ROLLBACK));
}

static void
free_engine(struct store_engine *engine)
{
    struct sqlite *sqlite = (struct sqlite *)engine;

    sqlite_batch_forget_all(sqlite);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(sqlite->statements[i]);
    // Moves the log into the file and removes it, so that the file alone is the
    // whole store; when that fails, the next opening does it.
    (void)sqlite3_close_v2(sqlite->db);
    free(sqlite);
}

static const struct store_engine_calls calls = {
    .begin = begin,
    .run = run,
    .commit = commit,
    .rollback = rollback,
    .free = free_engine,
};

int
store_sqlite_open(const struct store_config *config,
                  struct store_engine **out_engine, char *out_why,
                  size_t why_size)
{
    struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
    int err;

    if (!sqlite)
        return -ENOMEM;
    sqlite->engine.calls = &calls;
    err = sqlite_open_file(sqlite, config, out_why, why_size);
    if (err)
        goto out;

    *out_engine = &sqlite->engine;
    sqlite = NULL; // the caller's now
out:
    if (sqlite)
        free_engine(&sqlite->engine);
    return err;
}
