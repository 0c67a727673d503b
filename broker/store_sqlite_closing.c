// The SQLite engine: closed origins, so that a restart does not forget them.
#include "broker/store_sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
sqlite_note_closing(struct sqlite *sqlite, struct store_note_closing *op)
{
    const struct store_closing *closing = &op->closing;
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_CLOSING_PURGE);
    int err;

    // So the table never has more rows than origins are remembered.
    (void)sqlite3_bind_int64(stmt, 1, op->over_before_wall_ms);
    err = sqlite_finish(stmt);
    if (err)
        return err;
    stmt = sqlite_use(sqlite, STATEMENT_CLOSING_PUT);
    sqlite_bind_u64(stmt, 1, closing->origin);
    (void)sqlite3_bind_int64(stmt, 2, closing->until_wall_ms);
    (void)sqlite3_bind_int(stmt, 3, closing->status);
    (void)sqlite3_bind_int(stmt, 4, closing->is_told);
    sqlite_bind_u64(stmt, 5, closing->incidents);
    err = sqlite_errno(sqlite->db, sqlite3_bind_text(stmt, 6, closing->text, -1,
                                                     SQLITE_TRANSIENT));
    if (!err)
        return sqlite_finish(stmt);
    (void)sqlite3_reset(stmt);
    return err;
}

static void
read_closing(sqlite3_stmt *stmt, struct store_closing *out_closing)
{
    const unsigned char *text = sqlite3_column_text(stmt, 5);

    out_closing->origin = (uint64_t)sqlite3_column_int64(stmt, 0);
    out_closing->until_wall_ms = sqlite3_column_int64(stmt, 1);
    out_closing->status = sqlite3_column_int(stmt, 2);
    out_closing->is_told = sqlite3_column_int(stmt, 3) != 0;
    out_closing->incidents = (uint32_t)sqlite3_column_int64(stmt, 4);
    strncpy(out_closing->text, text ? (const char *)text : "",
            sizeof(out_closing->text) - 1);
}

int
sqlite_closings(struct sqlite *sqlite, struct store_closings *op)
{
    sqlite3_stmt *stmt = sqlite_use(sqlite, STATEMENT_CLOSINGS);
    int rc;

    store_closings_fini(op); // it may be run again
    (void)sqlite3_bind_int64(stmt, 1, op->over_before_wall_ms);
    sqlite_bind_u64(stmt, 2, op->max);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_closing *grown = op->closings;

        if ((op->len & (op->len - 1)) == 0) // doubled whenever it is full
            grown = realloc(op->closings,
                            (op->len ? op->len * 2 : 1) * sizeof(*grown));
        if (!grown) {
            op->op.err = -ENOMEM;
            break;
        }
        op->closings = grown;
        memset(&grown[op->len], 0, sizeof(*grown));
        read_closing(stmt, &grown[op->len++]);
    }
    (void)sqlite3_reset(stmt);
    return op->op.err ? 0 : sqlite_errno(sqlite->db, rc);
}
