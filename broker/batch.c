#include "broker/batch.h"

#include "broker/api.h"
#include "broker/life.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "common/log.h"
#include "urlsum.pb-c.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static uint64_t
running_max(const struct broker *broker)
{
    return (uint64_t)broker->config->parallel_max_host;
}

// The store has origins of this batch that have no flow: scan for them.
static void
mark_unseen(struct broker *broker, struct batch *batch)
{
    batch->has_unseen_origins = true;
    broker->batches.has_unseen_origins = true;
}

// --- Flows and origins ---

static struct origin *
origin_ref(struct broker *broker, uint64_t number, const char *text)
{
    struct batches *batches = &broker->batches;
    struct origin *origin;

    HASH_FIND(hh, batches->origins, &number, sizeof(number), origin);
    if (!origin) {
        origin = calloc(1, sizeof(*origin));
        if (!origin)
            return NULL;
        origin->number = number;
        HASH_ADD(hh, batches->origins, number, sizeof(number), origin);
    }
    if (text && !origin->text[0])
        memcpy(origin->text, text, sizeof(origin->text));
    origin->flows_len++;
    return origin;
}

static void
origin_unref(struct broker *broker, struct origin *origin)
{
    if (--origin->flows_len)
        return;
    HASH_DEL(broker->batches.origins, origin);
    free(origin);
}

void
origin_take_slot(struct origin *origin)
{
    origin->running++;
}

void
origin_give_slot(struct origin *origin, uint64_t limit)
{
    struct flow *flow, *next;

    origin->running--;
    DL_FOREACH_SAFE(origin->blocked, flow, next)
    {
        flow_place(flow, limit);
    }
}

void
flow_place(struct flow *flow, uint64_t limit)
{
    enum flow_place place = FLOW_IDLE;

    if (flow->queue_len && flow->origin)
        place = flow->origin->running < limit ? FLOW_READY : FLOW_BLOCKED;
    if (place == flow->place)
        return;
    switch (flow->place) {
    case FLOW_IDLE:
        break;
    case FLOW_READY:
        DL_DELETE(flow->batch->ready, flow);
        break;
    case FLOW_BLOCKED:
        DL_DELETE(flow->origin->blocked, flow);
        break;
    }
    switch (place) {
    case FLOW_IDLE:
        break;
    case FLOW_READY:
        DL_APPEND(flow->batch->ready, flow);
        break;
    case FLOW_BLOCKED:
        DL_APPEND(flow->origin->blocked, flow);
        break;
    }
    flow->place = place;
}

static void
get_hungry(struct broker *broker, struct flow *flow)
{
    if (flow->is_hungry || flow->is_refilling || flow->is_end ||
        flow->queue_len > flow->page / 2 || flow->retrying >= FLOW_RETRYING_MAX)
        return;
    flow->is_hungry = true;
    DL_APPEND2(broker->batches.hungry, flow, hungry_prev, hungry_next);
}

void
flow_file(struct broker *broker, struct job *job, bool is_front)
{
    struct flow *flow = job->flow;

    if (is_front)
        DL_PREPEND(flow->queue, job);
    else
        DL_APPEND(flow->queue, job);
    flow->queue_len++;
    flow_place(flow, running_max(broker));
}

void
flow_unfile(struct job *job)
{
    struct flow *flow = job->flow;

    DL_DELETE(flow->queue, job);
    flow->queue_len--;
    // The scheduler puts the flow where it belongs; an empty one is passed by.
}

void
flow_on_taken(struct broker *broker, struct flow *flow)
{
    get_hungry(broker, flow);
}

const char *
flow_origin_text(const struct flow *flow)
{
    return flow->origin ? flow->origin->text : "none";
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
    if (number != ORIGIN_NONE) {
        flow->origin = origin_ref(broker, number, NULL);
        if (!flow->origin) {
            free(flow);
            return NULL;
        }
    }
    HASH_ADD(hh, batch->flows, number, sizeof(number), flow);
    broker->batches.flows_len++;
    get_hungry(broker, flow);
    return flow;
}

static void
flow_free(struct broker *broker, struct flow *flow)
{
    flow_place(flow, 0); // its queue is empty: out of any list
    if (flow->is_hungry)
        DL_DELETE2(broker->batches.hungry, flow, hungry_prev, hungry_next);
    if (flow->origin)
        origin_unref(broker, flow->origin);
    HASH_DEL(flow->batch->flows, flow);
    broker->batches.flows_len--;
    free(flow);
}

// Makes sure a flow exists and knows that the store has something for it.
static void
flow_wake(struct broker *broker, struct batch *batch, uint64_t number)
{
    struct flow *flow;

    HASH_FIND(hh, batch->flows, &number, sizeof(number), flow);
    if (flow) {
        flow->is_end = false;
        get_hungry(broker, flow);
        return;
    }
    if (broker->batches.flows_len >= FLOWS_MAX ||
        !flow_new(broker, batch, number))
        mark_unseen(broker, batch);
}

static void batch_retire(struct broker *broker, struct batch *batch);

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

static void
take_row(struct broker *broker, struct flow *flow, const struct store_job *row)
{
    struct life_info info = {0};
    struct job *job = jobs_add(&broker->jobs, flow, flow->batch->number, row);
    uint64_t origin;

    if (!job) {
        // The row stays in the store; it is read again after a restart or by
        // the next scan.
        log_error("batch.no_memory", "job=" LOG_JOB,
                  LOG_JOB_ARG(job_id_make(flow->batch->number, row->seq)));
        mark_unseen(broker, flow->batch);
        return;
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
}

static void
name_origin(struct broker *broker, struct flow *flow)
{
    uint64_t number;

    if (flow->origin && !flow->origin->text[0] && flow->refill.len)
        (void)origin_parse(broker->origin_parser, flow->refill.jobs[0].url,
                           flow->refill.jobs[0].len, &number,
                           flow->origin->text);
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
    batch->ops_out--;
    if (op->err) {
        log_error("store.read", "batch=%s error=%d", batch->id, op->err);
        mark_unseen(broker, batch); // the scan finds the flow again
        flow->is_end = true;
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
    name_origin(broker, flow);
    for (size_t i = 0; i < refill->len; i++)
        take_row(broker, flow, &refill->jobs[i]);
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
        mark_unseen(broker, batch);
    if (op->err) {
        log_error("store.read", "batch=%s error=%d", batch->id, op->err);
        mark_unseen(broker, batch);
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
        .max = sizeof(batch->scan_origins) / sizeof(*batch->scan_origins),
    };
    batch->ops_out++;
    store_push(broker->store, &batch->scan.op);
}

void
batches_refill(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    struct batch *batch, *next;

    while (batches->hungry &&
           broker->jobs.len + batches->refills_out + batches->hungry->page <=
               JOBS_MAX) {
        struct flow *flow = batches->hungry;

        DL_DELETE2(batches->hungry, flow, hungry_prev, hungry_next);
        flow->is_hungry = false;
        ask_refill(broker, flow);
    }
    if (!batches->has_unseen_origins || batches->flows_len + 256 > FLOWS_MAX)
        return;
    batches->has_unseen_origins = false;
    HASH_ITER(hh, batches->by_number, batch, next)
    {
        if ((batch->has_unseen_origins || !batch->scan_is_first) &&
            !batch->is_scanning)
            ask_scan(broker, batch);
    }
}

// --- Batches ---

static void
read_options(struct batch *batch, const void *data, size_t len)
{
    Urlsum__V1__BatchOptions *options =
        urlsum__v1__batch_options__unpack(NULL, len, data);

    batch->retry = 3;
    batch->weight = 1;
    wire_request_init(&batch->request);
    if (!options)
        return;
    if (options->retry_is_case)
        batch->retry = options->retry;
    batch->retries_all = options->retry_all_errors != 0;
    if (options->weight_is_case && options->weight)
        batch->weight = options->weight;
#define COPY(field)                                                            \
    if (options->field##_is_case)                                              \
        batch->request.field = options->field;
    COPY(max_redirs)
    COPY(connect_timeout_ms)
    COPY(speed_limit)
    COPY(speed_time_s)
    COPY(max_time_ms)
    COPY(max_filesize)
#undef COPY
    urlsum__v1__batch_options__free_unpacked(options, NULL);
}

struct batch *
batch_load(struct broker *broker, const struct store_batch *row)
{
    struct batches *batches = &broker->batches;
    struct batch *batch;

    HASH_FIND(hh, batches->by_number, &row->batch, sizeof(row->batch), batch);
    if (batch)
        return batch;
    if (batches->len >= BATCHES_MAX)
        return NULL;
    batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->number = row->batch;
    memcpy(batch->id, row->id, sizeof(batch->id));
    if (suite_parse(row->algorithms, &batch->suite) != 0) {
        log_error("batch.algorithms", "batch=%s algorithms=\"%s\"", row->id,
                  row->algorithms);
        free(batch);
        return NULL;
    }
    read_options(batch, row->options, row->options_len);
    batch->is_cancelled = row->is_cancelled;
    batch->landed = row->landed;
    batch->submitted = row->submitted;
    batch->scan_is_first = true;
    if (row->submitted > row->landed)
        mark_unseen(broker, batch);
    HASH_ADD(hh, batches->by_number, number, sizeof(batch->number), batch);
    HASH_ADD_KEYPTR(hh_id, batches->by_id, batch->id, strlen(batch->id), batch);
    DL_APPEND(batches->ring, batch);
    batches->len++;
    return batch;
}

struct batch *
batch_find(struct broker *broker, const char *id)
{
    struct batch *batch;

    HASH_FIND(hh_id, broker->batches.by_id, id, strlen(id), batch);
    return batch;
}

static void
batch_free(struct broker *broker, struct batch *batch)
{
    struct batches *batches = &broker->batches;

    HASH_DELETE(hh, batches->by_number, batch);
    HASH_DELETE(hh_id, batches->by_id, batch);
    DL_DELETE(batches->ring, batch);
    batches->len--;
    free(batch);
}

// Lets go of a batch whose last record is committed, once nothing points to it.
static void
batch_retire(struct broker *broker, struct batch *batch)
{
    if (!batch->is_finished || batch->flows || batch->ops_out)
        return;
    log_info("batch.finished", "batch=%s number=%" PRIu64 " records=%" PRIu64,
             batch->id, batch->number, batch->landed);
    batch_free(broker, batch);
}

void
batch_on_appended(struct broker *broker, struct batch *batch,
                  const struct store_url *urls, size_t len, uint64_t submitted)
{
    uint64_t last = 0;

    batch->submitted = submitted;
    for (size_t i = 0; i < len; i++) {
        if (i && urls[i].origin == last)
            continue;
        last = urls[i].origin;
        flow_wake(broker, batch, last);
    }
}

void
batch_on_landed(struct broker *broker, struct batch *batch, uint64_t landed,
                bool is_finished)
{
    if (landed > batch->landed)
        batch->landed = landed;
    batch->is_finished |= is_finished;
    api_on_landed(broker->api, batch);
    batch_retire(broker, batch);
}

void
batch_cancel(struct broker *broker, struct batch *batch)
{
    struct life_info info = {.outcome = FAIL_CANCELLED,
                             .reason = WIRE_ABORT_CANCELLED};
    struct job *job, *next;

    batch->is_cancelled = true;
    HASH_ITER(hh, broker->jobs.by_id, job, next)
    {
        if (job->flow->batch == batch &&
            life_next(job->state, EV_CANCELLED) != JOB_STATE_COUNT)
            (void)life_apply(broker, job, EV_CANCELLED, &info);
    }
}

void
batches_fini(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    struct batch *batch, *next_batch;
    struct flow *flow, *next_flow;
    struct job *job, *next_job;

    HASH_ITER(hh, broker->jobs.by_id, job, next_job)
    {
        jobs_remove(&broker->jobs, &job);
    }
    HASH_ITER(hh, batches->by_number, batch, next_batch)
    {
        HASH_ITER(hh, batch->flows, flow, next_flow)
        {
            flow->queue_len = 0; // its jobs are gone
            flow_free(broker, flow);
        }
        batch_free(broker, batch);
    }
}
