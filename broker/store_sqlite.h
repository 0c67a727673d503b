// store_sqlite.h - what the files of the SQLite engine share
//
// Private to broker/store_sqlite*.c: store_sqlite.c has the door and the
// operations that write, store_sqlite_read.c those that read,
// store_sqlite_batch.c the batches' rows, store_sqlite_schema.c the file and
// its schema.
//
// Every function returns 0 or a negative errno that loses the transaction (see
// store_engine.h) unless it says otherwise.
#ifndef BROKER_STORE_SQLITE_H
#define BROKER_STORE_SQLITE_H
#include "broker/store.h"
#include "broker/store_engine.h"

#include <sqlite3.h>

// Rows of the queue are kept in parts: 2^16 neighbours in the input list make
// one. See the note on the schema in store_sqlite_schema.c.
#define PART_BITS 16
// A batch's number and a place in the batch share one 64-bit signed key.
#define BATCH_NUMBER_MAX ((UINT64_C(1) << (63 - JOB_SEQ_BITS)) - 1)
#define SEQ_END (UINT64_C(1) << JOB_SEQ_BITS)

// Columns of a batch's row, in the order of sqlite_read_row().
#define BATCH_COLUMNS                                                          \
    "batch,id,algorithms,options,created_ms,finished_ms,closed,cancelled,"     \
    "submitted,landed,failed,cancelled_urls,bytes"

// Every statement, prepared once when the store opens.
#define STATEMENTS(X)                                                          \
    X(BEGIN, "BEGIN")                                                          \
    X(COMMIT, "COMMIT")                                                        \
    X(ROLLBACK, "ROLLBACK")                                                    \
    X(BATCH_INSERT, "INSERT INTO batch(id,algorithms,options,created_ms)"      \
                    "VALUES(?1,?2,?3,?4)")                                     \
    X(BATCH_DELETE, "DELETE FROM batch WHERE batch=?1")                        \
    X(BATCH_BY_ID, "SELECT batch FROM batch WHERE id=?1")                      \
    X(BATCH_GET, "SELECT " BATCH_COLUMNS " FROM batch WHERE batch=?1")         \
    X(BATCH_COUNTS, "UPDATE batch SET submitted=?2,landed=?3,failed=?4,"       \
                    "cancelled_urls=?5,bytes=?6 WHERE batch=?1")               \
    X(BATCH_FLAGS, "UPDATE batch SET closed=?2,cancelled=?3,finished_ms=?4 "   \
                   "WHERE batch=?1")                                           \
    X(BATCHES, "SELECT " BATCH_COLUMNS " FROM batch WHERE batch>?1 "           \
               "ORDER BY batch LIMIT ?2")                                      \
    X(BATCHES_UNFINISHED, "SELECT " BATCH_COLUMNS " FROM batch WHERE "         \
                          "finished_ms=0 AND batch>?1 ORDER BY batch "         \
                          "LIMIT ?2")                                          \
    X(JOB_INSERT, "INSERT INTO job(part,origin,seq,tries,lost,url)"            \
                  "VALUES(?1,?2,?3,0,0,?4)")                                   \
    X(JOB_DELETE, "DELETE FROM job WHERE part=?1 AND origin=?2 AND seq=?3")    \
    X(JOB_RETRY, "UPDATE job SET tries=?4,lost=?5 "                            \
                 "WHERE part=?1 AND origin=?2 AND seq=?3")                     \
    X(JOB_ORIGINS, "SELECT origin FROM job WHERE part=?1 AND origin>=?2 "      \
                   "ORDER BY origin")                                          \
    X(JOBS, "SELECT seq,tries,lost,url FROM job "                              \
            "WHERE part=?1 AND origin=?2 AND seq>=?3 ORDER BY seq")            \
    X(RESULT_INSERT, "INSERT INTO result(key,seq,outcome,size,http_status,"    \
                     "tries,url,digests,facts)"                                \
                     "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)")                     \
    X(PLACE_INSERT, "INSERT INTO place(key,landed)VALUES(?1,?2)")              \
    X(RESULTS, "SELECT key,seq,outcome,size,http_status,tries,url,digests,"    \
               "facts FROM result WHERE key>?1 AND key<=?2 ORDER BY key")      \
    X(RESULTS_BY_SEQ, "SELECT r.key,r.seq,r.outcome,r.size,r.http_status,"     \
                      "r.tries,r.url,r.digests,r.facts FROM place p "          \
                      "CROSS JOIN result r ON r.key=?3+p.landed "              \
                      "WHERE p.key>=?1 AND p.key<=?2 ORDER BY p.key")

enum statement {
#define X(name, sql) STATEMENT_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

// Batches' rows in memory: as many as are at work at once, and more. Bounded,
// because a client may make batches without end.
#define BATCH_SLOTS 256

struct batch_slot {
    struct store_batch row; // batch 0: the slot is empty
    bool has_new_counts;    // not yet written to the database
    bool has_new_flags;
};

struct sqlite {
    struct store_engine engine; // first
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct batch_slot slots[BATCH_SLOTS];
};

// --- store_sqlite.c ---

// A result code of SQLite as a negative errno; 0 for OK, ROW and DONE.
int sqlite_errno(sqlite3 *db, int rc);

// The statement, ready to be bound.
sqlite3_stmt *sqlite_use(struct sqlite *sqlite, enum statement statement);

// Integers cannot fail to bind. Numbers above INT64_MAX come back the same when
// they are cast back.
void sqlite_bind_u64(sqlite3_stmt *stmt, int column, uint64_t value);

// data must live until the statement is used again.
int sqlite_bind_blob(sqlite3_stmt *stmt, int column, const void *data,
                     size_t len);

// Steps a statement that returns no rows, and resets it.
int sqlite_finish(sqlite3_stmt *stmt);

// --- store_sqlite_batch.c ---

// The row of a batch, in memory; *out_slot is NULL when there is none. Valid
// until the next call.
int sqlite_batch_get(struct sqlite *sqlite, uint64_t batch,
                     struct batch_slot **out_slot);

// The number of the batch of that id; 0: none.
int sqlite_batch_by_id(struct sqlite *sqlite, const char *id,
                       uint64_t *out_batch);

// Copies a row with options of its own (malloc). Returns 0 or -ENOMEM, which
// loses nothing.
int sqlite_batch_copy(const struct batch_slot *slot,
                      struct store_batch *out_row, void **out_options);

// Writes what changed in memory to the database.
int sqlite_batch_write_all(struct sqlite *sqlite);

// Forgets all rows: after a rollback they may not be what the database has.
void sqlite_batch_forget_all(struct sqlite *sqlite);

// Reads BATCH_COLUMNS. options is borrowed from stmt.
void sqlite_batch_read(sqlite3_stmt *stmt, struct store_batch *out_row);

// --- store_sqlite_read.c: each returns as store_engine_calls.run ---

int sqlite_origins(struct sqlite *sqlite, struct store_origins *op);
int sqlite_refill(struct sqlite *sqlite, struct store_refill *op);
int sqlite_results(struct sqlite *sqlite, struct store_results *op);
int sqlite_batches(struct sqlite *sqlite, struct store_batches *op);

// --- store_sqlite_schema.c ---

// Opens sqlite->db, sets it up, makes the schema, prepares the statements.
// Errors and out_why as store_open()'s.
int sqlite_open_file(struct sqlite *sqlite, const struct store_config *config,
                     char *out_why, size_t why_size);

// --- Keys ---

static inline uint64_t
sqlite_key(uint64_t batch, uint64_t place)
{
    return batch << JOB_SEQ_BITS | place;
}

static inline uint64_t
sqlite_part(uint64_t batch, uint64_t seq)
{
    return sqlite_key(batch, seq) >> PART_BITS;
}

#endif
