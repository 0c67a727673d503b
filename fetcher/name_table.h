// name_table.h - the resolver's names, each filed where its state says
//
// Embedded in the resolver; what it means that a name is where it is, is the
// resolver's part. Loop thread only.
#ifndef FETCHER_NAME_TABLE_H
#define FETCHER_NAME_TABLE_H
#include "fetcher/resolver.h"

#include <uthash.h>

enum name_state {
    NAME_NEW,     // in no list yet
    NAME_QUEUED,  // waits for its question
    NAME_DELAYED, // is asked again later
    NAME_ASKED,   // a question is under way; in no list
    NAME_TO_TELL, // the result is known, and those who wait are to be told
    NAME_KEPT,    // ... and they were
};

struct resolver_name {
    enum name_state state;
    unsigned tries; // that failed while others were told
    // How many good answers there had been when it was asked first, or failed
    // last: more of them now, and the failure is its own.
    uint64_t good_before;
    const char *doubted; // why it was not told, when it was asked last; or NULL
    uint64_t due_ms;     // delayed: when it is asked again
    uint64_t until_ms;   // to tell or kept: for how long
    struct resolver_result result;
    struct dns_address *addresses; // its own
    struct resolver_wait *waits;
    struct resolver_name *prev, *next; // of its list
    UT_hash_handle hh;
    char text[];
};

// All zeroes at first.
struct name_table {
    struct resolver_name *names; // by text
    struct resolver_name *queued, *delayed, *to_tell;
    struct resolver_name *kept; // the oldest first
    size_t kept_len;
};

// Frees the names, for which nobody may wait any more.
void name_table_fini(struct name_table *table);

struct resolver_name *name_table_find(const struct name_table *table,
                                      const char *text);

// Adds a new name (copied); there must be none. NULL without memory.
struct resolver_name *name_table_add(struct name_table *table,
                                     const char *text);

// Files the name anew, behind all others of that state. Where too many are kept
// the oldest are freed.
void name_table_move(struct name_table *table, struct resolver_name *name,
                     enum name_state state);

// Frees the name.
void name_table_remove(struct name_table *table, struct resolver_name *name);

#endif
