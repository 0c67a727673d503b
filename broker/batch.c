#include "broker/batch.h"

#include "broker/api.h"
#include "broker/life.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static size_t
profile_bytes(const struct batch *batch)
{
    return batch->options.profile ? batch->options.profile->bytes : 0;
}

static int
add_to_tables(struct batches *batches, struct batch *batch)
{
    HASH_ADD(hh, batches->by_number, number, sizeof(batch->number), batch);
    if (!batch->hh.tbl) // not added: no memory
        return -ENOMEM;
    HASH_ADD_KEYPTR(hh_id, batches->by_id, batch->id, strlen(batch->id), batch);
    if (!batch->hh_id.tbl) {
        HASH_DELETE(hh, batches->by_number, batch);
        return -ENOMEM;
    }
    return 0;
}

int
batch_load(struct broker *broker, const struct store_batch *row,
           struct batch **out_batch)
{
    struct batches *batches = &broker->batches;
    struct batch *batch;
    int err = -EINVAL;

    HASH_FIND(hh, batches->by_number, &row->batch, sizeof(row->batch), batch);
    if (batch) {
        *out_batch = batch;
        return 0;
    }
    if (batches->len >= BATCHES_MAX)
        return -ENFILE;
    batch = calloc(1, sizeof(*batch));
    if (!batch)
        return -ENOMEM;
    batch->number = row->batch;
    memcpy(batch->id, row->id, sizeof(batch->id));
    if (suite_parse(row->algorithms, &batch->suite) != 0) {
        log_error("batch.algorithms", "batch=%s algorithms=\"%s\"", row->id,
                  row->algorithms);
        goto out;
    }
    batch->suite_name =
        (struct wire_bytes){batch->suite.text, strlen(batch->suite.text)};
    err = batch_options_read(row->options, row->options_len, &batch->options);
    if (err)
        goto out;
    err = -ENFILE;
    if (batches->options_bytes + profile_bytes(batch) > OPTIONS_BYTES_MAX)
        goto out;
    err = add_to_tables(batches, batch);
    if (err)
        goto out;
    batch->is_cancelled = row->is_cancelled;
    batch->landed = row->landed;
    batch->replaced = row->replaced;
    batch->submitted = row->submitted;
    batch->scan_is_first = true;
    if (row->submitted > row->landed - row->replaced)
        batch_mark_unseen(broker, batch);
    DL_APPEND(batches->ring, batch);
    batches->len++;
    batches->options_bytes += profile_bytes(batch);

    *out_batch = batch;
    batch = NULL; // the tables' now
out:
    if (batch)
        batch_profile_free(&batch->options.profile);
    free(batch);
    return err;
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
    batches->options_bytes -= profile_bytes(batch);
    batch_profile_free(&batch->options.profile);
    free(batch);
}

// Lets go of a batch whose last record is committed, once nothing points to it.
void
batch_retire(struct broker *broker, struct batch *batch)
{
    if (!batch->is_finished || batch->flows || batch->ops_out)
        return;
    log_info("batch.finished", "batch=%s number=%" PRIu64 " records=%" PRIu64,
             batch->id, batch->number, batch->submitted);
    if (batch->options.profile)
        sessions_forget_profile(broker, batch->number);
    batch_free(broker, batch);
}

void
batch_on_appended(struct broker *broker, struct batch *batch,
                  const struct store_url *urls, size_t len, uint64_t submitted)
{
    uint64_t last = 0;

    metrics_add(&broker->stats.submitted, submitted - batch->submitted);
    batch->submitted = submitted;
    for (size_t i = 0; i < len; i++) {
        if (i && urls[i].origin == last)
            continue;
        last = urls[i].origin;
        flow_wake(broker, batch, last);
    }
}

// Makes the line's flow read it again.
static void
wake_line(struct broker *broker, struct batch *batch,
          const struct store_requeue_row *row)
{
    struct flow *flow;

    flow_wake(broker, batch, row->origin);
    HASH_FIND(hh, batch->flows, &row->origin, sizeof(row->origin), flow);
    if (!flow)
        return; // the scan finds it
    flow_rewind(flow, row->seq);
}

void
batch_on_requeued(struct broker *broker, const struct store_batch *row,
                  const struct store_requeue_row *rows, size_t len)
{
    struct batch *batch;

    if (batch_load(broker, row, &batch) != 0) {
        // No room: it is read again with the others that have none.
        recovery_again(broker);
        return;
    }
    batch->is_finished = false;
    batch->replaced = row->replaced;
    for (size_t i = 0; i < len; i++)
        wake_line(broker, batch, &rows[i]);
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
            life_next(job->state, EV_CANCELLED) != JOB_STATE_COUNT) {
            if (job->state == JOB_HASHING)
                job->tries--; // it did not come to its end
            (void)life_apply(broker, job, EV_CANCELLED, &info);
        }
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
