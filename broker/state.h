// state.h - what the broker's modules share: one struct, one loop thread
#ifndef BROKER_STATE_H
#define BROKER_STATE_H
#include "broker/batch.h"
#include "broker/broker.h"
#include "broker/hosts.h"
#include "broker/job.h"
#include "broker/recovery.h"
#include "broker/refusals.h"
#include "broker/sessions.h"
#include "broker/stats.h"
#include "broker/suspects.h"
#include "broker/tidy.h"
#include "broker/trouble.h"
#include "common/heap.h"

struct access;
struct api;
struct guard;
struct loop;
struct origin_parser;
struct store;

struct broker {
    const struct broker_config *config;
    struct loop *loop;
    struct store *store;
    struct origin_parser *origin_parser;
    struct jobs jobs;         // all in memory
    struct batches batches;   // unfinished batches and their flows
    struct hosts hosts;       // the origins of these, and closed ones
    struct heap retries;      // jobs in RETRY_WAIT, by due time
    struct suspects suspects; // jobs that are to run alone
    struct sessions sessions; // fetchers and hashers
    struct api *api;          // clients
    struct access *access;    // whose keys may connect; NULL: no keys
    struct refusals refusals; // who was not let in
    // What strangers can do at each endpoint; see guard.h.
    struct guard *client_guard, *fetcher_guard, *hasher_guard;
    struct recovery recovery; // unfinished batches on their way to memory
    struct trouble trouble;   // what the store refused, and what is in the way
    struct tidy tidy;         // removing in the background
    struct stats stats;       // what /metrics tells
    struct disk *disk;        // ... of the store's file; NULL: nothing
    unsigned seed;            // of jitter
    bool is_draining;         // nothing is handed out any more
};

// What an operation that writes came back with (0: it worked): the one place
// that knows whether the store works.
void broker_note_store(struct broker *broker, int err);

// The same for a job's record (job->finish). Returns false when the store
// refused it: then the job is kept, and its record pushed again until it is in;
// its done() is called each time.
bool broker_note_finish(struct broker *broker, struct job *job);

// A batch was removed: its room is to be given back before long.
void broker_tidy_soon(struct broker *broker);

// Why nothing moves just now, for people: "the broker's disk is full", "no
// fetcher is connected", ... NULL: nothing is in the way. Static text.
// *out_since_wall_ms: since when; *out_is_store: the store refuses to record.
const char *broker_hindrance(const struct broker *broker,
                             int64_t *out_since_wall_ms, bool *out_is_store);

#endif
