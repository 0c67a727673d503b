// store_sqlite.h - what the files of the SQLite engine share
//
// Private to broker/store_sqlite*.c: store_sqlite.c has the door and the
// operations that write, store_sqlite_read.c those that read,
// store_sqlite_batch.c the batches' rows, store_sqlite_tidy.c removing and
// shrinking, store_sqlite_schema.c the file, store_sqlite_upgrade.c the schema
// and its older forms.
//
// Every function returns 0 or a negative errno that loses the transaction (see
// store_engine.h) unless it says otherwise.
#ifndef BROKER_STORE_SQLITE_H
#define BROKER_STORE_SQLITE_H
#include "broker/store.h"
#include "broker/store_engine.h"

#include <sqlite3.h>

// Rows of the queue are kept in parts: 2^16 neighbours in the input list make
// one. See the note on the schema in store_sqlite_upgrade.c.
#define PART_BITS 16
// A batch's number and a place in the batch share one 64-bit signed key.
#define BATCH_NUMBER_MAX ((UINT64_C(1) << (63 - JOB_SEQ_BITS)) - 1)
#define SEQ_END (UINT64_C(1) << JOB_SEQ_BITS)

// Columns of a batch's row, in the order of sqlite_read_row().
#define BATCH_COLUMNS                                                          \
    "batch,id,algorithms,options,created_ms,finished_ms,closed,cancelled,"     \
    "submitted,landed,failed,cancelled_urls,bytes,replaced,list_hash"

// Every statement, prepared once when the store opens.
#define STATEMENTS(X)                                                          \
    X(BEGIN, "BEGIN")                                                          \
    X(COMMIT, "COMMIT")                                                        \
    X(ROLLBACK, "ROLLBACK")                                                    \
    X(BATCH_INSERT, "INSERT INTO batch(id,algorithms,options,created_ms,"      \
                    "list_hash)VALUES(?1,?2,?3,?4,?5)")                        \
    X(BATCH_DELETE, "DELETE FROM batch WHERE batch=?1")                        \
    X(BATCH_BY_ID, "SELECT batch FROM batch WHERE id=?1 AND removed=0")        \
    X(BATCH_GET, "SELECT " BATCH_COLUMNS " FROM batch "                        \
                 "WHERE batch=?1 AND removed=0")                               \
    X(BATCH_COUNTS, "UPDATE batch SET submitted=?2,landed=?3,failed=?4,"       \
                    "cancelled_urls=?5,bytes=?6,replaced=?7,list_hash=?8 "     \
                    "WHERE batch=?1")                                          \
    X(BATCH_FLAGS, "UPDATE batch SET closed=?2,cancelled=?3,finished_ms=?4 "   \
                   "WHERE batch=?1")                                           \
    /* No id may hold a '/', so the new one is nobody's. */                    \
    X(BATCH_REMOVE, "UPDATE batch SET removed=1,id='/'||batch,"                \
                    "options=zeroblob(length(options)) WHERE batch=?1")        \
    X(BATCH_REMOVED, "SELECT batch FROM batch WHERE removed=1 "                \
                     "ORDER BY batch LIMIT 1")                                 \
    X(BATCH_AGED, "SELECT batch FROM batch WHERE removed=0 AND "               \
                  "finished_ms>0 AND finished_ms<?1 "                          \
                  "ORDER BY finished_ms LIMIT ?2")                             \
    X(BATCHES, "SELECT " BATCH_COLUMNS " FROM batch WHERE batch>?1 "           \
               "AND removed=0 ORDER BY batch LIMIT ?2")                        \
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
    X(PLACE_GET, "SELECT landed FROM place WHERE key=?1")                      \
    X(PLACE_DELETE, "DELETE FROM place WHERE key=?1")                          \
    X(RESULT_GET, "SELECT outcome,size,length(digests),url FROM result "       \
                  "WHERE key=?1")                                              \
    X(RESULT_DELETE, "DELETE FROM result WHERE key=?1")                        \
    /* Removing: the first key of a range, and a stretch of it. */             \
    X(RESULT_FIRST, "SELECT key FROM result WHERE key>=?1 AND key<=?2 "        \
                    "ORDER BY key LIMIT 1")                                    \
    X(RESULT_STRETCH, "DELETE FROM result WHERE key>=?1 AND key<=?2")          \
    X(PLACE_FIRST, "SELECT key FROM place WHERE key>=?1 AND key<=?2 "          \
                   "ORDER BY key LIMIT 1")                                     \
    X(PLACE_STRETCH, "DELETE FROM place WHERE key>=?1 AND key<=?2")            \
    X(CLOSING_PUT, "INSERT OR REPLACE INTO closing(origin,until_ms,status,"    \
                   "told,incidents,text)VALUES(?1,?2,?3,?4,?5,?6)")            \
    X(CLOSING_PURGE, "DELETE FROM closing WHERE until_ms<?1")                  \
    X(CLOSINGS, "SELECT origin,until_ms,status,told,incidents,text "           \
                "FROM closing WHERE until_ms>=?1 "                             \
                "ORDER BY until_ms DESC LIMIT ?2")                             \
    X(PAGE_COUNT, "PRAGMA page_count")                                         \
    X(FREE_COUNT, "PRAGMA freelist_count")                                     \
    /* A row a page; whoever steps may stop at any of them. */                 \
    X(SHRINK, "PRAGMA incremental_vacuum(100000000)")                          \
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
    bool can_shrink;   // the file gives pages back (auto_vacuum)
    bool is_shrinking; // TIDY has begun to, and goes on to the end
    bool wants_cut;    // commit() is to move the log into the file, then cut
};

// --- store_sqlite.c ---

// A result code of SQLite as a negative errno; 0 for OK, ROW and DONE.
int sqlite_errno(sqlite3 *db, int rc);

// The statement, ready to be bound.
sqlite3_stmt *sqlite_use(struct sqlite *sqlite, enum statement statement);

// Integers cannot fail to bind. Numbers above INT64_MAX come back the same when
// they are cast back.
void sqlite_bind_u64(sqlite3_stmt *stmt, int column, uint64_t value);

// Steps a statement that returns no rows, and resets it.
int sqlite_finish(sqlite3_stmt *stmt);

// Steps a statement that returns one number or no row, and resets it.
int sqlite_number(sqlite3_stmt *stmt, bool *out_found, uint64_t *out_number);

// Adds a row to the queue.
int sqlite_insert_job(struct sqlite *sqlite, uint64_t batch, uint64_t origin,
                      uint64_t seq, const void *url, size_t url_len);

// --- store_sqlite_batch.c ---

// The row of a batch, in memory; *out_slot is NULL when there is none. Valid
// until the next call.
int sqlite_batch_get(struct sqlite *sqlite, uint64_t batch,
                     struct batch_slot **out_slot);

// The same for an operation on that batch: without one, its err is -ENOENT.
int sqlite_batch_find(struct sqlite *sqlite, uint64_t batch,
                      struct store_op *op, struct batch_slot **out_slot);

// The number of the batch of that id; 0: none.
int sqlite_batch_by_id(struct sqlite *sqlite, const char *id,
                       uint64_t *out_batch);

// Copies a row with options of its own (malloc), without the profile unless it
// is to be whole. Returns 0 or -ENOMEM, which loses nothing.
int sqlite_batch_copy(const struct batch_slot *slot, bool is_whole,
                      struct store_batch *out_row, void **out_options);

// Writes what changed in memory to the database.
int sqlite_batch_write_all(struct sqlite *sqlite);

// Forgets all rows: after a rollback they may not be what the database has.
void sqlite_batch_forget_all(struct sqlite *sqlite);

// Reads BATCH_COLUMNS. options is borrowed from stmt.
void sqlite_batch_read(sqlite3_stmt *stmt, struct store_batch *out_row);

// Takes the batch out of sight of every operation. It must be finished.
int sqlite_batch_remove(struct sqlite *sqlite, uint64_t batch);

// --- store_sqlite_read.c: each returns as store_engine_calls.run ---

int sqlite_origins(struct sqlite *sqlite, struct store_origins *op);
int sqlite_refill(struct sqlite *sqlite, struct store_refill *op);
int sqlite_results(struct sqlite *sqlite, struct store_results *op);
int sqlite_batches(struct sqlite *sqlite, struct store_batches *op);

// --- store_sqlite_requeue.c, store_sqlite_tidy.c, store_sqlite_closing.c: the
// same ---

int sqlite_closings(struct sqlite *sqlite, struct store_closings *op);
int sqlite_note_closing(struct sqlite *sqlite, struct store_note_closing *op);

int sqlite_requeue(struct sqlite *sqlite, struct store_requeue *op);
int sqlite_tidy(struct sqlite *sqlite, struct store_tidy *op);

// --- store_sqlite_schema.c ---

// Opens sqlite->db, sets it up, makes the schema, prepares the statements.
// Errors and out_why as store_open()'s.
int sqlite_open_file(struct sqlite *sqlite, const struct store_config *config,
                     char *out_why, size_t why_size);

// --- store_sqlite_upgrade.c ---

// "urls" in ASCII: says in the file's head whose it is (see file(1)).
#define APPLICATION_ID 0x75726c73
// The schema that this build writes; files have its number in user_version.
#define SCHEMA_VERSION 2

// Makes all of it in an empty file. Inside the caller's transaction.
int sqlite_make_schema(struct sqlite *sqlite);

// From an older schema to this one. Inside the caller's transaction, so a crash
// leaves the old one or the new one.
int sqlite_upgrade_schema(struct sqlite *sqlite, int64_t version);

// Sees whether the file can give pages back, and makes an older one able to
// when that is cheap. Outside of any transaction. Never fails: a file that
// cannot shrink keeps its size and uses its free pages again.
void sqlite_enable_shrinking(struct sqlite *sqlite);

// Runs SQL without results.
int sqlite_execute(struct sqlite *sqlite, const char *sql);

// Runs SQL that asks for one number; 0 when there is no row.
int sqlite_ask(struct sqlite *sqlite, const char *sql, int64_t *out_number);

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
