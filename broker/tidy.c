#include "broker/tidy.h"

#include "broker/state.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"

static void
on_step(struct store_op *op)
{
    struct broker *broker = op->arg;
    struct tidy *tidy = &broker->tidy;

    tidy->is_out = false;
    tidy->at_ms = loop_now_ms(broker->loop);
    if (op->err || !tidy->step.has_more)
        tidy->at_ms += TIDY_EVERY_MS;
    // That it worked says little: there may have been nothing to write.
    if (op->err)
        broker_note_store(broker, op->err);
    else if (tidy->step.removed)
        log_info("batch.removed",
                 "batches=%" PRIu64 " why=\"older than --keep\"",
                 tidy->step.removed);
}

void
broker_tidy_soon(struct broker *broker)
{
    broker->tidy.at_ms = loop_now_ms(broker->loop);
}

void
tidy_run(struct broker *broker)
{
    struct tidy *tidy = &broker->tidy;
    uint64_t now_ms = loop_now_ms(broker->loop);
    int64_t keep_ms = broker->config->keep_ms;
    struct store_stats stats;

    if (broker->config->is_ephemeral || tidy->is_out || now_ms < tidy->at_ms ||
        broker->trouble.unrecorded)
        return;
    store_stats(broker->store, &stats);
    if (stats.waiting > TIDY_WAITING_MAX &&
        now_ms - tidy->at_ms < TIDY_LATEST_MS)
        return;
    tidy->is_out = true;
    tidy->step = (struct store_tidy){
        .op = {.kind = STORE_TIDY, .done = on_step, .arg = broker},
        .finished_before_wall_ms = keep_ms ? clock_wall_ms() - keep_ms : 0,
    };
    store_push(broker->store, &tidy->step.op);
}
