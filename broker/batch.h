// batch.h - unfinished batches and their flows
//
// A flow is the jobs of one batch at one origin: a short queue in memory,
// refilled from the store. A batch has at most FLOWS_MAX flows at a time in
// memory; further origins of it wait in the store until one ends. So memory
// depends neither on the length of a list nor on its number of hosts. Loop
// thread only.
#ifndef BROKER_BATCH_H
#define BROKER_BATCH_H
#include "broker/batch_options.h"
#include "broker/origin.h"
#include "broker/place.h"
#include "broker/store.h"
#include "broker/suite.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <uthash.h>

struct broker;
struct job;

// Flows in memory, all batches together: about 600 bytes each.
#define FLOWS_MAX 16384
// Jobs in memory, all flows together: about 1 KiB each with their URL.
#define JOBS_MAX 49152
// Of one flow, jobs that wait for another try. A host that sends everyone away
// for an hour must not fill the memory with its URLs: the rest of them stays in
// the store, and other flows go on.
#define FLOW_RETRYING_MAX 2048
// Rows a refill asks for: little at first, so that many origins share the
// memory; doubled whenever a flow ran dry before the store answered.
#define REFILL_MIN 8
#define REFILL_MAX 1024
// A batch takes flows and jobs only up to so many times what it leaves free, so
// that one that cannot go on (no hasher has its algorithm, its hosts send all
// away) never has everything: a quarter stays for others, and of that quarter a
// quarter when another batch does the same.
#define SHARE_OF_FREE 3
// Origins of a page, when the store is searched for them.
#define SCAN_MAX 256
// Unfinished batches in memory.
#define BATCHES_MAX 10000

struct flow {
    struct batch *batch;
    struct origin *origin; // NULL: the lines that are no URLs
    uint64_t number;       // of the origin; ORIGIN_NONE for those
    struct job *queue;     // QUEUED jobs
    size_t queue_len;
    size_t jobs_len; // jobs in memory, of any state
    size_t retrying; // of these, in RETRY_WAIT
    size_t suspects; // of these, queued among the suspects
    uint64_t next_seq;
    uint64_t rewind_seq; // queued again while a refill was out; UINT64_MAX
    bool is_end;         // the store had no more when last asked
    bool is_refilling;   // refill.op is on its way
    bool is_hungry;      // waits in a list for its turn to refill
    bool is_paused;      // the list is that of failed reads
    uint64_t again_ms;   // then: until when
    size_t page;
    struct store_refill refill;
    enum flow_place place;
    struct flow *prev, *next; // ready list, or a group's line; see place.h
    struct flow *followers;   // flows of the batch behind it in that line
    struct flow *origin_prev, *origin_next; // the origin's flows
    struct flow *hungry_prev, *hungry_next; // hungry or paused list
    UT_hash_handle hh;                      // in its batch, by number
};

struct batch {
    uint64_t number;
    char id[BATCH_ID_MAX + 1];
    struct suite suite;           // its algorithms
    struct wire_bytes suite_name; // their names: suite.text
    struct batch_options options;
    bool is_cancelled;
    bool is_finished;   // its last record is committed
    uint64_t landed;    // committed records
    uint64_t replaced;  // of these, taken back since
    uint64_t submitted; // committed URLs
    // Live counts for status.
    uint64_t fetching, hashing, retrying;
    struct flow *flows;  // by origin number
    struct flow *ready;  // flows of which a job may be leased; see place.h
    size_t flows_len;    // in memory
    size_t jobs_len;     // in memory; kept by jobs_add() and jobs_remove()
    size_t refills_out;  // rows that refills on their way may bring
    struct flow *hungry; // flows that wait for their turn to refill
    struct batch *hungry_prev, *hungry_next; // batches that have such
    // Finding origins: a scan over the store, page by page (scan_is_first: the
    // next page is the first), that starts anew while has_unseen_origins,
    // because flows were left out for want of room.
    bool has_unseen_origins;
    bool is_scanning;
    bool scan_is_first;
    uint64_t scan_after;
    struct store_origins scan;
    uint64_t scan_origins[SCAN_MAX];
    size_t ops_out;            // store operations that point here
    struct batch *prev, *next; // the scheduler's ring
    UT_hash_handle hh;         // by number
    UT_hash_handle hh_id;      // by id
};

struct batches {
    struct batch *by_number;
    struct batch *by_id;
    size_t len;
    struct batch *ring; // next to be served
    size_t flows_len;
    size_t options_bytes; // of all profiles; see OPTIONS_BYTES_MAX
    struct batch *hungry; // batches with hungry flows, the next one first
    size_t hungry_len;
    struct flow *paused;     // read again later; the first to begin is first
    uint64_t scan_again_ms;  // no scan before: one failed
    size_t refills_out;      // rows that refills on their way may bring
    bool has_unseen_origins; // of any batch
    bool scan_has_no_room;   // of some batch: until a flow ends
};

// Takes a batch's row into memory (or finds it there) and starts looking for
// its jobs. Returns 0, -ENOMEM, -ENFILE (BATCHES_MAX are there, or
// OPTIONS_BYTES_MAX) or -EINVAL (its algorithms are not of this build; logged).
int batch_load(struct broker *broker, const struct store_batch *row,
               struct batch **out_batch);

// An unfinished batch by id, or NULL.
struct batch *batch_find(struct broker *broker, const char *id);

// URLs of these origins were committed: their flows have something to read.
void batch_on_appended(struct broker *broker, struct batch *batch,
                       const struct store_url *urls, size_t len,
                       uint64_t submitted);

// Records of these lines were taken back: the batch is unfinished again, and
// its flows read them anew.
void batch_on_requeued(struct broker *broker, const struct store_batch *row,
                       const struct store_requeue_row *rows, size_t len);

// A record of the batch is committed.
void batch_on_landed(struct broker *broker, struct batch *batch,
                     uint64_t landed, bool is_finished);

// Cancels: jobs in memory at once, those in the store as they are read.
void batch_cancel(struct broker *broker, struct batch *batch);

// Starts refills and scans for which there is room. Once a turn.
void batches_refill(struct broker *broker);

// Files a QUEUED job in its flow: at the back, or at the front when it had its
// turn before. A suspect is filed among the suspects, out of the others' way.
void flow_file(struct broker *broker, struct job *job, bool is_front);
void flow_unfile(struct broker *broker, struct job *job);

// The scheduler took a job from the flow: it may want more from the store.
void flow_on_taken(struct broker *broker, struct flow *flow);

// It will wait for long: all but a few of its queued jobs leave the memory, and
// are read again when it goes on.
void flow_unload(struct broker *broker, struct flow *flow);

// A job of the flow was freed.
void flow_on_job_gone(struct broker *broker, struct flow *flow);

// Frees everything; nothing may be out at the store.
void batches_fini(struct broker *broker);

// --- Between batch.c and flow.c ---

// The store has origins of this batch that have no flow: scan for them.
void batch_mark_unseen(struct broker *broker, struct batch *batch);
// Lets go of a batch whose last record is committed, once nothing points to it.
void batch_retire(struct broker *broker, struct batch *batch);
// Makes sure a flow exists and knows that the store has something for it.
void flow_wake(struct broker *broker, struct batch *batch, uint64_t number);
// The flow reads again from this line on; those in memory are passed over.
void flow_rewind(struct flow *flow, uint64_t seq);
// Frees a flow whose queue is empty.
void flow_free(struct broker *broker, struct flow *flow);

#endif
