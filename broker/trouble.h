// trouble.h - a store that refuses, and whatever else is in the way
//
// Nothing is told that is not durable. A record that the store refuses (a full
// disk, an I/O error) is parked with its job and offered again every second;
// meanwhile nothing new is leased, for its record would only wait as well. The
// trouble is over when everything that was parked is in, and nothing has been
// refused for a while though something was written. Loop thread only;
// what other modules call is in state.h (broker_note_store() and so on).
#ifndef BROKER_TROUBLE_H
#define BROKER_TROUBLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct job;

// How often what the store refused is offered again.
#define TROUBLE_AGAIN_MS 1000
// Records offered first: should they be refused too, not all of them have been
// written in vain. When they are in, the rest follows at once.
#define TROUBLE_PROBE 64
// Without a record to offer nobody knows when the disk has room again. Clients
// repeat what was refused every second: when none does any more, it is not told
// as a hindrance any longer.
#define TROUBLE_FORGET_MS 10000
// A large submission may be refused where a small record still finds room: only
// when nobody has been refused for so long is the trouble over.
#define TROUBLE_QUIET_MS 2000

struct trouble {
    int err; // of the last refusal; 0: the store works, as far as is known
    int64_t since_wall_ms;
    uint64_t refused_ms; // when it last refused
    bool has_worked;     // it has written since
    struct job *parked;  // jobs whose records wait for their next turn
    size_t unrecorded;   // those, and those on their way to the store again
    uint64_t again_ms;   // when the parked ones are offered again
    // As of the last beat, to know since when.
    const char *hindrance; // static; NULL: none
    int64_t hindered_wall_ms;
};

// True for what says that the store does not work, and not just that an
// operation asked for the impossible.
bool trouble_is_refusal(int err);

// Offers parked records again when it is time. Every beat.
void trouble_beat(struct broker *broker);

// Offers them all, whatever the time: the broker ends.
void trouble_push_all(struct broker *broker);

#endif
