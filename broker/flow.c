// flow.c - the jobs of one batch at one origin: their places, and how they are
// read from the store
#include "broker/batch.h"

#include "broker/life.h"
#include "broker/state.h"
#include "common/log.h"
#include "common/loop.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// After a read of the store that failed: until the next one.
#define READ_AGAIN_MS 1000

// Origins of a scan's first page; each further one has twice as many, up to
// what the batch has room for. After a start the first jobs wait for the first
// pages, which take a while in a long queue that is not in the page cache.
#define SCAN_FIRST 16

// The store has origins of this batch that have no flow: scan for them.
void
batch_mark_unseen(struct broker *broker, struct batch *batch)
{
    batch->has_unseen_origins = true;
    broker->batches.has_unseen_origins = true;
}

// --- Flows ---

static void
get_hungry(struct broker *broker, struct flow *flow)
{
    if (flow->is_hungry || flow->is_refilling || flow->is_end ||
        flow->queue_len > flow->page / 2 ||
        flow->retrying + flow->suspects >= FLOW_RETRYING_MAX)
        return;
    flow->is_hungry = true;
    if (!flow->batch->hungry) {
        DL_APPEND2(broker->batches.hungry, flow->batch, hungry_prev,
                   hungry_next);
        broker->batches.hungry_len++;
    }
    DL_APPEND2(flow->batch->hungry, flow, hungry_prev, hungry_next);
}

static void
be_hungry_no_more(struct broker *broker, struct flow *flow)
{
    struct batch *batch = flow->batch;

    flow->is_hungry = false;
    DL_DELETE2(batch->hungry, flow, hungry_prev, hungry_next);
    if (batch->hungry)
        return;
    DL_DELETE2(broker->batches.hungry, batch, hungry_prev, hungry_next);
    broker->batches.hungry_len--;
}

// Something could not be read: neither at once again, nor never.
static void
pause_flow(struct broker *broker, struct flow *flow)
{
    flow->is_end = false;
    flow->is_hungry = flow->is_paused = true;
    flow->again_ms = loop_now_ms(broker->loop) + READ_AGAIN_MS;
    DL_APPEND2(broker->batches.paused, flow, hungry_prev, hungry_next);
}

static void
end_pauses(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    struct flow *flow;

    // All pauses are of one length: the first to begin is the first to end.
    while ((flow = batches->paused) != NULL &&
           flow->again_ms <= loop_now_ms(broker->loop)) {
        DL_DELETE2(batches->paused, flow, hungry_prev, hungry_next);
        flow->is_hungry = flow->is_paused = false;
        get_hungry(broker, flow);
    }
}

void
flow_file(struct broker *broker, struct job *job, bool is_front)
{
    struct flow *flow = job->flow;

    if (job_is_suspect(job)) {
        flow->suspects++;
        suspects_file(broker, job);
        return;
    }
    if (is_front)
        DL_PREPEND(flow->queue, job);
    else
        DL_APPEND(flow->queue, job);
    flow->queue_len++;
    flow_place(broker, flow);
}

void
flow_unfile(struct broker *broker, struct job *job)
{
    struct flow *flow = job->flow;

    if (job_is_suspect(job)) {
        flow->suspects--;
        suspects_unfile(broker, job);
        return;
    }
    DL_DELETE(flow->queue, job);
    flow->queue_len--;
    // The scheduler puts the flow where it belongs; an empty one is passed by.
}

void
flow_on_taken(struct broker *broker, struct flow *flow)
{
    get_hungry(broker, flow);
}

static void
leave_origin(struct broker *broker, struct flow *flow)
{
    if (!flow->origin)
        return;
    DL_DELETE2(flow->origin->flows, flow, origin_prev, origin_next);
    hosts_unref(broker, flow->origin);
}

static struct flow *
flow_new(struct broker *broker, struct batch *batch, uint64_t number)
{
    struct flow *flow = calloc(1, sizeof(*flow));

    if (!flow)
        return NULL;
    flow->batch = batch;
    flow->number = number;
    flow->page = REFILL_MIN;
    flow->rewind_seq = UINT64_MAX;
    if (number != ORIGIN_NONE) {
        flow->origin = hosts_ref(broker, number);
        if (!flow->origin) {
            free(flow);
            return NULL;
        }
        DL_APPEND2(flow->origin->flows, flow, origin_prev, origin_next);
    }
    HASH_ADD(hh, batch->flows, number, sizeof(number), flow);
    if (!flow->hh.tbl) { // not added: no memory
        leave_origin(broker, flow);
        free(flow);
        return NULL;
    }
    batch->flows_len++;
    broker->batches.flows_len++;
    get_hungry(broker, flow);
    return flow;
}

void
flow_free(struct broker *broker, struct flow *flow)
{
    flow_place(broker, flow); // its queue is empty: out of any list
    if (flow->is_paused)
        DL_DELETE2(broker->batches.paused, flow, hungry_prev, hungry_next);
    else if (flow->is_hungry)
        be_hungry_no_more(broker, flow);
    leave_origin(broker, flow);
    HASH_DEL(flow->batch->flows, flow);
    flow->batch->flows_len--;
    broker->batches.flows_len--;
    if (broker->batches.scan_has_no_room)
        broker->batches.has_unseen_origins = true; // perhaps it has room now
    free(flow);
}

// True when a batch may have so many (own) of what others and it have already.
static bool
has_share(size_t own, size_t all, size_t max)
{
    return all < max && own <= SHARE_OF_FREE * (max - all);
}

// Makes sure a flow exists and knows that the store has something for it.
void
flow_wake(struct broker *broker, struct batch *batch, uint64_t number)
{
    struct flow *flow;

    HASH_FIND(hh, batch->flows, &number, sizeof(number), flow);
    if (flow) {
        flow->is_end = false;
        get_hungry(broker, flow);
        return;
    }
    if (!has_share(batch->flows_len + 1, broker->batches.flows_len,
                   FLOWS_MAX) ||
        !flow_new(broker, batch, number))
        batch_mark_unseen(broker, batch);
}

static void
flow_retire(struct broker *broker, struct flow *flow)
{
    if (flow->jobs_len || !flow->is_end || flow->is_refilling)
        return;
    flow_free(broker, flow);
}

void
flow_on_job_gone(struct broker *broker, struct flow *flow)
{
    struct batch *batch = flow->batch;

    flow->jobs_len--;
    get_hungry(broker, flow); // jobs that were cancelled were not taken
    flow_retire(broker, flow);
    batch_retire(broker, batch);
}

// --- Reading jobs from the store ---

// Returns false without memory: the row stays in the store.
static bool
take_row(struct broker *broker, struct flow *flow, const struct store_job *row)
{
    struct life_info info = {0};
    uint64_t id = job_id_make(flow->batch->number, row->seq), origin;
    struct job *job;

    // A flow that reads some rows anew finds those of running jobs, too.
    if (jobs_find(&broker->jobs, id))
        return true;
    job = jobs_add(&broker->jobs, flow, flow->batch->number, row);
    if (!job) {
        log_error("batch.no_memory", "job=" LOG_JOB, LOG_JOB_ARG(id));
        return false;
    }
    flow->jobs_len++;
    if (flow->batch->is_cancelled) {
        info.outcome = FAIL_CANCELLED;
        (void)life_apply(broker, job, EV_CANCELLED, &info);
    } else if (!flow->origin) {
        info.outcome = origin_parse(broker->origin_parser, row->url, row->len,
                                    &origin, NULL);
        if (info.outcome == FAIL_OK) // parsed by another libcurl back then
            info.outcome = FAIL_INVALID_URL;
        (void)life_apply(broker, job, EV_REFUSED, &info);
    } else {
        (void)life_apply(broker, job, EV_LOADED, &info);
    }
    return true;
}

static void
rewind_to(struct flow *flow, uint64_t seq)
{
    if (seq < flow->next_seq)
        flow->next_seq = seq;
    flow->is_end = false;
}

void
flow_rewind(struct flow *flow, uint64_t seq)
{
    if (!flow->is_refilling)
        rewind_to(flow, seq);
    else if (seq < flow->rewind_seq)
        flow->rewind_seq = seq;
}

void
flow_unload(struct broker *broker, struct flow *flow)
{
    // From the back. One whose tries are on their way to the store stays.
    while (flow->queue_len > REFILL_MIN && !flow->queue->prev->retry_is_out) {
        struct job *job = flow->queue->prev;

        flow_unfile(broker, job);
        flow_rewind(flow, job_seq(job));
        flow->jobs_len--;
        jobs_remove(&broker->jobs, &job);
    }
    flow->page = REFILL_MIN;
}

static void
name_origin(struct broker *broker, struct flow *flow)
{
    char text[ORIGIN_TEXT_MAX];
    uint64_t number;

    if (flow->origin && !flow->origin->text[0] && flow->refill.len &&
        origin_parse(broker->origin_parser, flow->refill.jobs[0].url,
                     flow->refill.jobs[0].len, &number, text) == FAIL_OK)
        hosts_name(broker, flow->origin, text);
}

static void
on_refilled(struct store_op *op)
{
    struct flow *flow =
        (struct flow *)((char *)op - offsetof(struct flow, refill));
    struct broker *broker = op->arg;
    struct batch *batch = flow->batch;
    struct store_refill *refill = &flow->refill;

    flow->is_refilling = false;
    broker->batches.refills_out -= refill->max;
    batch->refills_out -= refill->max;
    batch->ops_out--;
    if (op->err) {
        log_error("store.read", "batch=%s error=%d", batch->id, op->err);
        flow->is_end = batch->is_finished; // then there is nothing to read
        if (!flow->is_end)
            pause_flow(broker, flow);
        flow_retire(broker, flow);
        batch_retire(broker, batch);
        return;
    }
    if (!flow->queue_len && flow->page < REFILL_MAX)
        flow->page *= 2;
    // URLs appended after this read was asked for will wake the flow again.
    flow->is_end = refill->is_end;
    if (refill->len)
        flow->next_seq = refill->jobs[refill->len - 1].seq + 1;
    if (flow->rewind_seq < flow->next_seq)
        rewind_to(flow, flow->rewind_seq);
    flow->rewind_seq = UINT64_MAX;
    name_origin(broker, flow);
    for (size_t i = 0; i < refill->len; i++) {
        if (take_row(broker, flow, &refill->jobs[i]))
            continue;
        rewind_to(flow, refill->jobs[i].seq);
        pause_flow(broker, flow);
        break;
    }
    store_refill_fini(refill);
    get_hungry(broker, flow);
    flow_retire(broker, flow);
    batch_retire(broker, batch);
}

static void
ask_refill(struct broker *broker, struct flow *flow)
{
    flow->is_refilling = true;
    flow->refill = (struct store_refill){
        .op = {.kind = STORE_REFILL, .done = on_refilled, .arg = broker},
        .batch = flow->batch->number,
        .origin = flow->number,
        .from_seq = flow->next_seq,
        .max = flow->page,
    };
    flow->batch->ops_out++;
    broker->batches.refills_out += flow->page;
    flow->batch->refills_out += flow->page;
    store_push(broker->store, &flow->refill.op);
}

static void
on_scanned(struct store_op *op)
{
    struct batch *batch =
        (struct batch *)((char *)op - offsetof(struct batch, scan));
    struct broker *broker = op->arg;

    batch->is_scanning = false;
    batch->ops_out--;
    if (batch->has_unseen_origins) // marked while the scan was out
        batch_mark_unseen(broker, batch);
    if (op->err) {
        log_error("store.read", "batch=%s error=%d", batch->id, op->err);
        batch_mark_unseen(broker, batch);
        broker->batches.scan_again_ms =
            loop_now_ms(broker->loop) + READ_AGAIN_MS;
        batch_retire(broker, batch); // a finished one has nothing to look for
        return;
    }
    for (size_t i = 0; i < batch->scan.len; i++)
        flow_wake(broker, batch, batch->scan_origins[i]);
    if (batch->scan.len < batch->scan.max) {
        batch->scan_is_first = true; // from the start, if it is needed again
    } else {
        batch->scan_is_first = false;
        batch->scan_after = batch->scan_origins[batch->scan.len - 1];
        broker->batches.has_unseen_origins = true; // of the next page
    }
    batch_retire(broker, batch);
}

static void
ask_scan(struct broker *broker, struct batch *batch)
{
    size_t page = batch->scan_is_first ? SCAN_FIRST : batch->scan.max * 2;

    if (page > SCAN_MAX)
        page = SCAN_MAX;
    batch->is_scanning = true;
    // What is left out from now on sets it again; it may be an origin that this
    // scan has passed, so only the start of another one clears it.
    if (batch->scan_is_first)
        batch->has_unseen_origins = false;
    batch->scan = (struct store_origins){
        .op = {.kind = STORE_ORIGINS, .done = on_scanned, .arg = broker},
        .batch = batch->number,
        .is_first = batch->scan_is_first,
        .after = batch->scan_after,
        .origins = batch->scan_origins,
        .max = page,
    };
    batch->ops_out++;
    store_push(broker->store, &batch->scan.op);
}

static bool
has_room(const struct batch *batch, const struct flow *flow, size_t all)
{
    return all + flow->page <= JOBS_MAX &&
           has_share(batch->jobs_len + batch->refills_out + flow->page, all,
                     JOBS_MAX);
}

// Batches take turns, a flow each.
static void
run_refills(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    size_t passed = 0;

    while (batches->hungry && passed < batches->hungry_len) {
        struct batch *batch = batches->hungry;
        struct flow *flow = batch->hungry;
        size_t all = broker->jobs.len + batches->refills_out;

        if (all + REFILL_MIN > JOBS_MAX)
            return;
        DL_DELETE2(batches->hungry, batch, hungry_prev, hungry_next);
        DL_APPEND2(batches->hungry, batch, hungry_prev, hungry_next);
        if (!has_room(batch, flow, all))
            flow->page = REFILL_MIN; // large pages are for when there is room
        if (!has_room(batch, flow, all)) {
            passed++;
            continue;
        }
        passed = 0;
        be_hungry_no_more(broker, flow);
        ask_refill(broker, flow);
    }
}

void
batches_refill(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    struct batch *batch, *next;

    end_pauses(broker);
    run_refills(broker);
    if (!batches->has_unseen_origins ||
        loop_now_ms(broker->loop) < batches->scan_again_ms)
        return;
    batches->has_unseen_origins = batches->scan_has_no_room = false;
    HASH_ITER(hh, batches->by_number, batch, next)
    {
        if ((!batch->has_unseen_origins && batch->scan_is_first) ||
            batch->is_scanning)
            continue;
        // All that a page brings should find its place.
        if (has_share(batch->flows_len + SCAN_MAX, batches->flows_len,
                      FLOWS_MAX))
            ask_scan(broker, batch);
        else
            batches->scan_has_no_room = true;
    }
}
