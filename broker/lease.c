#include "broker/lease.h"

#include "broker/relay.h"
#include "broker/state.h"
#include "common/log.h"
#include "common/loop.h"

#include <inttypes.h>
#include <utlist.h>

void
lease_renew(struct broker *broker, struct job *job)
{
    job->renewed_ms = loop_now_ms(broker->loop);
}

void
lease_on_pong(struct broker *broker, struct session *fetcher,
              const struct wire_message *message)
{
    for (size_t i = 0; i < message->pong.len; i++) {
        const struct wire_vouched *item = &message->pong.items[i];
        struct job *job = jobs_find(&broker->jobs, item->job);

        // One that it does not hold (any more) is no breach: they crossed.
        if (job && job->attempt == item->attempt && job->fetcher == fetcher)
            lease_renew(broker, job);
    }
}

// A pause is told again and again; only its two ends are news.
static void
note_pause(struct session *fetcher, enum wire_pause pause)
{
    if (fetcher->pause == pause)
        return;
    fetcher->pause = pause;
    if (pause)
        log_outside(LOG_WARN, "worker.pauses",
                    "role=fetcher worker=%s session=%" PRIu64 " why=\"%s\"",
                    fetcher->label, fetcher->id, wire_pause_meaning(pause));
    else
        log_outside(LOG_INFO, "worker.goes_on",
                    "role=fetcher worker=%s session=%" PRIu64, fetcher->label,
                    fetcher->id);
}

void
lease_on_pause(struct broker *broker, struct session *fetcher,
               const struct wire_message *message)
{
    note_pause(fetcher, message->pause.reason);
    if (!sessions_have_fetcher(&broker->sessions, fetcher))
        return; // with whom they would be no better off
    for (size_t i = 0; i < message->pause.len; i++) {
        const struct wire_vouched *item = &message->pause.items[i];
        struct job *job = jobs_find(&broker->jobs, item->job);

        if (job && job->attempt == item->attempt && job->fetcher == fetcher &&
            job->state == JOB_LEASED)
            relay_give_back(broker, job);
    }
}

// How long ago that is. Time in which the broker itself did not run counts for
// nobody.
static uint64_t
quiet_ms(const struct broker *broker, uint64_t since_ms)
{
    const struct sessions *sessions = &broker->sessions;
    uint64_t ttl_ms = (uint64_t)broker->config->ttl_ms;

    if (sessions->forgive_until_ms > since_ms + ttl_ms)
        since_ms = sessions->forgive_until_ms - ttl_ms;
    return loop_now_ms(broker->loop) - since_ms;
}

static bool
is_over(const struct broker *broker, uint64_t since_ms)
{
    return quiet_ms(broker, since_ms) >
           LEASE_TTLS * (uint64_t)broker->config->ttl_ms;
}

static void
take_back(struct broker *broker, struct job *job, struct session *worker,
          const char *why)
{
    log_warn("job.lease_over",
             "job=" LOG_JOB " attempt=%" PRIu32 " worker=%s quiet_ms=%" PRIu64
             " why=\"%s\"",
             LOG_JOB_ARG(job->id), job->attempt, worker->label,
             quiet_ms(broker, job->renewed_ms), why);
    worker->is_doubtful = true;
    metrics_add(&broker->stats.leases_over, 1);
    relay_take_back(broker, job);
}

// A walk over all jobs in memory takes milliseconds: it is taken when the job
// that was quiet for longest then may be due, not every beat.
static void
check_fetcher(struct broker *broker, struct session *fetcher)
{
    uint64_t now_ms = loop_now_ms(broker->loop), oldest_ms = now_ms;
    struct job *job, *next;

    if (now_ms < fetcher->lease_due_ms)
        return;
    DL_FOREACH_SAFE2(fetcher->jobs, job, next, fetcher_next)
    {
        if (is_over(broker, job->renewed_ms))
            take_back(broker, job, fetcher,
                      "its fetcher does not vouch for it");
        else if (job->renewed_ms < oldest_ms)
            oldest_ms = job->renewed_ms;
    }
    fetcher->lease_due_ms =
        oldest_ms + LEASE_TTLS * (uint64_t)broker->config->ttl_ms;
}

static void
check_hasher(struct broker *broker, struct session *hasher)
{
    struct job *job, *next;

    if (hasher->notes_len && is_over(broker, hasher->taken_ms)) {
        log_warn("worker.stuck",
                 "role=hasher worker=%s session=%" PRIu64 " messages=%zu"
                 " quiet_ms=%" PRIu64,
                 hasher->label, hasher->id, hasher->notes_len,
                 quiet_ms(broker, hasher->taken_ms));
        hasher->is_crash = true;
        session_doom(hasher, WIRE_ERROR_REFUSED, "it took nothing");
        return;
    }
    DL_FOREACH_SAFE2(hasher->jobs, job, next, hasher_next)
    {
        if (job->fetcher)
            continue; // still coming in: its fetcher's matter
        // What waits at a hasher that takes one thing after another will have
        // its turn; what was taken should have had its digests with it.
        if (hasher->taken < job->mark && hasher->taken_ms > job->renewed_ms)
            job->renewed_ms = hasher->taken_ms;
        if (hasher->taken >= job->mark && is_over(broker, job->renewed_ms))
            take_back(broker, job, hasher, "its hasher gives no digest");
    }
}

void
leases_check(struct broker *broker)
{
    struct session *session;

    DL_FOREACH(broker->sessions.fetchers, session)
    {
        if (!session->is_gone)
            check_fetcher(broker, session);
    }
    DL_FOREACH(broker->sessions.hashers, session)
    {
        if (!session->is_gone)
            check_hasher(broker, session);
    }
}
