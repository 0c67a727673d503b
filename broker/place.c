#include "broker/place.h"

#include "broker/state.h"
#include "common/loop.h"

#include <utlist.h>

#define NS_PER_MS UINT64_C(1000000)
// The loop's clock is no finer than its turns: so much of a rate may come at
// once. A rate of less than a hundred a second lets one through at a time.
#define RATE_SLACK_NS (10 * NS_PER_MS)

// --- What a group allows ---

static uint64_t
slack_ns(const struct broker *broker)
{
    return broker->hosts.interval_ns < RATE_SLACK_NS ? RATE_SLACK_NS : 0;
}

static bool
has_token(const struct broker *broker, const struct group *group)
{
    return group->next_ns <=
           loop_now_ms(broker->loop) * NS_PER_MS + slack_ns(broker);
}

static bool
has_slot(const struct broker *broker, const struct group *group)
{
    return group->running < (uint64_t)broker->config->parallel_max_host;
}

void
place_take_slot(struct broker *broker, struct group *group)
{
    uint64_t now_ns = loop_now_ms(broker->loop) * NS_PER_MS;

    group->running++;
    if (!broker->hosts.interval_ns)
        return;
    if (group->next_ns < now_ns)
        group->next_ns = now_ns;
    group->next_ns += broker->hosts.interval_ns;
}

void
place_give_slot(struct broker *broker, struct group *group)
{
    group->running--;
    place_wake(broker, group);
}

bool
place_may_begin(const struct broker *broker, const struct origin *origin)
{
    uint64_t until_ms;
    enum politeness_state state = hosts_state(broker, origin, &until_ms);

    return (state == POLITENESS_OPEN || state == POLITENESS_PROBE) &&
           has_slot(broker, origin->group) && has_token(broker, origin->group);
}

// --- The line ---

static struct flow *
leader_of(const struct group *group, const struct batch *batch)
{
    struct flow *flow;

    DL_FOREACH(group->line, flow)
    {
        if (flow->batch == batch)
            return flow;
    }
    return NULL;
}

static void
wait_for_token(struct broker *broker, struct group *group)
{
    if (has_token(broker, group) || group->due.place)
        return;
    // Room for every group was reserved: it cannot fail.
    (void)heap_push(&broker->hosts.groups_due, &group->due,
                    (group->next_ns - slack_ns(broker) + NS_PER_MS - 1) /
                        NS_PER_MS);
}

static void
join_line(struct broker *broker, struct flow *flow)
{
    struct group *group = flow->origin->group;
    struct flow *leader = leader_of(group, flow->batch);

    if (leader)
        DL_APPEND(leader->followers, flow);
    else
        DL_APPEND(group->line, flow);
    wait_for_token(broker, group);
}

static void
leave_line(struct flow *flow)
{
    struct group *group = flow->origin->group;
    struct flow *leader = leader_of(group, flow->batch);
    struct flow *heir = flow->followers;

    if (leader != flow) {
        DL_DELETE(leader->followers, flow);
        return;
    }
    DL_DELETE(group->line, flow);
    if (!heir)
        return;
    DL_DELETE(flow->followers, heir);
    heir->followers = flow->followers;
    flow->followers = NULL;
    DL_APPEND(group->line, heir);
}

void
place_wake(struct broker *broker, struct group *group)
{
    struct flow *flow;
    size_t leaders;

    DL_COUNT(group->line, flow, leaders);
    for (; leaders && has_slot(broker, group) && has_token(broker, group);
         leaders--)
        flow_place(broker, group->line);
    if (group->line)
        wait_for_token(broker, group);
}

// --- Places ---

static enum flow_place
right_place(struct broker *broker, struct flow *flow)
{
    struct origin *origin = flow->origin;
    uint64_t until_ms;

    if (!flow->queue_len || !origin)
        return FLOW_IDLE;
    switch (hosts_state(broker, origin, &until_ms)) {
    case POLITENESS_OPEN:
    case POLITENESS_PROBE:
        break;
    case POLITENESS_GIVEN_UP:
        hosts_hurry(broker, origin);
        return FLOW_WAITS;
    case POLITENESS_WAIT:
    case POLITENESS_TRIED:
    case POLITENESS_CLOSED:
    case POLITENESS_PARKED:
        return FLOW_WAITS;
    }
    return has_slot(broker, origin->group) && has_token(broker, origin->group)
               ? FLOW_READY
               : FLOW_BLOCKED;
}

static void
leave_place(struct flow *flow)
{
    switch (flow->place) {
    case FLOW_IDLE:
    case FLOW_WAITS:
        return;
    case FLOW_READY:
        DL_DELETE(flow->batch->ready, flow);
        return;
    case FLOW_BLOCKED:
        leave_line(flow);
        return;
    }
}

void
flow_place(struct broker *broker, struct flow *flow)
{
    enum flow_place place = right_place(broker, flow), last = flow->place;

    if (place == last)
        return;
    leave_place(flow);
    flow->place = place;
    switch (place) {
    case FLOW_IDLE:
    case FLOW_WAITS:
        break;
    case FLOW_READY:
        DL_APPEND(flow->batch->ready, flow);
        break;
    case FLOW_BLOCKED:
        join_line(broker, flow);
        break;
    }
    // It was woken for a slot that it does not take: another one may.
    if (last == FLOW_READY && place != FLOW_BLOCKED)
        place_wake(broker, flow->origin->group);
}

void
place_all(struct broker *broker, struct origin *origin)
{
    struct flow *flow;

    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        flow_place(broker, flow);
    }
}

void
place_move(struct broker *broker, struct origin *origin, struct group *group)
{
    struct group *last = origin->group;
    struct flow *flow;

    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        leave_place(flow);
        flow->place = FLOW_IDLE;
    }
    last->running -= origin->running;
    group->running += origin->running;
    last->origins_len--;
    group->origins_len++;
    origin->group = group;
    place_all(broker, origin);
    place_wake(broker, last);
}
