// hosts_news.c - what fetchers say of hosts, and what follows from it
#include "broker/facts.h"
#include "broker/group_key.h"
#include "broker/hosts.h"
#include "broker/place.h"
#include "broker/state.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

static void
log_change(const struct broker *broker, const struct origin *origin,
           enum politeness_change change)
{
    const struct politeness *politeness = &origin->politeness;
    uint64_t now_ms = loop_now_ms(broker->loop);
    char host[ORIGIN_TEXT_MAX * 4];

    (void)log_escape(origin->text, strlen(origin->text), host, sizeof(host));
    if (change == POLITENESS_SHUT)
        log_outside(LOG_INFO, "host.closed",
                    "host=%s status=%" PRIu32 " retry_after=%d for_ms=%" PRIu64
                    " incident=%" PRIu32,
                    host, politeness->closed_status, politeness->is_told,
                    politeness->closed_until_ms - now_ms,
                    politeness->incidents);
    else if (change == POLITENESS_PARK)
        log_outside(LOG_INFO, "host.parked",
                    "host=%s failures=%" PRIu32 " last=%s cost_ms=%" PRIu64
                    " for_ms=%" PRIu64,
                    host, politeness->failures, fail_name(origin->last_fail),
                    origin->failed_ms, politeness->parked_until_ms - now_ms);
    else if (change == POLITENESS_BACK)
        log_outside(LOG_INFO, "host.back", "host=%s", host);
}

// What waits for it must not fill the memory meanwhile.
static void
unload(struct broker *broker, struct origin *origin)
{
    struct flow *flow;

    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        flow_unload(broker, flow);
    }
}

static void
on_change(struct broker *broker, struct origin *origin,
          enum politeness_change change)
{
    struct hosts_figures *figures = &broker->hosts.figures;

    if (change == POLITENESS_NOTHING)
        return;
    if (change == POLITENESS_SHUT) {
        figures->closed_total++;
        hosts_note_closing(broker, origin);
    }
    if (change == POLITENESS_PARK)
        figures->parked_total++;
    if (change == POLITENESS_BACK)
        origin->is_given_up = false;
    log_change(broker, origin, change);
    if (change == POLITENESS_SHUT || change == POLITENESS_PARK)
        unload(broker, origin);
    hosts_set_due(broker, origin);
    place_all(broker, origin);
}

static void
note(struct broker *broker, struct origin *origin,
     const struct politeness_news *news)
{
    on_change(broker, origin,
              politeness_note(&origin->politeness, news,
                              loop_now_ms(broker->loop), &broker->seed));
}

// It answered, as far as it was asked.
static struct politeness_news
good_news(const struct job *job)
{
    return (struct politeness_news){.begun_ms = job->begun_ms,
                                    .retry_after_s = UINT64_MAX,
                                    .outcome = FAIL_OK,
                                    .is_connected = true};
}

static bool
was_redirected(const struct wire_facts *facts)
{
    return facts->redirects != WIRE_UNSET && facts->redirects;
}

static struct politeness_news
news_of(const struct job *job, const struct wire_fetched *item,
        const char *origin_text)
{
    const struct wire_facts *facts = &item->facts;
    struct politeness_news news = good_news(job);
    bool is_secure = strncmp(origin_text, "https:", 6) == 0;

    news.outcome = item->outcome;
    news.retry_after_s = facts->retry_after_s;
    if (facts->http_status != WIRE_UNSET)
        news.http_status = (int)facts->http_status;
    // Times are of all requests together: those of who was led here by a
    // redirect may be of the host before.
    news.is_connected =
        item->outcome == FAIL_OK || news.http_status ||
        (was_redirected(facts)
             ? item->outcome == FAIL_TIMEOUT && facts->remote.len
             : facts->connect_us != WIRE_UNSET &&
                   (!is_secure || facts->tls_us != WIRE_UNSET));
    // Else it waited on a connection that was there before.
    news.is_silent = item->outcome == FAIL_TIMEOUT && !news.is_connected &&
                     !facts->remote.len;
    return news;
}

// The origin that a redirect led to: one that is here, or one that must be
// remembered, because it asked for a pause. NULL: it is neither, or not known.
static struct origin *
find_target(struct broker *broker, const struct wire_fetched *item,
            char out_text[ORIGIN_TEXT_MAX])
{
    const struct wire_facts *facts = &item->facts;
    struct origin *origin;
    uint64_t number;

    if (!facts->final_url.len ||
        origin_parse(broker->origin_parser, facts->final_url.at,
                     facts->final_url.len, &number, out_text) != FAIL_OK)
        return NULL;
    origin = hosts_find(&broker->hosts, number);
    if (origin || (facts->http_status != 429 && facts->http_status != 503))
        return origin;
    return hosts_keep(broker, number, out_text);
}

static void
count(struct origin *origin, const struct wire_fetched *item, uint64_t slot_ms)
{
    if (item->outcome == FAIL_OK) {
        origin->done++;
        return;
    }
    origin->failed++;
    origin->failed_ms += slot_ms;
    origin->last_fail = item->outcome;
    origin->last_status = item->facts.http_status == WIRE_UNSET
                              ? 0
                              : (int)item->facts.http_status;
}

// The batch says where its hosts are, or what connects instead of them: what
// answered is not the origin's address.
static bool
is_led(const struct batch *batch)
{
    const struct batch_profile *profile = batch->options.profile;

    return profile && (profile->wire.proxy.at || profile->wire.resolve_len);
}

void
hosts_on_fetched(struct broker *broker, const struct job *job,
                 const struct wire_fetched *item)
{
    struct origin *origin = job->flow->origin, *target = origin;
    const struct wire_facts *facts = &item->facts;
    struct politeness_news news;
    char text[ORIGIN_TEXT_MAX];

    count(origin, item, loop_now_ms(broker->loop) - job->begun_ms);
    if (was_redirected(facts)) {
        target = find_target(broker, item, text);
        if (target != origin) { // it answered: with a redirect
            news = good_news(job);
            note(broker, origin, &news);
        }
    } else if (facts->remote.len && !is_led(job->flow->batch) &&
               group_keys_learn(broker->hosts.keys, origin->number,
                                facts->remote.at, facts->remote.len)) {
        hosts_regroup(broker, origin);
    }
    if (!target)
        return;
    news = news_of(job, item, target->text);
    note(broker, target, &news);
}

void
hosts_on_bytes(struct broker *broker, const struct job *job)
{
    const struct politeness *politeness = &job->flow->origin->politeness;
    struct politeness_news news;

    if (politeness->is_reached && !politeness->is_probed &&
        !politeness->failures)
        return; // as for almost every segment
    news = good_news(job);
    note(broker, job->flow->origin, &news);
}

void
hosts_on_connected(struct broker *broker, const struct session *fetcher,
                   const struct wire_message *message)
{
    for (size_t i = 0; i < message->connected.len; i++) {
        const struct wire_vouched *item = &message->connected.items[i];
        const struct job *job = jobs_find(&broker->jobs, item->job);
        struct origin *origin;

        if (!job || job->attempt != item->attempt || job->fetcher != fetcher ||
            !job->flow->origin)
            continue; // it has ended, or was taken back
        origin = job->flow->origin;
        on_change(broker, origin, politeness_reach(&origin->politeness));
    }
}
