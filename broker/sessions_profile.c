// sessions_profile.c - which fetcher was told which batch's profile
//
// A fetcher has a few places for them. The oldest goes when there is no room: a
// batch that is still at work is told again with its next jobs.
#include "broker/sessions.h"
#include "broker/sessions_private.h"
#include "broker/state.h"

#include <utlist.h>

static void
put(struct broker *broker, struct session *fetcher, size_t place,
    const struct wire_profile *profile)
{
    wire_put_profile(broker->sessions.buf, place, profile);
    session_send(broker, fetcher, NULL);
}

// Returns WIRE_PROFILES_MAX when it does not know it.
static size_t
find_place(const struct session *fetcher, uint64_t batch)
{
    size_t place = 0;

    while (place < WIRE_PROFILES_MAX && fetcher->profiles[place] != batch)
        place++;
    return place;
}

uint64_t
session_tell_profile(struct broker *broker, struct session *fetcher,
                     const struct batch *batch)
{
    size_t place = find_place(fetcher, batch->number);

    if (place < WIRE_PROFILES_MAX)
        return place;
    place = find_place(fetcher, 0); // an empty one
    if (place == WIRE_PROFILES_MAX) {
        place = fetcher->next_profile;
        fetcher->next_profile = (place + 1) % WIRE_PROFILES_MAX;
    }
    fetcher->profiles[place] = batch->number;
    put(broker, fetcher, place, &batch->options.profile->wire);
    return place;
}

void
sessions_forget_profile(struct broker *broker, uint64_t batch)
{
    struct wire_profile none;
    struct session *fetcher;

    wire_profile_init(&none);
    DL_FOREACH(broker->sessions.fetchers, fetcher)
    {
        size_t place = find_place(fetcher, batch);

        if (place == WIRE_PROFILES_MAX)
            continue;
        fetcher->profiles[place] = 0;
        put(broker, fetcher, place, &none);
    }
}
