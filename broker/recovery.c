#include "broker/recovery.h"

#include "broker/state.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>

// Batches of one page: about 200 KiB with their options.
#define PAGE_MAX 256
// After a failed read.
#define PAUSE_MS 1000

static void
call_back(struct recovery *recovery, int err)
{
    if (recovery->is_over)
        return;
    recovery->is_over = true;
    recovery->fn(recovery->arg, err);
}

static bool
has_room(const struct broker *broker)
{
    return broker->batches.len + PAGE_MAX <= BATCHES_MAX;
}

// Stops where there is no memory, or no room any more: that batch is the next
// one to be read again.
static int
take_page(struct broker *broker, const struct store_batches *page)
{
    for (size_t i = 0; i < page->len; i++) {
        const struct store_batch *row = &page->rows[i];
        struct batch *batch;
        int err = batch_load(broker, row, &batch);

        if (err == -ENOMEM || err == -ENFILE)
            return err;
        broker->recovery.after = row->batch;
        if (!err)
            log_info("batch.resumed",
                     "batch=%s number=%" PRIu64 " submitted=%" PRIu64
                     " records=%" PRIu64,
                     batch->id, batch->number, batch->submitted,
                     row->landed - row->replaced);
    }
    return 0;
}

static void
read_again(struct recovery *recovery)
{
    recovery->after = 0;
    recovery->has_more = true;
    recovery->is_stale = recovery->is_out;
}

void
recovery_again(struct broker *broker)
{
    read_again(&broker->recovery);
}

static void
on_page(struct store_op *op)
{
    struct broker *broker = op->arg;
    struct recovery *recovery = &broker->recovery;
    int err;

    recovery->is_out = false;
    if (op->err) {
        log_error("broker.recovery", "error=%d", op->err);
        recovery->at_ms = loop_now_ms(broker->loop) + PAUSE_MS;
        call_back(recovery, op->err);
        return;
    }
    err = take_page(broker, &recovery->page);
    recovery->has_more = err || recovery->page.len == recovery->page.max;
    store_batches_fini(&recovery->page);
    if (recovery->is_stale)
        read_again(recovery);
    if (err == -ENOMEM) {
        log_error("broker.recovery", "error=%d", err);
        recovery->at_ms = loop_now_ms(broker->loop) + PAUSE_MS;
        return;
    }
    if (!recovery->has_more || !has_room(broker))
        call_back(recovery, 0);
}

void
recovery_start(struct broker *broker, recovery_fn *fn, void *arg)
{
    broker->recovery = (struct recovery){
        .has_more = true,
        .fn = fn,
        .arg = arg,
    };
    recovery_run(broker);
}

void
recovery_run(struct broker *broker)
{
    struct recovery *recovery = &broker->recovery;

    if (!recovery->has_more || recovery->is_out || !has_room(broker) ||
        loop_now_ms(broker->loop) < recovery->at_ms)
        return;
    recovery->is_out = true;
    recovery->page = (struct store_batches){
        .op = {.kind = STORE_BATCHES, .done = on_page, .arg = broker},
        .only_unfinished = true,
        .after = recovery->after,
        .max = PAGE_MAX,
    };
    store_push(broker->store, &recovery->page.op);
}
