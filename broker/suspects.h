// suspects.h - URLs that may be what kills workers: each runs alone
//
// A job that JOB_LOST_MAX lost workers had in hand is queued here and not in
// its flow. One of them at a time runs in the whole fleet: with a fetcher and a
// hasher that have nothing else in hand and get nothing else meanwhile, so that
// a loss takes no other URL along. One such loss may be chance (a worker that
// was killed just then) or the worker's own doing, so after it other workers
// than those are preferred; JOB_LOST_ALONE_MAX of them are the URL's doing
// (worker_lost). An outcome of its own clears it.
//
// For that a fetcher and a hasher are reserved: they finish what they have;
// when that takes longer than SUSPECTS_LONE_MS, it is the turn of others. When
// there is no other one to go on working, the reservation lapses after
// SUSPECTS_LONE_MS, with the suspect running or not, and comes again as much
// later, as one does that ended with a loss: suspects never hold up the others
// for longer. Loop thread only.
#ifndef BROKER_SUSPECTS_H
#define BROKER_SUSPECTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct job;
struct session;

#define SUSPECTS_LONE_MS 60000

struct suspects {
    struct job *queue; // QUEUED suspects, the next one first
    size_t len;
    uint64_t running;         // job number; 0: none
    uint32_t attempt;         // of it
    uint64_t fetcher, hasher; // sessions that are reserved; 0: none
    uint64_t since_ms;        // when they were
    uint64_t waits_ms;        // the same, or when the last one ended there
    uint64_t busy;            // the last one that did not get empty in time
    // With whom a suspect was lost last, as long as there are any: hashes of
    // their names; 0: nobody.
    uint64_t bad_fetcher, bad_hasher;
    // No reservation before, where it would take the only one of a role.
    uint64_t rest_until_ms;
};

// Files a QUEUED suspect at the back, and takes it out again.
void suspects_file(struct broker *broker, struct job *job);
void suspects_unfile(struct broker *broker, struct job *job);

// Reserves, leases, lets go. Once a turn, before the scheduler serves others,
// so that a slot of an origin that became free goes to a suspect first.
void suspects_run(struct broker *broker);

// A suspect is about to be lost: with `from`, or with all who had it in hand
// (NULL). The reservation ends.
void suspects_on_lost(struct broker *broker, const struct job *job,
                      const struct session *from);

// The hasher that waits for this job's body; NULL: any will do.
struct session *suspects_hasher(const struct broker *broker,
                                const struct job *job);

#endif
