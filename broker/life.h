// life.h - the life of a job: one table, one door
//
// life_apply() is the only code that writes job->state. The table says what can
// happen in which state; a cell that is not filled in is a move that cannot
// happen. `urlsum-broker --print-life` prints it; proto/worker.md shows it, and
// a test compares the two.
#ifndef BROKER_LIFE_H
#define BROKER_LIFE_H
#include "proto/fail.h"
#include "proto/wire.h"

#include <stdio.h>

struct broker;
struct job;
struct session;

//    symbol, where a job of this state is filed and what it holds
#define JOB_STATES(X)                                                          \
    X(NONE, "just read from the store; filed nowhere")                         \
    X(QUEUED, "in its flow's queue, or that of suspects; no lease")            \
    X(LEASED, "with a fetcher; holds a slot of its origin; perhaps a hasher")  \
    X(HASHING, "fetched well; waits for its digests; no slot")                 \
    X(RETRY_WAIT, "in the retry heap; no lease")                               \
    X(DONE, "record with digests on its way to the store; final")              \
    X(FAILED, "record with a reason on its way to the store; final")           \
    X(CANCELLED, "record on its way to the store; final")

enum job_state {
#define X(symbol, note) JOB_##symbol,
    JOB_STATES(X)
#undef X
        JOB_STATE_COUNT
};

//    symbol, what happened
#define JOB_EVENTS(X)                                                          \
    X(LOADED, "the store handed it out")                                       \
    X(REFUSED, "its line is no URL that could be fetched")                     \
    X(LEASED, "the scheduler gave it to a fetcher")                            \
    X(FETCHED, "the fetcher has the whole body and a good status")             \
    X(DIGESTED, "the hasher returned the digests of all its bytes")            \
    X(FAILED_SOFT, "its transfer failed, tries are left")                      \
    X(FAILED_HARD, "its transfer failed for good, or tries ran out")           \
    X(LEASE_LOST, "a worker was lost or gave it back; costs no try")           \
    X(GIVEN_UP, "its host was given up; costs no try")                         \
    X(DUE, "its pause before the next try is over")                            \
    X(CANCELLED, "its batch was cancelled")

enum job_event {
#define X(symbol, note) EV_##symbol,
    JOB_EVENTS(X)
#undef X
        EV_COUNT
};

// What an event brings; only what the event needs is looked at.
struct life_info {
    struct session *fetcher; // LEASED: who gets it
    enum fail outcome;       // REFUSED, FAILED_HARD, GIVEN_UP: the reason
    uint64_t due_ms;         // FAILED_SOFT: when to try again
    enum wire_abort reason;  // what workers are told when their lease ends
    // The worker that brought the event and needs no telling; or NULL.
    const struct session *from;
};

// Moves a job. In order: looks the cell up; queues the durable part at the
// store (terminal states: the record; RETRY_WAIT: tries); takes the job out of
// its old place, sets the state, files it in the new one; tells workers whose
// lease ended; logs. Returns 0, or -EPROTO for an empty cell (nothing has
// changed). A job in a final state is freed when the store has its record.
int life_apply(struct broker *broker, struct job *job, enum job_event event,
               const struct life_info *info);

// The state that follows, or JOB_STATE_COUNT for an empty cell. Pure.
enum job_state life_next(enum job_state state, enum job_event event);

// Names as in the tables above, static.
const char *life_state_name(enum job_state state);
const char *life_event_name(enum job_event event);

// Prints the table as Markdown rows: state | event | next.
void life_print(FILE *out);

#endif
