#include "fetcher/pilot.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct line_key {
    uint64_t origin;
    uintptr_t owner;
};

struct pilot_line {
    struct line_key key;
    struct pilot_member *ahead;
    struct pilot_member *waiting; // in the order they came
    UT_hash_handle hh;
};

void
pilots_fini(struct pilots *pilots)
{
    assert(!pilots->lines);
    (void)pilots;
}

// The member goes ahead, if there is memory for others to wait.
static void
make_pilot(struct pilots *pilots, struct pilot_member *member,
           struct line_key key)
{
    struct pilot_line *line = calloc(1, sizeof(*line));

    if (!line)
        return;
    line->key = key;
    line->ahead = member;
    HASH_ADD(hh, pilots->lines, key, sizeof(line->key), line);
    if (!line->hh.tbl) { // not added: no memory
        free(line);
        return;
    }
    *member = (struct pilot_member){.state = PILOT_AHEAD, .line = line};
}

bool
pilot_join(struct pilots *pilots, struct pilot_member *member, uint64_t origin,
           const void *owner)
{
    struct line_key key = {.origin = origin, .owner = (uintptr_t)owner};
    struct pilot_line *line = NULL;

    assert(member->state == PILOT_OUT);
    HASH_FIND(hh, pilots->lines, &key, sizeof(key), line);
    if (!line) {
        make_pilot(pilots, member, key);
        return false;
    }
    *member = (struct pilot_member){.state = PILOT_WAITS, .line = line};
    DL_APPEND(line->waiting, member);
    return true;
}

void
pilot_arrive(struct pilots *pilots, struct pilot_member *member, bool is_shared)
{
    struct pilot_line *line = member->line;
    struct pilot_member *next;

    if (member->state != PILOT_AHEAD)
        return;
    HASH_DEL(pilots->lines, line);
    *member = (struct pilot_member){.state = PILOT_OUT};
    while ((next = line->waiting)) {
        DL_DELETE(line->waiting, next);
        *next = (struct pilot_member){.state = PILOT_OUT};
        pilots->go(next, is_shared);
    }
    free(line);
}

void
pilot_leave(struct pilots *pilots, struct pilot_member *member)
{
    pilot_arrive(pilots, member, false);
    if (member->state != PILOT_WAITS)
        return;
    DL_DELETE(member->line->waiting, member);
    *member = (struct pilot_member){.state = PILOT_OUT};
}

const struct pilot_member *
pilot_of(const struct pilot_member *member)
{
    return member->state == PILOT_WAITS ? member->line->ahead : member;
}
