#include "broker/trouble.h"

#include "broker/state.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

bool
trouble_is_refusal(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EIO:
    case -EACCES:
    case -EROFS:
    case -ENOMEM:
        return true;
    default: // an answer: no such batch, a gap in the list, ...
        return false;
    }
}

static const char *
refusal_text(int err)
{
    switch (err) {
    case -ENOSPC:
        return "the broker's disk is full";
    case -EIO:
        return "the broker cannot write to its disk";
    case -EACCES:
    case -EROFS:
        return "the broker may not write to its store";
    case -ENOMEM:
        return "the broker is out of memory";
    default:
        return "the broker's store takes no records";
    }
}

// --- What the store says ---

static void
note_refusal(struct broker *broker, int err)
{
    struct trouble *trouble = &broker->trouble;

    metrics_add(&broker->stats.store_refusals, 1);
    if (trouble->err != err)
        log_error("store.refused",
                  "error=%d why=\"%s\" do=\"see to the store's disk; nothing "
                  "is lost, and all goes on by itself\"",
                  err, refusal_text(err));
    if (!trouble->err)
        trouble->since_wall_ms = clock_wall_ms();
    trouble->err = err;
    trouble->refused_ms = loop_now_ms(broker->loop);
    trouble->has_worked = false;
}

void
broker_note_store(struct broker *broker, int err)
{
    struct trouble *trouble = &broker->trouble;

    if (trouble_is_refusal(err)) {
        note_refusal(broker, err);
        return;
    }
    if (!err)
        trouble->has_worked = true;
}

static void
end_trouble(struct broker *broker)
{
    struct trouble *trouble = &broker->trouble;

    if (!trouble->err || trouble->unrecorded || !trouble->has_worked ||
        loop_now_ms(broker->loop) - trouble->refused_ms < TROUBLE_QUIET_MS)
        return;
    log_info("store.works", "after_ms=%" PRId64,
             clock_wall_ms() - trouble->since_wall_ms);
    trouble->err = 0;
}

// --- Records that were refused ---

static void
push_parked(struct broker *broker, size_t most)
{
    struct job *job, *next;

    DL_FOREACH_SAFE(broker->trouble.parked, job, next)
    {
        if (!most--)
            return;
        DL_DELETE(broker->trouble.parked, job);
        store_push(broker->store, &job->finish.op);
    }
}

bool
broker_note_finish(struct broker *broker, struct job *job)
{
    struct trouble *trouble = &broker->trouble;
    int err = job->finish.op.err;

    // Read in the store's last moment (a line that is no URL, or cancelled): it
    // is in the queue as before, and there was nothing to lose.
    if (err == -ESHUTDOWN && !job->is_unrecorded)
        return false;
    if (err && err != -ENOENT) {
        // The store's last word at the end of the broker is no news.
        if (err != -ESHUTDOWN)
            note_refusal(broker, err);
        if (!job->is_unrecorded)
            trouble->unrecorded++;
        job->is_unrecorded = true;
        if (!trouble->parked)
            trouble->again_ms = loop_now_ms(broker->loop) + TROUBLE_AGAIN_MS;
        DL_APPEND(trouble->parked, job);
        return false;
    }
    if (job->is_unrecorded)
        trouble->unrecorded--;
    job->is_unrecorded = false;
    push_parked(broker, SIZE_MAX);
    broker_note_store(broker, err);
    return true;
}

void
trouble_push_all(struct broker *broker)
{
    push_parked(broker, SIZE_MAX);
}

// --- What people are told ---

static bool
has_fetcher(const struct sessions *sessions)
{
    const struct session *session;

    DL_FOREACH(sessions->fetchers, session)
    {
        if (!session->is_gone && !session->is_draining)
            return true;
    }
    return false;
}

// There is one reason to pause so far.
static bool
all_pause(const struct sessions *sessions)
{
    const struct session *session;

    DL_FOREACH(sessions->fetchers, session)
    {
        if (!session->is_gone && !session->is_draining && !session->pause)
            return false;
    }
    return true;
}

static bool
store_refuses(const struct broker *broker)
{
    const struct trouble *trouble = &broker->trouble;

    return trouble->unrecorded ||
           (trouble->err && loop_now_ms(broker->loop) - trouble->refused_ms <
                                TROUBLE_FORGET_MS);
}

static const char *
find_hindrance(const struct broker *broker)
{
    if (store_refuses(broker))
        return refusal_text(broker->trouble.err);
    if (!has_fetcher(&broker->sessions))
        return "no fetcher is connected";
    if (!sessions_have_hasher(&broker->sessions, NULL, NULL))
        return "no hasher is connected";
    if (broker->is_draining)
        return "the broker is about to stop";
    if (all_pause(&broker->sessions))
        return "no DNS server answers";
    return NULL;
}

const char *
broker_hindrance(const struct broker *broker, int64_t *out_since_wall_ms,
                 bool *out_is_store)
{
    const struct trouble *trouble = &broker->trouble;
    const char *why = find_hindrance(broker);

    *out_is_store = store_refuses(broker);
    *out_since_wall_ms = 0;
    if (*out_is_store)
        *out_since_wall_ms = trouble->since_wall_ms;
    else if (why)
        *out_since_wall_ms = trouble->hindrance == why
                                 ? trouble->hindered_wall_ms
                                 : clock_wall_ms(); // since this second
    return why;
}

void
trouble_beat(struct broker *broker)
{
    struct trouble *trouble = &broker->trouble;
    uint64_t now_ms = loop_now_ms(broker->loop);
    const char *why;

    if (trouble->parked && now_ms >= trouble->again_ms) {
        trouble->again_ms = now_ms + TROUBLE_AGAIN_MS;
        push_parked(broker, TROUBLE_PROBE);
    }
    end_trouble(broker);
    why = find_hindrance(broker);
    if (why != trouble->hindrance) {
        trouble->hindrance = why;
        trouble->hindered_wall_ms = clock_wall_ms();
    }
}
