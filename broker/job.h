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

struct flow;
struct session;

struct job {
    uint64_t id;          // batch number << JOB_SEQ_BITS | seq
    enum job_state state; // written by life_apply() alone
    uint32_t attempt;     // how often it was leased since it was loaded
    uint32_t tries;       // charged attempts
    uint32_t lost;        // workers lost with it in hand
    struct flow *flow;    // its batch and origin; outlives it
    // Place in the flow's queue (QUEUED).
    struct job *prev, *next;
    // Place in the retry heap (RETRY_WAIT).
    struct heap_node due;
    // The lease. fetcher: from EV_LEASED until the body's last segment came;
    // hasher: from the first segment on. NULL otherwise.
    struct session *fetcher;
    struct job *fetcher_prev, *fetcher_next;
    struct session *hasher;
    struct job *hasher_prev, *hasher_next;
    uint64_t relayed; // bytes of the body that went to the hasher
    // What FETCHED said (HASHING and later).
    uint64_t size;
    uint32_t http_status;
    unsigned char *facts; // serialized urlsum.v1.Facts; owned
    size_t facts_len;
    unsigned char digests[WIRE_ALGORITHMS_MAX * WIRE_DIGEST_BYTES_MAX];
    // The operation that writes its end or its retry; busy while op_is_out.
    struct store_finish finish;
    struct store_retry retry;
    bool finish_is_out, retry_is_out;
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

// All jobs in memory, by id.
struct jobs {
    struct job *by_id;
    size_t len;
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

// Adds the hasher's name to the facts (best effort: without memory it is left
// out).
void job_add_hasher(struct job *job, const char *name);

#endif
