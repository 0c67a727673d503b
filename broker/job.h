// job.h - one URL in memory, from the store's queue to its record
//
// Only jobs that are about to run, run, or wait for another try are in memory;
// the rest are rows of the store. Loop thread only.
#ifndef BROKER_JOB_H
#define BROKER_JOB_H
#include "broker/life.h"
#include "broker/store.h"
#include "common/heap.h"

#include <uthash.h>

struct facts_declared;
struct flow;
struct session;

// Losses after which a URL is suspected of killing its workers, and how many
// more of it alone convict it; see suspects.h.
#define JOB_LOST_MAX 3
#define JOB_LOST_ALONE_MAX 2
#define JOB_LOST_END (JOB_LOST_MAX + JOB_LOST_ALONE_MAX)

struct job {
    uint64_t id;          // batch number << JOB_SEQ_BITS | seq
    enum job_state state; // written by life_apply() alone
    uint32_t attempt;     // one more each time it is leased; see struct jobs
    uint32_t tries;       // charged attempts
    uint32_t lost;        // workers lost with it in hand
    uint64_t moved_ms;    // when its state changed last, or bytes came
    uint64_t renewed_ms;  // from when its lease counts; see lease.h
    struct flow *flow;    // its batch and origin; outlives it
    // Place in the flow's queue, or in that of suspects (QUEUED).
    struct job *prev, *next;
    // Place in the retry heap (RETRY_WAIT).
    struct heap_node due;
    // The lease. fetcher: from EV_LEASED until the body's last segment came;
    // hasher: from the first segment on. NULL otherwise.
    struct session *fetcher;
    struct job *fetcher_prev, *fetcher_next;
    struct session *hasher;
    struct job *hasher_prev, *hasher_next;
    uint64_t relayed;    // bytes of the body that went to the hasher
    uint64_t unpaid;     // of these, a stream's whose credit is not back yet
    uint64_t mark;       // the hasher's `sent` when the last of it went there
    uint64_t first_mark; // ... when the first of it did
    uint64_t begun_ms;   // when it was leased last
    bool is_probe;       // LEASED: it goes first at its origin; politeness.h
    enum fail last_fail; // RETRY_WAIT: why
    // What FETCHED said (HASHING and later).
    uint64_t size;
    uint32_t http_status;
    uint8_t also;   // algorithms beside its batch's, by bits; see agree.h
    char *declared; // by its server, until it is digested; owned
    size_t declared_len;
    unsigned char *facts; // serialized urlsum.v1.Facts; owned
    size_t facts_len;
    unsigned char digests[WIRE_ALGORITHMS_MAX * WIRE_DIGEST_BYTES_MAX];
    // The operations that write its end and its retry.
    struct store_finish finish;
    struct store_retry retry;
    bool retry_is_out;
    bool retry_is_old;  // it is not the last word: another one follows it
    bool is_unrecorded; // the store refused its record; see trouble.h
    UT_hash_handle hh;
    size_t url_len;
    char url[];
};

static inline uint64_t
job_id_make(uint64_t batch, uint64_t seq)
{
    return batch << JOB_SEQ_BITS | seq;
}

static inline uint64_t
job_seq(const struct job *job)
{
    return job->id & ((UINT64_C(1) << JOB_SEQ_BITS) - 1);
}

static inline bool
job_is_suspect(const struct job *job)
{
    return job->lost >= JOB_LOST_MAX;
}

static inline bool
job_is_convicted(const struct job *job)
{
    return job->lost >= JOB_LOST_END;
}

// All jobs in memory, by id.
struct jobs {
    struct job *by_id;
    size_t len;
    // The last attempt of any that failed or was unloaded. A line that is tried
    // anew goes on from here: workers may still speak of its life before.
    uint32_t attempts;
};

// Makes a job in state NONE of a store row. Returns NULL without memory. The
// table owns it.
struct job *jobs_add(struct jobs *jobs, struct flow *flow, uint64_t batch,
                     const struct store_job *row);

// Finds a job, or NULL.
struct job *jobs_find(const struct jobs *jobs, uint64_t id);

// Forgets and frees a job; *job becomes NULL. It must not be filed anywhere.
void jobs_remove(struct jobs *jobs, struct job **job);

// Replaces the facts; takes *facts. NULL is fine.
void job_take_facts(struct job *job, unsigned char **facts, size_t len);

// Adds declared digests and whether they agree (best effort, too).
void job_add_declared(struct job *job, const struct facts_declared *items,
                      size_t len);

// Adds the hasher's name to the facts (best effort: without memory it is left
// out).
void job_add_hasher(struct job *job, const char *name);

#endif
