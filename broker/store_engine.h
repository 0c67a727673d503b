// store_engine.h - what a database does for the store, one call at a time
//
// store_thread.c owns the queue, the thread, group commit and the way back to
// the loop. An engine knows none of that: it runs operations inside the
// transaction that the thread opened. Private to broker/store_*.c.
//
// All calls come from one thread at a time; free() from whichever thread
// closes the store, after the store's own thread has ended.
#ifndef BROKER_STORE_ENGINE_H
#define BROKER_STORE_ENGINE_H
#include "broker/store.h"

struct store_engine;

struct store_engine_calls {
    // Opens a transaction. Returns 0 or a negative errno.
    int (*begin)(struct store_engine *engine);

    // Runs one operation. A refusal (no such batch, a gap, no memory for an
    // answer) goes into op->err with nothing changed, and 0 is returned: the
    // neighbours go on. A negative errno means that the transaction is lost:
    // the caller must roll back and no operation of the group has happened.
    int (*run)(struct store_engine *engine, struct store_op *op);

    // Makes all of it durable (as far as the configuration asks) or, with a
    // negative errno, leaves it to rollback().
    int (*commit)(struct store_engine *engine);

    // Undoes everything since begin(), in memory too. Cannot fail: what the
    // database could not undo now, it undoes when it is next opened.
    void (*rollback)(struct store_engine *engine);

    // Closes. engine may be half-opened.
    void (*free)(struct store_engine *engine);
};

// The first member of every engine.
struct store_engine {
    const struct store_engine_calls *calls;
};

// Opens or makes a SQLite store. Errors and out_why as store_open()'s.
int store_sqlite_open(const struct store_config *config,
                      struct store_engine **out_engine, char *out_why,
                      size_t why_size);

#endif
