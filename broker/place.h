// place.h - where a flow stands: ready, or waiting for what
//
// A flow with a queued job is READY (in its batch's list), or WAITS for its
// origin, which is closed, parked, or tried by one transfer or two (in no list:
// the origin knows its flows), or is BLOCKED by its group, whose slots are all
// taken or whose rate is used up. In a group's line each batch has one place,
// its leader; other flows of the batch stand behind it. So a free slot wakes
// one flow of each batch, however many origins share the group. Loop thread
// only.
#ifndef BROKER_PLACE_H
#define BROKER_PLACE_H
#include "broker/hosts.h"

struct broker;
struct flow;

enum flow_place { FLOW_IDLE, FLOW_READY, FLOW_WAITS, FLOW_BLOCKED };

// Puts a flow where it belongs now. Lists of ready flows are lazy: another
// batch may have taken the last slot since.
void flow_place(struct broker *broker, struct flow *flow);

// Does so for all flows of an origin, whose politeness changed.
void place_all(struct broker *broker, struct origin *origin);

// A slot of the group is free, or its rate allows one more.
void place_wake(struct broker *broker, struct group *group);

// A transfer of the group begins; ends.
void place_take_slot(struct broker *broker, struct group *group);
void place_give_slot(struct broker *broker, struct group *group);

// The origin counts for another group from now on.
void place_move(struct broker *broker, struct origin *origin,
                struct group *group);

// True when a transfer of the origin may begin now.
bool place_may_begin(const struct broker *broker, const struct origin *origin);

#endif
