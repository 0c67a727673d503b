// The SQLite engine: operations that read.
//
// Answers are copied out in two allocations whatever their number of rows: the
// rows, and one buffer for their bytes. When memory for an answer cannot be
// had, the operation alone fails (-ENOMEM).
#include "broker/batch_options.h"
#include "broker/store_sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Bytes of URLs in one REFILL: a flow's share of memory, whatever its URLs.
#define REFILL_BYTES_MAX (1024 * 1024)

struct buffer {
    char *data;
    size_t len, size;
};

// Returns 0 or -ENOMEM.
static int
buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    size_t size = buffer->size;
    char *grown;

    if (size - buffer->len < len || !buffer->data) {
        size = (size + len) * 2 + 1024;
        grown = realloc(buffer->data, size);
        if (!grown)
            return -ENOMEM;
        buffer->data = grown;
        buffer->size = size;
    }
    if (len > 0)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return 0;
}

static int
buffer_add_column(struct buffer *buffer, sqlite3_stmt *stmt, int column,
                  size_t *out_len)
{
    const void *data = sqlite3_column_blob(stmt, column);
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);
    int err;

    err = buffer_add(buffer, data, data ? len : 0);
    if (err)
        return err;
    *out_len = data ? len : 0;
    return 0;
}

// Makes room for one more of size bytes in an array of len. Returns 0 or
// -ENOMEM.
static int
array_grow(void **array, size_t len, size_t size)
{
    void *grown;

    if (len > 0 && (len < 16 || (len & (len - 1)) != 0))
        return 0; // 16 at first, then doubled whenever it is full
    grown = realloc(*array, (len < 16 ? 16 : len * 2) * size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

// The origins of one part from `from` on, ascending; not those at or beyond
// before (when there is a before).
static int
read_origins(struct sqlite *sqlite, uint64_t part, int64_t from,
             const int64_t *before, size_t max, int64_t *out_origins,
             size_t *out_len)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_JOB_ORIGINS);
    size_t len = 0, repeats = 0;
    int64_t origin;
    int rc;

    sqlite_bind_u64(stmt, 1, part);
    (void)sqlite3_bind_int64(stmt, 2, from);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        origin = sqlite3_column_int64(stmt, 0);
        if (len > 0 && origin == out_origins[len - 1]) {
            // A new search costs about as much as these many steps. So parts
            // with many origins are walked through, large ones jumped over.
            if (++repeats < 8)
                continue;
            if (origin == INT64_MAX)
                break;
            (void)sqlite3_reset(stmt);
            (void)sqlite3_bind_int64(stmt, 2, origin + 1);
            repeats = 0;
            continue;
        }
        if (len == max || (before && origin >= *before))
            break;
        out_origins[len++] = origin;
        repeats = 0;
    }
    (void)sqlite3_reset(stmt);
    *out_len = len;
    return sqlite_errno(sqlite->db, rc);
}

// Merges two ascending lists without repetition; at most max.
static size_t
merge(const int64_t *a, size_t a_len, const int64_t *b, size_t b_len,
      size_t max, int64_t *out)
{
    size_t i = 0, j = 0, len = 0;

    while (len < max && (i < a_len || j < b_len)) {
        if (j == b_len || (i < a_len && a[i] < b[j])) {
            out[len++] = a[i++];
        } else {
            if (i < a_len && a[i] == b[j])
                i++;
            out[len++] = b[j++];
        }
    }
    return len;
}

static uint64_t
parts_of(const struct batch_slot *slot)
{
    return (slot->row.submitted + (UINT64_C(1) << PART_BITS) - 1) >> PART_BITS;
}

int
sqlite_origins(struct sqlite *sqlite, struct store_origins *op)
{
    int64_t from = op->is_first ? INT64_MIN : (int64_t)op->after;
    int64_t *found = NULL, *of_part, *merged;
    struct batch_slot *slot;
    size_t len = 0, of_part_len;
    int err;

    op->len = 0;
    err = sqlite_batch_find(sqlite, op->batch, &op->op, &slot);
    if (err || !slot)
        return err;
    if (op->max == 0 || (!op->is_first && from == INT64_MAX))
        return 0;
    if (!op->is_first)
        from++;
    found = calloc(op->max, 3 * sizeof(*found));
    if (!found) {
        op->op.err = -ENOMEM;
        return 0;
    }
    of_part = found + op->max;
    merged = of_part + op->max;
    for (uint64_t i = 0, parts = parts_of(slot); i < parts; i++) {
        err = read_origins(sqlite, sqlite_part(op->batch, i << PART_BITS), from,
                           len == op->max ? &found[len - 1] : NULL, op->max,
                           of_part, &of_part_len);
        if (err)
            goto out;
        len = merge(found, len, of_part, of_part_len, op->max, merged);
        memcpy(found, merged, len * sizeof(*found));
    }
    for (size_t i = 0; i < len; i++)
        op->origins[i] = (uint64_t)found[i];
    op->len = len;
out:
    free(found);
    return err;
}

// Adds the jobs of one part to the answer. *out_is_full: there was one more,
// for which the operation has no room. Lack of memory goes into op->op.err.
static int
read_jobs(struct sqlite *sqlite, struct store_refill *op, uint64_t part,
          struct buffer *urls, bool *out_is_full)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_JOBS);
    struct store_job *job;
    int rc;

    sqlite_bind_u64(stmt, 1, part);
    sqlite_bind_u64(stmt, 2, op->origin);
    sqlite_bind_u64(stmt, 3, op->from_seq);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (op->len >= op->max || urls->len >= REFILL_BYTES_MAX) {
            *out_is_full = true;
            break;
        }
        op->op.err = array_grow((void **)&op->jobs, op->len, sizeof(*op->jobs));
        if (op->op.err)
            break;
        job = &op->jobs[op->len];
        job->seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        job->tries = (uint32_t)sqlite3_column_int64(stmt, 1);
        job->lost = (uint32_t)sqlite3_column_int64(stmt, 2);
        op->op.err = buffer_add_column(urls, stmt, 3, &job->len);
        if (op->op.err)
            break;
        op->len++;
    }
    (void)sqlite3_reset(stmt);
    return sqlite_errno(sqlite->db, rc);
}

int
sqlite_refill(struct sqlite *sqlite, struct store_refill *op)
{
    struct buffer urls = {NULL, 0, 0};
    struct batch_slot *slot;
    bool is_full = false;
    const char *at;
    int err;

    op->jobs = NULL;
    op->owned = NULL;
    op->len = 0;
    op->is_end = false;
    err = sqlite_batch_find(sqlite, op->batch, &op->op, &slot);
    if (err || !slot)
        return err;
    for (uint64_t i = op->from_seq >> PART_BITS, parts = parts_of(slot);
         i < parts && !is_full && !op->op.err; i++) {
        err = read_jobs(sqlite, op, sqlite_part(op->batch, i << PART_BITS),
                        &urls, &is_full);
        if (err)
            break;
    }
    op->owned = urls.data;
    if (err || op->op.err) {
        store_refill_fini(op);
        return err;
    }
    at = urls.data; // at rest only now
    for (size_t i = 0; i < op->len; i++) {
        op->jobs[i].url = at;
        at += op->jobs[i].len;
    }
    op->is_end = !is_full;
    return 0;
}

static uint64_t
landed_of(sqlite3_stmt *stmt)
{
    return (uint64_t)sqlite3_column_int64(stmt, 0) & (SEQ_END - 1);
}

static bool
is_failure(sqlite3_stmt *stmt)
{
    int64_t outcome = sqlite3_column_int64(stmt, 2);

    return outcome != FAIL_OK && outcome != FAIL_CANCELLED;
}

// Adds the statement's row to the answer. Returns 0 or -ENOMEM.
static int
add_record(struct store_results *op, sqlite3_stmt *stmt, struct buffer *buffer)
{
    struct store_record *record;
    int err;

    err =
        array_grow((void **)&op->records, op->len, sizeof(struct store_record));
    if (err)
        return err;
    record = &op->records[op->len];
    *record = (struct store_record){
        .landed = landed_of(stmt),
        .seq = (uint64_t)sqlite3_column_int64(stmt, 1),
        .outcome = (enum fail)sqlite3_column_int64(stmt, 2),
        .size = (uint64_t)sqlite3_column_int64(stmt, 3),
        .http_status = (uint32_t)sqlite3_column_int64(stmt, 4),
        .tries = (uint32_t)sqlite3_column_int64(stmt, 5),
    };
    // A file may come from a build that knows more outcomes.
    if (!fail_is_known((uint64_t)sqlite3_column_int64(stmt, 2)))
        record->outcome = FAIL_INTERNAL;
    err = buffer_add_column(buffer, stmt, 6, &record->url_len);
    if (!err)
        err = buffer_add_column(buffer, stmt, 7, &record->digests_len);
    if (!err)
        err = buffer_add_column(buffer, stmt, 8, &record->facts_len);
    if (!err)
        op->len++;
    return err;
}

static int
read_records(struct sqlite *sqlite, struct store_results *op,
             struct buffer *buffer)
{
    sqlite3_stmt *stmt = sqlite_use(
        sqlite, op->by_seq ? STATEMENT_RESULTS_BY_SEQ : STATEMENT_RESULTS);
    uint64_t after = op->after < SEQ_END ? op->after : SEQ_END - 1;
    uint64_t looked_at = 0;
    int rc = SQLITE_DONE;

    op->next = op->after;
    sqlite_bind_u64(stmt, 1, sqlite_key(op->batch, after));
    sqlite_bind_u64(stmt, 2, sqlite_key(op->batch, SEQ_END - 1));
    if (op->by_seq)
        sqlite_bind_u64(stmt, 3, sqlite_key(op->batch, 0));
    while (op->len < op->max && (buffer->len < op->bytes_max || op->len == 0) &&
           (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (op->by_seq && (uint64_t)sqlite3_column_int64(stmt, 1) != op->next)
            break; // the next line of the input has no record yet
        if (!op->only_failed || is_failure(stmt))
            op->op.err = add_record(op, stmt, buffer);
        if (op->op.err)
            break;
        op->next = op->by_seq ? op->next + 1 : landed_of(stmt);
        if (op->only_failed && ++looked_at == RESULTS_SCAN_MAX)
            break;
    }
    // The last positions may be those of records that REQUEUE took back.
    if (rc == SQLITE_DONE && !op->by_seq && op->max > 0)
        op->next = op->row.landed;
    (void)sqlite3_reset(stmt);
    return sqlite_errno(sqlite->db, rc);
}

int
sqlite_results(struct sqlite *sqlite, struct store_results *op)
{
    struct buffer buffer = {NULL, 0, 0};
    struct batch_slot *slot;
    char *at;
    int err;

    op->records = NULL;
    op->owned = op->options_owned = NULL;
    op->len = 0;
    op->next = op->after;
    err = sqlite_batch_find(sqlite, op->batch, &op->op, &slot);
    if (err || !slot)
        return err;
    op->op.err = sqlite_batch_copy(slot, false, &op->row, &op->options_owned);
    if (op->op.err)
        return 0;
    // Most looks at a batch that is being waited for find nothing new.
    if (op->after < (op->by_seq ? slot->row.submitted : slot->row.landed))
        err = read_records(sqlite, op, &buffer);
    op->owned = buffer.data;
    if (err || op->op.err) {
        store_results_fini(op);
        return err;
    }
    at = buffer.data; // at rest only now
    for (size_t i = 0; i < op->len; i++) {
        struct store_record *record = &op->records[i];

        record->url = at;
        record->digests = (unsigned char *)at + record->url_len;
        record->facts = at + record->url_len + record->digests_len;
        at += record->url_len + record->digests_len + record->facts_len;
    }
    return 0;
}

int
sqlite_batches(struct sqlite *sqlite, struct store_batches *op)
{
    struct buffer buffer = {NULL, 0, 0};
    sqlite3_stmt *stmt;
    const char *at;
    int err, rc = SQLITE_DONE;

    op->rows = NULL;
    op->owned = NULL;
    op->len = 0;
    err = sqlite_batch_write_all(sqlite); // the rows are read by SQL
    if (err)
        return err;
    stmt = sqlite_use(sqlite, op->only_unfinished ? STATEMENT_BATCHES_UNFINISHED
                                                  : STATEMENT_BATCHES);
    (void)sqlite3_bind_int64(
        stmt, 1, op->after < INT64_MAX ? (int64_t)op->after : INT64_MAX);
    (void)sqlite3_bind_int64(
        stmt, 2, op->max < INT64_MAX ? (int64_t)op->max : INT64_MAX);
    while (!op->op.err && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        op->op.err = array_grow((void **)&op->rows, op->len, sizeof(*op->rows));
        if (op->op.err)
            break;
        sqlite_batch_read(stmt, &op->rows[op->len]);
        if (!op->only_unfinished)
            op->rows[op->len].options_len = batch_options_public_len(
                op->rows[op->len].options, op->rows[op->len].options_len);
        op->op.err = buffer_add(&buffer, op->rows[op->len].options,
                                op->rows[op->len].options_len);
        op->len++;
    }
    (void)sqlite3_reset(stmt);
    err = sqlite_errno(sqlite->db, rc);
    op->owned = buffer.data;
    if (err || op->op.err) {
        store_batches_fini(op);
        return err;
    }
    at = buffer.data; // at rest only now
    for (size_t i = 0; i < op->len; i++) {
        op->rows[i].options = at;
        at += op->rows[i].options_len;
    }
    return 0;
}
