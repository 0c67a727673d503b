// The SQLite engine: the schema, and files that have an older one.
//
// - batch: one row a batch, with its counts. A removed one stays, under an id
//   that no batch can have, until its records are gone.
// - job: the queue; a row stands here until its record is in. Its key is (part,
//   origin, seq), where part is the batch and 2^16 neighbours of the input.
//   With (batch, origin, seq) a list of a hundred million URLs in random order
//   of origins would touch a random page of a ten-gigabyte tree for every URL,
//   coming and going; so, only the pages of a few megabytes are at work at a
//   time, and they stay in the cache. The price is one search a part (about a
//   microsecond) when an origin's jobs are read.
// - result: the records, keyed by batch and place in the order of completion,
//   so that records are only ever added at the end of a batch and are read the
//   same way.
// - place: where in that order the record of a line is. Its key is what lets
//   the database itself refuse a second record of a line.
// - closing: origins that are closed for a minute or more; see politeness.h.
// - outcome, results: for people who ask with SQL.
// A key of batch and place is batch << 40 | place.
//
// Schema 2 (against 1): batch.replaced, list_hash and removed, two indexes, the
// view without removed batches; and files that can shrink.
#include "broker/store_sqlite.h"
#include "common/list_hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

// An older file is rewritten, to let it shrink, when that is over in a moment
// and fits into memory: live data up to this size.
#define REWRITE_BYTES_MAX (32 * 1024 * 1024)

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

// What schema 2 adds to schema 1. The indexes are for --keep, and for what is
// still to be deleted.
#define NEWS_OF_2                                                              \
    "ALTER TABLE batch ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;"        \
    "ALTER TABLE batch ADD COLUMN list_hash INTEGER NOT NULL DEFAULT 0;"       \
    "ALTER TABLE batch ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;"         \
    "CREATE INDEX batch_finished ON batch(finished_ms)"                        \
    " WHERE finished_ms>0 AND removed=0;"                                      \
    "CREATE INDEX batch_removed ON batch(batch) WHERE removed=1;"              \
    "CREATE VIEW results AS"                                                   \
    " SELECT b.id AS batch, r.seq, CAST(r.url AS TEXT) AS url,"                \
    "  coalesce(o.name, r.outcome) AS outcome, r.size,"                        \
    "  lower(hex(r.digests)) AS digests, r.http_status, r.tries"               \
    " FROM batch b"                                                            \
    " JOIN result r ON"                                                        \
    "  r.key BETWEEN b.batch<<40 AND b.batch<<40|0xffffffffff"                 \
    " LEFT JOIN outcome o ON o.number=r.outcome WHERE b.removed=0;"            \
    "PRAGMA user_version=" TEXT(SCHEMA_VERSION) ";"

static const char schema[] =
    "CREATE TABLE batch("
    " batch INTEGER PRIMARY KEY AUTOINCREMENT," // never used again
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
    // What a restart asks for, however long the history is.
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
    "PRAGMA application_id=" TEXT(APPLICATION_ID) ";" NEWS_OF_2;

int
sqlite_execute(struct sqlite *sqlite, const char *sql)
{
    return sqlite_errno(sqlite->db,
                        sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL));
}

int
sqlite_ask(struct sqlite *sqlite, const char *sql, int64_t *out_number)
{
    sqlite3_stmt *stmt = NULL;
    int err, rc;

    err = sqlite_errno(sqlite->db,
                       sqlite3_prepare_v2(sqlite->db, sql, -1, &stmt, NULL));
    if (err)
        return err;
    rc = sqlite3_step(stmt);
    err = sqlite_errno(sqlite->db, rc);
    if (!err)
        *out_number = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_finalize(stmt);
    return err;
}

// The names of outcomes, as this build knows them.
static int
write_outcomes(struct sqlite *sqlite)
{
    char sql[128];
    int64_t known = 0;
    int err;

    err = sqlite_ask(sqlite, "SELECT count(*) FROM outcome", &known);
    for (int i = (int)known; i < FAIL_COUNT && !err; i++) {
        (void)snprintf(sql, sizeof(sql),
                       "INSERT OR REPLACE INTO outcome VALUES(%d,'%s')", i,
                       fail_name((enum fail)i)); // names are [a-z_]
        err = sqlite_execute(sqlite, sql);
    }
    return err;
}

// Files of this schema came without it at first; older programs do not mind it.
static int
make_closing(struct sqlite *sqlite)
{
    return sqlite_execute(
        sqlite,
        "CREATE TABLE IF NOT EXISTS closing("
        " origin INTEGER PRIMARY KEY,"
        " until_ms INTEGER NOT NULL,"
        " status INTEGER NOT NULL,"
        " told INTEGER NOT NULL,"
        " incidents INTEGER NOT NULL,"
        " text TEXT NOT NULL);"
        "CREATE INDEX IF NOT EXISTS closing_until ON closing(until_ms);");
}

int
sqlite_make_schema(struct sqlite *sqlite)
{
    int err = sqlite_execute(sqlite, schema);

    if (!err)
        err = make_closing(sqlite);
    return err ? err : write_outcomes(sqlite);
}

// The hash of a list that has begun cannot be had without reading all of it:
// it stays 0, not known. Of an empty one it is known.
static int
upgrade_from_1(struct sqlite *sqlite)
{
    char sql[128];
    int err;

    err = sqlite_execute(sqlite, "DROP VIEW results;" NEWS_OF_2);
    if (err)
        return err;
    (void)snprintf(sql, sizeof(sql),
                   "UPDATE batch SET list_hash=%" PRId64 " WHERE submitted=0",
                   (int64_t)LIST_HASH_EMPTY);
    return sqlite_execute(sqlite, sql);
}

int
sqlite_upgrade_schema(struct sqlite *sqlite, int64_t version)
{
    int err = version == 1 ? upgrade_from_1(sqlite) : 0;

    if (!err)
        err = make_closing(sqlite);
    return err ? err : write_outcomes(sqlite);
}

// SQLite can only make a file shrinkable by writing it anew. That takes twice
// its room and, for a large one, minutes in which no work is handed out: so a
// large file waits for an opening at which little of it is live. A crash in
// the middle leaves it as it was.
static void
rewrite_if_small(struct sqlite *sqlite)
{
    int64_t pages = 0, unused = 0, size = 0;

    if (sqlite_ask(sqlite, "PRAGMA page_count", &pages) != 0 ||
        sqlite_ask(sqlite, "PRAGMA freelist_count", &unused) != 0 ||
        sqlite_ask(sqlite, "PRAGMA page_size", &size) != 0 || size <= 0 ||
        pages - unused > REWRITE_BYTES_MAX / size)
        return;
    // There may be no room for it: another day, then.
    (void)sqlite_execute(sqlite, "PRAGMA auto_vacuum=INCREMENTAL;"
                                 "VACUUM;"
                                 "PRAGMA wal_checkpoint(TRUNCATE);");
}

void
sqlite_enable_shrinking(struct sqlite *sqlite)
{
    static const char mode[] = "PRAGMA auto_vacuum";
    int64_t is_incremental = 2, now = 0;

    if (sqlite_ask(sqlite, mode, &now) == 0 && now != is_incremental)
        rewrite_if_small(sqlite);
    now = 0;
    sqlite->can_shrink =
        sqlite_ask(sqlite, mode, &now) == 0 && now == is_incremental;
}
