#include "fetcher/name_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// Names that are kept when nobody waits for them: 6 MB at most of them.
#define NAMES_KEPT 16384

// The list that a name of its state is in, or NULL.
static struct resolver_name **
list_of(struct name_table *table, const struct resolver_name *name)
{
    switch (name->state) {
    case NAME_QUEUED:
        return &table->queued;
    case NAME_DELAYED:
        return &table->delayed;
    case NAME_TO_TELL:
        return &table->to_tell;
    case NAME_KEPT:
        return &table->kept;
    case NAME_NEW:
    case NAME_ASKED:
        break;
    }
    return NULL;
}

static void
unlist(struct name_table *table, struct resolver_name *name)
{
    struct resolver_name **list = list_of(table, name);

    if (list)
        DL_DELETE(*list, name);
    table->kept_len -= list == &table->kept;
}

struct resolver_name *
name_table_find(const struct name_table *table, const char *text)
{
    struct resolver_name *name;

    HASH_FIND_STR(table->names, text, name);
    return name;
}

struct resolver_name *
name_table_add(struct name_table *table, const char *text)
{
    size_t len = strlen(text);
    struct resolver_name *name = calloc(1, sizeof(*name) + len + 1);

    if (!name)
        return NULL;
    memcpy(name->text, text, len);
    HASH_ADD_STR(table->names, text, name);
    if (!name->hh.tbl) { // not added: no memory
        free(name);
        return NULL;
    }
    return name;
}

void
name_table_move(struct name_table *table, struct resolver_name *name,
                enum name_state state)
{
    struct resolver_name **list;

    unlist(table, name);
    name->state = state;
    list = list_of(table, name);
    if (list)
        DL_APPEND(*list, name);
    table->kept_len += list == &table->kept;
    while (table->kept_len > NAMES_KEPT)
        name_table_remove(table, table->kept);
}

void
name_table_remove(struct name_table *table, struct resolver_name *name)
{
    assert(!name->waits);
    unlist(table, name);
    HASH_DEL(table->names, name);
    free(name->addresses);
    free(name);
}

void
name_table_fini(struct name_table *table)
{
    struct resolver_name *name, *next;

    HASH_ITER(hh, table->names, name, next)
    {
        name_table_remove(table, name);
    }
}
