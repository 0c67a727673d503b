#include "fetcher/convoy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct convoy {
    uint64_t origin;
    uint64_t joins; // so far
    size_t waiting;
    struct convoy_member *running; // those who wait as well
    struct convoy_member *held;
    bool is_ready; // in the list of those
    struct convoy *prev, *next;
    UT_hash_handle hh;
};

static struct convoy *
get_convoy(struct convoys *convoys, uint64_t origin)
{
    struct convoy *convoy = NULL;

    HASH_FIND(hh, convoys->by_origin, &origin, sizeof(origin), convoy);
    if (convoy)
        return convoy;
    convoy = calloc(1, sizeof(*convoy));
    if (!convoy)
        return NULL;
    convoy->origin = origin;
    HASH_ADD(hh, convoys->by_origin, origin, sizeof(convoy->origin), convoy);
    if (!convoy->hh.tbl) { // not added: no memory
        free(convoy);
        return NULL;
    }
    return convoy;
}

static void
leave_ready(struct convoys *convoys, struct convoy *convoy)
{
    if (!convoy->is_ready)
        return;
    DL_DELETE(convoys->ready, convoy);
    convoy->is_ready = false;
}

// Nobody waits any more, or somebody does.
static void
look_again(struct convoys *convoys, struct convoy *convoy)
{
    bool is_ready = convoy->held && !convoy->waiting;

    if (!is_ready) {
        leave_ready(convoys, convoy);
    } else if (!convoy->is_ready) {
        DL_APPEND(convoys->ready, convoy);
        convoy->is_ready = true;
    }
}

void
convoys_fini(struct convoys *convoys)
{
    assert(!convoys->by_origin);
    convoys->ready = NULL;
}

int
convoy_join(struct convoys *convoys, struct convoy_member *member,
            uint64_t origin)
{
    struct convoy *convoy;

    convoy_leave(convoys, member);
    convoy = get_convoy(convoys, origin);
    if (!convoy)
        return -ENOMEM;
    *member = (struct convoy_member){
        .convoy = convoy,
        .state = CONVOY_RUNS,
        .met_others = convoy->running || convoy->held,
        .joined_as = ++convoy->joins,
    };
    DL_APPEND(convoy->running, member);
    // It cannot be held yet: libcurl is about to send its request.
    convoys->has_late |= convoy->waiting > 0;
    return 0;
}

void
convoy_leave(struct convoys *convoys, struct convoy_member *member)
{
    struct convoy *convoy = member->convoy;

    if (!convoy)
        return;
    if (member->state == CONVOY_HELD)
        DL_DELETE(convoy->held, member);
    else
        DL_DELETE(convoy->running, member);
    if (member->state == CONVOY_WAITS)
        convoy->waiting--;
    *member = (struct convoy_member){.state = CONVOY_OUT};
    look_again(convoys, convoy);
    if (convoy->running || convoy->held)
        return;
    HASH_DEL(convoys->by_origin, convoy);
    free(convoy);
}

bool
convoy_is_shared(const struct convoy_member *member)
{
    return member->met_others ||
           (member->convoy && member->convoy->joins != member->joined_as);
}

static void
hold_others(struct convoys *convoys, struct convoy *convoy)
{
    struct convoy_member *member, *next;

    DL_FOREACH_SAFE(convoy->running, member, next)
    {
        if (member->state != CONVOY_RUNS || member->is_alone ||
            !convoys->hold(member))
            continue;
        DL_DELETE(convoy->running, member);
        DL_APPEND(convoy->held, member);
        member->state = CONVOY_HELD;
    }
}

void
convoy_wait(struct convoys *convoys, struct convoy_member *member)
{
    if (!member->convoy || member->is_alone || member->state == CONVOY_WAITS)
        return;
    convoy_go_on(convoys, member); // libcurl lets one go on that was held
    member->state = CONVOY_WAITS;
    member->convoy->waiting++;
    hold_others(convoys, member->convoy);
    look_again(convoys, member->convoy);
}

void
convoy_go_on(struct convoys *convoys, struct convoy_member *member)
{
    struct convoy *convoy = member->convoy;

    if (!convoy || member->state == CONVOY_RUNS)
        return;
    if (member->state == CONVOY_WAITS) {
        convoy->waiting--;
    } else {
        DL_DELETE(convoy->held, member);
        DL_APPEND(convoy->running, member);
    }
    member->state = CONVOY_RUNS;
    look_again(convoys, convoy);
}

struct convoy_member *
convoys_next(struct convoys *convoys)
{
    return convoys->ready ? convoys->ready->held : NULL;
}

void
convoys_turn(struct convoys *convoys)
{
    struct convoy *convoy, *next;

    if (!convoys->has_late)
        return;
    convoys->has_late = false;
    HASH_ITER(hh, convoys->by_origin, convoy, next)
    {
        if (convoy->waiting)
            hold_others(convoys, convoy);
    }
}
