// hosts_store.c - closed origins over a restart: a server that asked for a
// day's pause is not asked again because the broker was restarted
#include "broker/hosts.h"

#include "broker/state.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// Shorter ones are over before a restart is.
#define NOTED_MIN_MS (60 * 1000)

static void
on_noted(struct store_op *op)
{
    // One that was not noted is forgotten by a restart; that is all.
    free(op);
}

void
hosts_note_closing(struct broker *broker, const struct origin *origin)
{
    const struct politeness *politeness = &origin->politeness;
    uint64_t for_ms = politeness->closed_until_ms - loop_now_ms(broker->loop);
    int64_t wall_ms = clock_wall_ms();
    struct store_note_closing *note;

    // What would not be remembered need not be noted either: so the table is
    // no larger than the memory.
    if (for_ms < NOTED_MIN_MS || broker->config->is_ephemeral ||
        broker->hosts.figures.kept >= HOSTS_KEPT_MAX)
        return;
    note = calloc(1, sizeof(*note));
    if (!note)
        return;
    note->op = (struct store_op){.kind = STORE_NOTE_CLOSING, .done = on_noted};
    note->over_before_wall_ms = wall_ms - (int64_t)POLITENESS_QUIET_MS;
    note->closing.origin = origin->number;
    memcpy(note->closing.text, origin->text, strlen(origin->text) + 1);
    note->closing.until_wall_ms = wall_ms + (int64_t)for_ms;
    note->closing.status = (int)politeness->closed_status;
    note->closing.is_told = politeness->is_told;
    note->closing.incidents = politeness->incidents;
    store_push(broker->store, &note->op);
}

static void
on_loaded(struct store_op *op)
{
    struct broker *broker = op->arg;
    struct store_closings *loading = &broker->hosts.loading;
    int64_t wall_ms = clock_wall_ms();
    size_t closed = 0;

    if (op->err)
        log_error("store.read", "what=closings error=%d", op->err);
    for (size_t i = 0; i < loading->len; i++) {
        const struct store_closing *closing = &loading->closings[i];
        int64_t left_ms = closing->until_wall_ms - wall_ms;

        hosts_restore(broker, closing, left_ms);
        closed += left_ms > 0;
    }
    store_closings_fini(loading);
    if (closed)
        log_info("host.restored", "closed=%zu", closed);
}

void
hosts_load(struct broker *broker)
{
    struct store_closings *loading = &broker->hosts.loading;

    *loading = (struct store_closings){
        .op = {.kind = STORE_CLOSINGS, .done = on_loaded, .arg = broker},
        .over_before_wall_ms = clock_wall_ms() - (int64_t)POLITENESS_QUIET_MS,
        .max = HOSTS_KEPT_MAX,
    };
    store_push(broker->store, &loading->op);
}
