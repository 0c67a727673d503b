#include "broker/suspects.h"

#include "broker/life.h"
#include "broker/state.h"
#include "common/fnv.h"
#include "common/log.h"
#include "common/loop.h"

#include <string.h>
#include <utlist.h>

// Suspects looked at in a turn: those that cannot run now go to the back.
#define LOOK_MAX 16

void
suspects_file(struct broker *broker, struct job *job)
{
    DL_APPEND(broker->suspects.queue, job);
    broker->suspects.len++;
}

void
suspects_unfile(struct broker *broker, struct job *job)
{
    DL_DELETE(broker->suspects.queue, job);
    broker->suspects.len--;
}

static bool
is_running(const struct broker *broker, const struct job *job)
{
    const struct suspects *suspects = &broker->suspects;

    return job && job->id == suspects->running &&
           job->attempt == suspects->attempt &&
           (job->state == JOB_LEASED || job->state == JOB_HASHING);
}

struct session *
suspects_hasher(const struct broker *broker, const struct job *job)
{
    if (!broker->suspects.running || !is_running(broker, job))
        return NULL;
    return sessions_find(&broker->sessions, broker->suspects.hasher);
}

// --- Reserving ---

static bool
is_useful(const struct session *session)
{
    return !session->is_gone && !session->is_draining;
}

static void
release_one(struct broker *broker, uint64_t *id)
{
    struct session *session = sessions_find(&broker->sessions, *id);

    if (session)
        session->is_reserved = false;
    *id = 0;
}

static void
release(struct broker *broker)
{
    release_one(broker, &broker->suspects.fetcher);
    release_one(broker, &broker->suspects.hasher);
}

static struct session *
reserved(const struct broker *broker, uint64_t id)
{
    struct session *session = sessions_find(&broker->sessions, id);

    return session && is_useful(session) ? session : NULL;
}

// No worker of a role is left to the others.
static bool
is_lone(const struct broker *broker)
{
    const struct session *list[] = {broker->sessions.fetchers,
                                    broker->sessions.hashers};

    for (size_t i = 0; i < 2; i++) {
        const struct session *it;
        bool has_other = false;

        DL_FOREACH(list[i], it)
        {
            has_other |= is_useful(it) && !it->is_reserved;
        }
        if (!has_other)
            return true;
    }
    return false;
}

// The same worker in all its sessions: a name without --name is HOST/PID, and a
// hasher's threads are numbered behind a slash.
static uint64_t
name_hash(const struct session *session)
{
    return fnv_add(FNV_EMPTY, session->label, strcspn(session->label, "/"));
}

static bool
is_bad(const struct broker *broker, const struct session *it)
{
    return name_hash(it) == (it->role == WIRE_FETCHER
                                 ? broker->suspects.bad_fetcher
                                 : broker->suspects.bad_hasher);
}

static bool
is_better(const struct broker *broker, const struct session *it,
          const struct session *best)
{
    uint64_t busy = broker->suspects.busy;

    if (!best || !it->pause != !best->pause)
        return !best || best->pause;
    if (it->is_doubtful != best->is_doubtful)
        return best->is_doubtful;
    if (it->id == busy || best->id == busy)
        return best->id == busy;
    if (is_bad(broker, it) != is_bad(broker, best))
        return is_bad(broker, best);
    return it->jobs_len < best->jobs_len;
}

// The one that has the least in hand: the first to have nothing.
static struct session *
find_fetcher(const struct broker *broker)
{
    struct session *it, *best = reserved(broker, broker->suspects.fetcher);

    if (best)
        return best;
    DL_FOREACH(broker->sessions.fetchers, it)
    {
        if (is_useful(it) && is_better(broker, it, best))
            best = it;
    }
    return best;
}

static struct session *
find_hasher(const struct broker *broker, const struct wire_bytes *suite)
{
    struct session *it, *best = reserved(broker, broker->suspects.hasher);

    if (best && session_can_hash(best, suite))
        return best;
    best = NULL;
    DL_FOREACH(broker->sessions.hashers, it)
    {
        if (is_useful(it) && session_can_hash(it, suite) &&
            is_better(broker, it, best))
            best = it;
    }
    return best;
}

static void
reserve(struct broker *broker, struct session *fetcher, struct session *hasher)
{
    struct suspects *suspects = &broker->suspects;

    if (fetcher->id == suspects->fetcher && hasher->id == suspects->hasher)
        return;
    if (!suspects->fetcher)
        suspects->since_ms = suspects->waits_ms = loop_now_ms(broker->loop);
    release(broker);
    fetcher->is_reserved = hasher->is_reserved = true;
    suspects->fetcher = fetcher->id;
    suspects->hasher = hasher->id;
    log_debug("suspect.waits", "fetcher=%s hasher=%s suspects=%zu",
              fetcher->label, hasher->label, suspects->len);
}

// --- Running ---

// Its origin is closed or parked: nothing is reserved for it meanwhile. One
// whose origin is given up fails.
static bool
is_shut(struct broker *broker, struct job *job)
{
    uint64_t until_ms;

    switch (hosts_state(broker, job->flow->origin, &until_ms)) {
    case POLITENESS_OPEN:
    case POLITENESS_PROBE:
    case POLITENESS_WAIT:
    case POLITENESS_TRIED:
        return false;
    case POLITENESS_CLOSED:
    case POLITENESS_PARKED:
        return true;
    case POLITENESS_GIVEN_UP:
        hosts_fail_job(broker, job);
        return true;
    }
    return false;
}

// The suspect that is to run next. One whose origin has no free slot is given
// out only when no other could run, and then waits for it: *out_has_slot.
static struct job *
find_next(struct broker *broker, bool *out_has_slot)
{
    struct suspects *suspects = &broker->suspects;
    size_t looks = suspects->len < LOOK_MAX ? suspects->len : LOOK_MAX;
    struct job *waits = NULL;

    *out_has_slot = false;
    for (; looks && suspects->queue; looks--) {
        struct job *job = suspects->queue;

        DL_DELETE(suspects->queue, job);
        DL_APPEND(suspects->queue, job);
        if (is_shut(broker, job) ||
            !find_hasher(broker, &job->flow->batch->suite_name))
            continue;
        *out_has_slot = place_may_begin(broker, job->flow->origin);
        if (*out_has_slot)
            return job;
        if (!waits)
            waits = job;
    }
    return waits;
}

static void
lease_alone(struct broker *broker, struct job *job, struct session *fetcher)
{
    struct life_info info = {.fetcher = fetcher};

    (void)life_apply(broker, job, EV_LEASED, &info);
    broker->suspects.running = job->id;
    broker->suspects.attempt = job->attempt;
    session_send_jobs(broker, fetcher);
    flow_on_taken(broker, job->flow);
    // Rationed: a silent hasher may have had tens of thousands in hand.
    log_outside(LOG_WARN, "suspect.runs",
                "job=" LOG_JOB " attempt=%" PRIu32 " lost=%" PRIu32
                " fetcher=%s",
                LOG_JOB_ARG(job->id), job->attempt, job->lost, fetcher->label);
}

// They did not get empty in time: a body may take a day. Others may be sooner.
static void
pass_on(struct broker *broker)
{
    struct suspects *suspects = &broker->suspects;
    const struct session *fetcher =
        sessions_find(&broker->sessions, suspects->fetcher);

    suspects->busy =
        fetcher && fetcher->jobs_len ? suspects->fetcher : suspects->hasher;
    release(broker);
}

// Nothing else is reserved as long as it is; whether it may go on so.
static bool
may_reserve(struct broker *broker)
{
    struct suspects *suspects = &broker->suspects;
    uint64_t now_ms = loop_now_ms(broker->loop);

    if (suspects->fetcher && is_lone(broker) &&
        now_ms - suspects->since_ms >= SUSPECTS_LONE_MS) {
        release(broker);
        suspects->rest_until_ms = now_ms + SUSPECTS_LONE_MS;
    } else if (suspects->running) {
        suspects->waits_ms = now_ms;
    } else if (suspects->fetcher &&
               now_ms - suspects->waits_ms >= SUSPECTS_LONE_MS) {
        pass_on(broker);
    }
    return suspects->fetcher || now_ms >= suspects->rest_until_ms;
}

static void
note_bad(struct broker *broker, const struct session *session)
{
    if (session && session->role == WIRE_FETCHER)
        broker->suspects.bad_fetcher = name_hash(session);
    else if (session)
        broker->suspects.bad_hasher = name_hash(session);
}

void
suspects_on_lost(struct broker *broker, const struct job *job,
                 const struct session *from)
{
    struct suspects *suspects = &broker->suspects;
    uint64_t now_ms = loop_now_ms(broker->loop);

    log_outside(LOG_WARN, "suspect.lost",
                "job=" LOG_JOB " attempt=%" PRIu32 " lost=%" PRIu32
                " worker=%s",
                LOG_JOB_ARG(job->id), job->attempt, job->lost + 1,
                from ? from->label : "-");
    if (from) {
        note_bad(broker, from);
    } else {
        note_bad(broker, job->fetcher);
        note_bad(broker, job->hasher);
    }
    // The next one would hold up the others just as long.
    if (suspects->fetcher && is_lone(broker))
        suspects->rest_until_ms = now_ms + (now_ms - suspects->since_ms);
    release(broker);
}

void
suspects_run(struct broker *broker)
{
    struct suspects *suspects = &broker->suspects;
    struct session *fetcher, *hasher = NULL;
    struct job *job;
    bool has_slot;

    if (suspects->running &&
        !is_running(broker, jobs_find(&broker->jobs, suspects->running)))
        suspects->running = 0;
    if (!suspects->running &&
        (!suspects->queue || broker->is_draining || broker->trouble.unrecorded))
        release(broker);
    if (!suspects->queue && !suspects->running) {
        suspects->bad_fetcher = suspects->bad_hasher = 0;
        return;
    }
    if (!may_reserve(broker) || suspects->running || broker->is_draining ||
        broker->trouble.unrecorded)
        return;
    job = find_next(broker, &has_slot);
    fetcher = find_fetcher(broker);
    if (job)
        hasher = find_hasher(broker, &job->flow->batch->suite_name);
    if (!fetcher || !hasher) {
        release(broker);
        return;
    }
    reserve(broker, fetcher, hasher);
    if (has_slot && !fetcher->jobs_len && !hasher->jobs_len &&
        !hasher->notes_len)
        lease_alone(broker, job, fetcher);
}
