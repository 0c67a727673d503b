// store.h - the durable record: the contract that every engine keeps
//
// The store owns batches, the queue of jobs not yet ended, and result records.
// It works on a thread of its own. The loop thread pushes operations; the store
// runs all that wait in ONE transaction (group commit), commits, and only then
// gives them back. So whatever comes back is durable, and the next operations
// gather while a commit is on its way.
//
// Operations run in the order pushed, and see the effect of those before them.
// One operation fails without failing its neighbours (err in the operation). A
// failed COMMIT fails all that write (nothing of it has happened, it may be
// pushed again); those that only read are run again, on what is committed. For
// want of room the writes of a group are tried again in smaller portions:
// FINISH and RETRY first, then the others, where one that fails takes those
// with it that may build on it.
//
// An operation belongs to the caller, who must keep it (and what it points to)
// alive from push to its done().
#ifndef BROKER_STORE_H
#define BROKER_STORE_H
#include "broker/origin.h"
#include "common/limits.h"
#include "proto/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct loop;
struct metrics_histogram;

enum store_kind {
    STORE_CREATE,   // make a batch, or find the one of that id
    STORE_APPEND,   // add URLs to an open batch
    STORE_CLOSE,    // an open batch's size is final from now on
    STORE_CANCEL,   // close a batch as cancelled (its jobs stay; see life.h)
    STORE_ORIGINS,  // which origins of a batch have jobs
    STORE_REFILL,   // read jobs of one batch and origin
    STORE_RETRY,    // note a job's charged tries and lost workers
    STORE_FINISH,   // a job ends: its record in, its queue row out
    STORE_RESULTS,  // read committed records
    STORE_STATUS,   // read one batch's row
    STORE_BATCHES,  // read many batches' rows
    STORE_REQUEUE,  // take records back: their lines are queued again
    STORE_REMOVE,   // a finished batch is to go, with all its records
    STORE_CLOSINGS, // read which origins are closed
    STORE_NOTE_CLOSING, // an origin is closed
    STORE_TIDY, // a step of removing, and of giving room back to the disk
};

struct store_op {
    enum store_kind kind;
    int err; // out: 0 or a negative errno, see each operation
    // Called on the loop thread after the commit (or its failure).
    void (*done)(struct store_op *op);
    void *arg;             // the caller's
    struct store_op *next; // the store's
};

// A batch's row. Numbers of committed things only.
struct store_batch {
    uint64_t batch; // the broker's number: 1, 2, ...; never used again
    char id[BATCH_ID_MAX + 1];
    char algorithms[256]; // "sha512,sha256"
    int64_t created_wall_ms;
    int64_t finished_wall_ms; // 0: not yet
    bool is_closed;
    bool is_cancelled;
    uint64_t submitted; // URLs accepted so far; the size once closed
    uint64_t landed;    // position of the last record in order of completion
    uint64_t replaced;  // records that REQUEUE took back; landed - replaced are
    uint64_t failed;    // of these: neither ok nor cancelled
    uint64_t cancelled; // of these: FAIL_CANCELLED
    uint64_t bytes;     // of bodies digested
    // Of all submitted URLs in order: common/list_hash.h. 0: not known, for the
    // batch was begun by an older schema; CLOSE takes any then.
    uint64_t list_hash;
    // Request options, serialized urlsum.v1.BatchOptions; borrowed from the
    // operation. CREATE: in and out. Out of whatever reads them for a reply
    // (CREATE of one that existed, STATUS and its like, RESULTS, all BATCHES)
    // without the profile: only what loads batches has it (BATCHES of those
    // unfinished, REQUEUE).
    const void *options;
    size_t options_len;
};

// CREATE. batch.id, algorithms, options and created_wall_ms in; all out.
// existed: a batch of that id was there already (its row comes back, whatever
// was asked for). err: 0, -EIO, -ENOSPC, -ENOMEM.
struct store_create {
    struct store_op op;
    struct store_batch batch;
    bool existed;
    bool is_same; // out, if it existed: with these algorithms and options
    void *options_owned; // the store's: freed by store_create_fini()
};
void store_create_fini(struct store_create *create);

struct store_url {
    const char *url; // borrowed
    size_t len;
    uint64_t origin; // see origin.h; 0: invalid URL
};

// APPEND of urls at first_seq. Rows below the batch's submitted count are there
// already and skipped, so a repeated message does no harm. err: -ENOENT (no
// such batch), -EPIPE (closed, with rows beyond its size), -ERANGE (first_seq
// is beyond the submitted count: a gap; or a seq of more than JOB_SEQ_BITS).
// out: submitted after the commit.
struct store_append {
    struct store_op op;
    uint64_t batch;
    uint64_t first_seq;
    const struct store_url *urls;
    size_t len;
    uint64_t submitted;
    uint64_t fresh_from; // out: rows from this seq on were new
};

// CLOSE, CANCEL, STATUS, REMOVE. CANCEL closes at what was submitted; one that
// is finished stays as it is. CLOSE: size must equal the submitted count
// (-ERANGE), and the list's hash, if it was given, the batch's (-EILSEQ);
// closing twice is fine. A batch that has no more jobs ends by CLOSE. REMOVE:
// the batch must be finished (-EBUSY); from now on no operation finds it and
// its id is free; TIDY does the rest, also after a restart. err: -ENOENT. out:
// row.
struct store_mark {
    struct store_op op;
    uint64_t batch; // 0: look id up (STATUS)
    char id[BATCH_ID_MAX + 1];
    uint64_t size; // CLOSE
    bool has_list_hash;
    uint64_t list_hash; // CLOSE
    struct store_batch row;
    void *options_owned;
};
void store_mark_fini(struct store_mark *mark);

// ORIGINS after (not including) an origin number, ascending as unsigned... the
// order is the store's own; pass the last one seen; is_first for the start.
struct store_origins {
    struct store_op op;
    uint64_t batch;
    bool is_first;
    uint64_t after;
    uint64_t *origins; // the caller's, room for max
    size_t max;
    size_t len; // out; < max: there are no more
};

struct store_job {
    uint64_t seq;
    uint32_t tries; // charged attempts so far
    uint32_t lost;  // workers lost with it in hand
    const char *url;
    size_t len;
};

// REFILL: jobs of (batch, origin) with seq >= from_seq, ascending, at most max
// and at most about 1 MiB of URLs. Rows stay in the store until FINISH.
struct store_refill {
    struct store_op op;
    uint64_t batch;
    uint64_t origin;
    uint64_t from_seq;
    size_t max;
    struct store_job *jobs; // out; owned until store_refill_fini()
    size_t len;
    bool is_end; // out: there was nothing beyond these when read
    void *owned; // the store's
};
void store_refill_fini(struct store_refill *refill);

// RETRY: remember tries and lost of a job. err: -ENOENT.
struct store_retry {
    struct store_op op;
    uint64_t batch, origin, seq;
    uint32_t tries, lost;
};

// A result record. Pointers are borrowed: from the caller in FINISH until
// done(), from the operation in RESULTS.
struct store_record {
    uint64_t seq;
    uint64_t landed; // out of FINISH; position in the order of completion, 1...
    enum fail outcome;
    const char *url;
    size_t url_len;
    uint64_t size;
    uint32_t http_status; // 0: none
    uint32_t tries;       // charged attempts, the last one included
    // Raw digests end to end in the batch's order of algorithms; 0 bytes: none.
    const unsigned char *digests;
    size_t digests_len;
    const void *facts; // serialized urlsum.v1.Facts
    size_t facts_len;
};

// FINISH. err: -ENOENT (no such job: it has its record already). out:
// record.landed; batch_is_finished when this was the batch's last record.
struct store_finish {
    struct store_op op;
    uint64_t batch, origin;
    struct store_record record;
    bool batch_is_finished;
};

// RESULTS of a batch in the order of completion (landed > after) or, by_seq, of
// input (seq >= after, stopping at the first that has no record yet). At most
// max rows and about bytes_max bytes. next: what to pass as after next time.
// only_failed (not with by_seq): passes over ok and cancelled ones, and looks
// at no more than RESULTS_SCAN_MAX records, so it may move on without finding
// any: all is read when next has come to row.landed.
#define RESULTS_SCAN_MAX 20000
struct store_results {
    struct store_op op;
    uint64_t batch;
    bool by_seq;
    bool only_failed;
    uint64_t after;
    size_t max;
    size_t bytes_max;
    struct store_record *records; // out; owned until store_results_fini()
    size_t len;
    uint64_t next;
    struct store_batch row; // out: the batch as of this read
    void *owned, *options_owned;
};
void store_results_fini(struct store_results *results);

// BATCHES, ascending by number, after (not including) one.
struct store_batches {
    struct store_op op;
    uint64_t after;
    bool only_unfinished;
    size_t max;
    struct store_batch *rows; // out; owned until store_batches_fini()
    size_t len;
    void *owned;
};
void store_batches_fini(struct store_batches *batches);

struct store_requeue_row {
    uint64_t seq, landed; // of the record, as RESULTS read them
    uint64_t origin;      // of its URL, see origin.h
};

// REQUEUE: each row's record goes and its line is in the queue again, with no
// tries charged, in one transaction. A row whose record is no longer at its
// place is passed over, so repeating does no harm. The batch is unfinished
// again. err: -ENOENT, -EPIPE (cancelled), -EBUSY (not closed). out: how many,
// and the row.
struct store_requeue {
    struct store_op op;
    uint64_t batch;
    const struct store_requeue_row *rows; // borrowed
    size_t len;
    uint64_t requeued;
    struct store_batch row;
    void *options_owned;
};
void store_requeue_fini(struct store_requeue *requeue);

// An origin that is closed (politeness.h), for the next start of the broker.
struct store_closing {
    uint64_t origin;
    char text[ORIGIN_TEXT_MAX];
    int64_t until_wall_ms;
    int status; // 429 or 503
    bool is_told;
    uint32_t incidents;
};

// CLOSINGS: those that ended at over_before_wall_ms or later, the last to end
// first, at most max.
struct store_closings {
    struct store_op op;
    int64_t over_before_wall_ms;
    size_t max;
    struct store_closing *closings; // out; owned until store_closings_fini()
    size_t len;
};
void store_closings_fini(struct store_closings *closings);

// NOTE_CLOSING: in place of what was noted of that origin. Those that ended
// before over_before_wall_ms go.
struct store_note_closing {
    struct store_op op;
    struct store_closing closing;
    int64_t over_before_wall_ms;
};

// TIDY: one bounded step (some ms) of the work that nobody waits for. In order:
// deletes rows of removed batches; removes batches that finished before
// finished_before_wall_ms (0: none); gives free pages back to the file system
// when they are more than an eighth of the file. has_more: call again soon. An
// err (-ENOSPC, -EIO) costs nothing but time. A file of schema 1 with more than
// 32 MiB of live data is not made smaller until it is opened with less.
struct store_tidy {
    struct store_op op;
    int64_t finished_before_wall_ms;
    uint64_t removed; // out: batches that went by age
    bool has_more;    // out
};

struct store_config {
    const char *path; // NULL: a private temporary file, gone with the process
    bool is_durable;  // fsync every commit; false for the embedded run
};

// Opens or makes the store and starts its thread; completions run on loop.
// Returns 0, -EIO, -ENOSPC, -EACCES, -ENOMEM, -EBUSY (another broker has the
// file open), -EINVAL (the file is not a store), -EPROTONOSUPPORT (a newer
// schema). out_why (of why_size bytes) gets a sentence for the user on failure.
int store_open(const struct store_config *config, struct loop *loop,
               struct store **out_store, char *out_why, size_t why_size);

// Runs what waits, stops the thread, closes. Operations that were not given
// back get their done() before this returns, on the calling thread. What a
// done() pushes meanwhile comes back with -ESHUTDOWN.
void store_close(struct store **store);

// Queues an operation. Never fails. Takes effect at the next store_flush().
void store_push(struct store *store, struct store_op *op);

// Hands everything pushed to the thread: once a turn, one lock.
void store_flush(struct store *store);

struct store_stats {
    uint64_t commits, operations, commit_us; // totals since the start
    uint64_t waiting;                        // operations pushed, not yet back
    uint64_t busy_us; // so long at the present group; 0: idle
    // The store's: how long commits took.
    const struct metrics_histogram *commit_times;
};
void store_stats(const struct store *store, struct store_stats *out_stats);

#endif
