#include "broker/life.h"

#include "broker/schedule.h"
#include "broker/state.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <utlist.h>

static const char *const state_names[JOB_STATE_COUNT] = {
#define X(symbol, note) [JOB_##symbol] = #symbol,
    JOB_STATES(X)
#undef X
};

static const char *const event_names[EV_COUNT] = {
#define X(symbol, note) [EV_##symbol] = #symbol,
    JOB_EVENTS(X)
#undef X
};

// The life of a job. An empty cell holds JOB_NONE: nothing leads back there.
// clang-format off
static const enum job_state life[JOB_STATE_COUNT][EV_COUNT] = {
    // now                what happened         next
    [JOB_NONE] =       { [EV_LOADED]         = JOB_QUEUED,
                         [EV_REFUSED]        = JOB_FAILED,
                         [EV_CANCELLED]      = JOB_CANCELLED },
    [JOB_QUEUED] =     { [EV_LEASED]         = JOB_LEASED,
                         [EV_GIVEN_UP]       = JOB_FAILED,
                         [EV_CANCELLED]      = JOB_CANCELLED },
    [JOB_LEASED] =     { [EV_FETCHED]        = JOB_HASHING,
                         [EV_FAILED_SOFT]    = JOB_RETRY_WAIT,
                         [EV_FAILED_HARD]    = JOB_FAILED,
                         [EV_LEASE_LOST]     = JOB_QUEUED,
                         [EV_CANCELLED]      = JOB_CANCELLED },
    [JOB_HASHING] =    { [EV_DIGESTED]       = JOB_DONE,
                         [EV_FAILED_HARD]    = JOB_FAILED,
                         [EV_LEASE_LOST]     = JOB_QUEUED,
                         [EV_CANCELLED]      = JOB_CANCELLED },
    [JOB_RETRY_WAIT] = { [EV_DUE]            = JOB_QUEUED,
                         [EV_CANCELLED]      = JOB_CANCELLED },
};
// clang-format on

enum job_state
life_next(enum job_state state, enum job_event event)
{
    assert(state < JOB_STATE_COUNT && event < EV_COUNT);
    return life[state][event] == JOB_NONE ? JOB_STATE_COUNT
                                          : life[state][event];
}

const char *
life_state_name(enum job_state state)
{
    return state_names[state];
}

const char *
life_event_name(enum job_event event)
{
    return event_names[event];
}

void
life_print(FILE *out)
{
    fprintf(out, "| state | event | next |\n|---|---|---|\n");
    for (int state = 0; state < JOB_STATE_COUNT; state++) {
        for (int event = 0; event < EV_COUNT; event++) {
            if (life[state][event] != JOB_NONE)
                fprintf(out, "| %s | %s | %s |\n", state_names[state],
                        event_names[event], state_names[life[state][event]]);
        }
    }
}

// --- The durable part ---

// The record is committed (or refused): the job's memory ends with it.
static void
on_finished(struct store_op *op)
{
    struct job *job = (struct job *)((char *)op - offsetof(struct job, finish));
    struct broker *broker = op->arg;
    struct flow *flow = job->flow;

    // Nothing is shown that is not durable: a refused record is written again.
    if (!broker_note_finish(broker, job))
        return;
    if (op->err)
        log_error("job.no_row", "job=" LOG_JOB, LOG_JOB_ARG(job->id));
    else
        batch_on_landed(broker, flow->batch, job->finish.record.landed,
                        job->finish.batch_is_finished);
    if (!op->err)
        metrics_add(&broker->stats.records[job->finish.record.outcome], 1);
    metrics_sub(&broker->stats.jobs[job->state], 1);
    jobs_remove(&broker->jobs, &job);
    flow_on_job_gone(broker, flow);
}

static void
write_record(struct broker *broker, struct job *job, enum fail outcome)
{
    bool has_digests = outcome == FAIL_OK;

    job->finish = (struct store_finish){
        .op = {.kind = STORE_FINISH, .done = on_finished, .arg = broker},
        .batch = job->flow->batch->number,
        .origin = job->flow->number,
        .record = {.seq = job_seq(job),
                   .outcome = outcome,
                   .url = job->url,
                   .url_len = job->url_len,
                   .size = has_digests ? job->size : 0,
                   .http_status = job->http_status,
                   .tries = job->tries,
                   .digests = job->digests,
                   .digests_len =
                       has_digests ? job->flow->batch->suite.total_bytes : 0,
                   .facts = job->facts,
                   .facts_len = job->facts_len},
    };
    store_push(broker->store, &job->finish.op);
}

static void write_tries(struct broker *broker, struct job *job);

static void
on_retry_noted(struct store_op *op)
{
    struct job *job = (struct job *)((char *)op - offsetof(struct job, retry));

    // Not noted: after a restart the job merely has more tries than it should.
    job->retry_is_out = false;
    broker_note_store(op->arg, op->err);
    if (job->retry_is_old && life_next(job->state, EV_CANCELLED) !=
                                 JOB_STATE_COUNT) // else its record is out
        write_tries(op->arg, job);
}

static void
write_tries(struct broker *broker, struct job *job)
{
    job->retry_is_old = job->retry_is_out;
    if (job->retry_is_out)
        return; // written when that one is in
    job->retry_is_out = true;
    job->retry = (struct store_retry){
        .op = {.kind = STORE_RETRY, .done = on_retry_noted, .arg = broker},
        .batch = job->flow->batch->number,
        .origin = job->flow->number,
        .seq = job_seq(job),
        .tries = job->tries,
        .lost = job->lost,
    };
    store_push(broker->store, &job->retry.op);
}

static void
write_move(struct broker *broker, struct job *job, enum job_event event,
           enum job_state next, const struct life_info *info)
{
    switch (next) {
    case JOB_DONE:
        write_record(broker, job, FAIL_OK);
        return;
    case JOB_FAILED:
        write_record(broker, job, info->outcome);
        return;
    case JOB_CANCELLED:
        write_record(broker, job, FAIL_CANCELLED);
        return;
    case JOB_RETRY_WAIT:
        write_tries(broker, job);
        return;
    case JOB_QUEUED:
        if (event == EV_LEASE_LOST && job->lost)
            write_tries(broker, job);
        return;
    case JOB_LEASED:  // leases are not durable: a restart finds them queued
    case JOB_HASHING: // the same
    case JOB_NONE:
    case JOB_STATE_COUNT:
        return;
    }
}

// --- Places ---

static void
end_leases(struct broker *broker, struct job *job, const struct life_info *info)
{
    struct session *fetcher = job->fetcher, *hasher = job->hasher;

    if (fetcher) {
        DL_DELETE2(fetcher->jobs, job, fetcher_prev, fetcher_next);
        fetcher->jobs_len--;
        job->fetcher = NULL;
        if (fetcher != info->from)
            session_abort(broker, fetcher, job->id, job->attempt, info->reason);
    }
    if (hasher) {
        DL_DELETE2(hasher->jobs, job, hasher_prev, hasher_next);
        hasher->jobs_len--;
        job->hasher = NULL;
        if (hasher != info->from)
            session_abort(broker, hasher, job->id, job->attempt, info->reason);
    }
}

static void
unfile(struct broker *broker, struct job *job, enum job_state next,
       const struct life_info *info)
{
    struct batch *batch = job->flow->batch;

    switch (job->state) {
    case JOB_QUEUED:
        flow_unfile(broker, job);
        return;
    case JOB_LEASED:
        batch->fetching--;
        hosts_end(broker, job);
        if (next != JOB_HASHING)
            end_leases(broker, job, info);
        return;
    case JOB_HASHING:
        batch->hashing--;
        end_leases(broker, job, info);
        return;
    case JOB_RETRY_WAIT:
        batch->retrying--;
        job->flow->retrying--;
        heap_remove(&broker->retries, &job->due);
        return;
    case JOB_NONE:
    case JOB_DONE:
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_STATE_COUNT:
        return;
    }
}

static void
file(struct broker *broker, struct job *job, enum job_state last,
     const struct life_info *info)
{
    struct batch *batch = job->flow->batch;

    switch (job->state) {
    case JOB_QUEUED:
        flow_file(broker, job, last != JOB_NONE);
        return;
    case JOB_LEASED:
        batch->fetching++;
        job->attempt++;
        job->relayed = job->unpaid = 0;
        job->also = 0;
        job->fetcher = info->fetcher;
        DL_APPEND2(info->fetcher->jobs, job, fetcher_prev, fetcher_next);
        info->fetcher->jobs_len++;
        hosts_begin(broker, job);
        session_add_job(broker, info->fetcher, job);
        return;
    case JOB_HASHING:
        batch->hashing++;
        return;
    case JOB_RETRY_WAIT:
        batch->retrying++;
        job->last_fail = info->outcome;
        job->flow->retrying++;
        // Room for JOBS_MAX nodes was reserved: it cannot fail.
        (void)heap_push(&broker->retries, &job->due, info->due_ms);
        return;
    case JOB_NONE:
    case JOB_DONE:
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_STATE_COUNT:
        return;
    }
}

// What the notes of JOB_STATES promise.
static void
job_check(const struct job *job)
{
    bool is_active = job->state == JOB_LEASED || job->state == JOB_HASHING;

    assert(is_active || (!job->fetcher && !job->hasher));
    assert(job->state != JOB_LEASED || job->fetcher);
    assert((job->due.place != 0) == (job->state == JOB_RETRY_WAIT));
    (void)job, (void)is_active; // NDEBUG
}

static void
count_move(struct stats *stats, const struct job *job, enum job_state last,
           enum job_event event, const struct life_info *info)
{
    if (last != JOB_NONE)
        metrics_sub(&stats->jobs[last], 1);
    metrics_add(&stats->jobs[job->state], 1);
    metrics_add(&stats->events[event], 1);
    if (event == EV_FAILED_SOFT)
        metrics_add(&stats->retries[info->outcome], 1);
}

int
life_apply(struct broker *broker, struct job *job, enum job_event event,
           const struct life_info *info)
{
    enum job_state last = job->state, next = life_next(last, event);

    if (next == JOB_STATE_COUNT) {
        log_warn("job.refused_event", "job=" LOG_JOB " state=%s on=%s",
                 LOG_JOB_ARG(job->id), state_names[last], event_names[event]);
        return -EPROTO;
    }
    fault_at_cell(state_names[last], event_names[event], job->id);
    write_move(broker, job, event, next, info);
    unfile(broker, job, next, info);
    job->state = next;
    job->moved_ms = job->renewed_ms = loop_now_ms(broker->loop);
    file(broker, job, last, info);
    count_move(&broker->stats, job, last, event, info);
    log_debug("job.moved",
              "job=" LOG_JOB " attempt=%" PRIu32 " from=%s on=%s to=%s",
              LOG_JOB_ARG(job->id), job->attempt, state_names[last],
              event_names[event], state_names[next]);
    job_check(job);
    return 0;
}
