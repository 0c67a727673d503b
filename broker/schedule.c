#include "broker/schedule.h"

#include "broker/life.h"
#include "broker/state.h"
#include "common/limits.h"
#include "common/loop.h"

#include <stdlib.h>
#include <utlist.h>

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS (10 * 60 * 1000)

// Leases up to quantum jobs of the batch to the fetcher. Returns how many.
static size_t
serve_batch(struct broker *broker, struct batch *batch, struct session *fetcher,
            size_t quantum)
{
    struct life_info info = {.fetcher = fetcher};
    size_t served = 0;

    // What nobody could digest is not fetched: the batch waits for a hasher.
    if (!batch->ready ||
        !sessions_have_free_hasher(&broker->sessions, &batch->suite_name))
        return 0;
    while (served < quantum && batch->ready) {
        struct flow *flow = batch->ready;

        // The list is lazy: another batch may have taken the last slot.
        flow_place(broker, flow);
        if (flow->place != FLOW_READY)
            continue;
        (void)life_apply(broker, flow->queue, EV_LEASED, &info);
        served++;
        // To the back of the list, or out of it.
        flow_place(broker, flow);
        if (flow->place == FLOW_READY) {
            DL_DELETE(batch->ready, flow);
            DL_APPEND(batch->ready, flow);
        }
        flow_on_taken(broker, flow);
    }
    return served;
}

void
schedule_run(struct broker *broker)
{
    struct batches *batches = &broker->batches;
    size_t passed = 0;

    suspects_run(broker);
    // While records wait for the store, new ones would only wait as well.
    if (broker->is_draining || broker->trouble.unrecorded)
        return;
    while (batches->ring && passed < batches->len) {
        struct batch *batch = batches->ring;
        struct session *fetcher;
        size_t room, quantum = SCHEDULE_QUANTUM * batch->options.weight;

        fetcher = sessions_pick_fetcher(&broker->sessions, &room);
        if (!fetcher)
            break;
        if (quantum > room)
            quantum = room;
        passed = serve_batch(broker, batch, fetcher, quantum) ? 0 : passed + 1;
        session_send_jobs(broker, fetcher);
        // To the back of the ring.
        DL_DELETE(batches->ring, batch);
        DL_APPEND(batches->ring, batch);
    }
}

uint64_t
schedule_run_retries(struct broker *broker)
{
    struct heap_node *node;
    uint64_t now_ms = loop_now_ms(broker->loop);
    const struct life_info info = {0};

    while ((node = heap_peek(&broker->retries)) != NULL) {
        struct job *job =
            (struct job *)((char *)node - offsetof(struct job, due));

        if (node->key > now_ms)
            return node->key;
        (void)life_apply(broker, job, EV_DUE, &info);
    }
    return UINT64_MAX;
}

bool
schedule_wants_retry(const struct job *job, enum fail outcome, int http_status,
                     uint64_t retry_after_s, uint64_t now_ms, unsigned *seed,
                     uint64_t *out_due_ms)
{
    const struct batch *batch = job->flow->batch;
    uint64_t pause_ms = BACKOFF_FIRST_MS;

    if (!batch->options.retries_all && !fail_is_soft(outcome, http_status))
        return false;
    if (job->tries >= batch->options.retry)
        return false;
    for (uint32_t i = 0; i < job->tries && pause_ms < BACKOFF_MAX_MS; i++)
        pause_ms *= 2;
    if (pause_ms > BACKOFF_MAX_MS)
        pause_ms = BACKOFF_MAX_MS;
    pause_ms += (uint64_t)rand_r(seed) % (pause_ms / 4 + 1);
    if (retry_after_s != UINT64_MAX) {
        if (retry_after_s > RETRY_AFTER_MAX_S)
            retry_after_s = RETRY_AFTER_MAX_S;
        if (retry_after_s * 1000 > pause_ms)
            pause_ms = retry_after_s * 1000;
    }
    *out_due_ms = now_ms + pause_ms;
    return true;
}

uint64_t
schedule_any_status(const struct job *job)
{
    const struct batch_options *options = &job->flow->batch->options;

    if (options->request.any_status != WIRE_ANY_STATUS_ALL)
        return options->request.any_status;
    return job->tries >= options->retry ? WIRE_ANY_STATUS_ALL
                                        : WIRE_ANY_STATUS_HARD;
}
