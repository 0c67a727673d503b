// api_waiting.c - GetWaiting: what a batch still waits for, and why
#include "broker/api_private.h"
#include "broker/batch_message.h"
#include "broker/state.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_DEFAULT 100
#define JOBS_ANSWER_MAX 1000
// Shorter silence is worth no word.
#define QUIET_MS 3000

// --- Why ---

static bool
has_fetcher_with_room(const struct sessions *sessions)
{
    size_t room;

    return sessions_pick_fetcher(sessions, &room) != NULL;
}

void
api_why_host(const struct broker *broker, const struct origin *origin,
             char out[API_WHY_MAX])
{
    const struct politeness *politeness = &origin->politeness;
    uint64_t until_ms, now_ms = loop_now_ms(broker->loop), s = 0;
    enum politeness_state state = hosts_state(broker, origin, &until_ms);

    if (until_ms != UINT64_MAX)
        s = (until_ms - now_ms + 999) / 1000;
    switch (state) {
    case POLITENESS_CLOSED:
        (void)snprintf(out, API_WHY_MAX,
                       "its host answered %" PRIu32
                       "%s: closed for another %" PRIu64 " s",
                       politeness->closed_status,
                       politeness->is_told ? " with Retry-After" : "", s);
        return;
    case POLITENESS_PARKED:
        (void)snprintf(out, API_WHY_MAX,
                       "nobody could connect to its host %" PRIu32
                       " times in a row (%s): tried again in %" PRIu64 " s",
                       politeness->failures, fail_name(origin->last_fail), s);
        return;
    case POLITENESS_GIVEN_UP:
        (void)snprintf(out, API_WHY_MAX, "its host is given up");
        return;
    case POLITENESS_WAIT:
        (void)snprintf(out, API_WHY_MAX,
                       "its host was away: one transfer goes first");
        return;
    case POLITENESS_TRIED:
        (void)snprintf(out, API_WHY_MAX,
                       "nobody has connected to its host yet: %d transfers go "
                       "first",
                       POLITENESS_TRIED_MAX);
        return;
    case POLITENESS_OPEN:
    case POLITENESS_PROBE:
        break;
    }
    if (place_may_begin(broker, origin))
        out[0] = '\0';
    else if (origin->group->running >=
             (uint64_t)broker->config->parallel_max_host)
        (void)snprintf(out, API_WHY_MAX,
                       "its host has %" PRIu64 " transfers, the limit",
                       origin->group->running);
    else
        (void)snprintf(out, API_WHY_MAX, "its host's --rate is used up");
}

static void
why_queued(const struct broker *broker, const struct job *job,
           char out[API_WHY_MAX])
{
    const struct flow *flow = job->flow;
    const struct suite *suite = &flow->batch->suite;
    const struct wire_bytes names = {suite->text, strlen(suite->text)};
    int64_t since_ms;
    bool is_store;
    const char *hindrance = broker_hindrance(broker, &since_ms, &is_store);

    if (hindrance)
        (void)snprintf(out, API_WHY_MAX, "%s", hindrance);
    else if (!sessions_have_hasher(&broker->sessions, &names, NULL))
        (void)snprintf(out, API_WHY_MAX, "no hasher offers %.150s",
                       suite->text);
    else if (flow->origin && !place_may_begin(broker, flow->origin))
        api_why_host(broker, flow->origin, out);
    else if (job_is_suspect(job))
        (void)snprintf(out, API_WHY_MAX,
                       "%" PRIu32 " workers were lost with it: runs alone, "
                       "when a fetcher is free for it",
                       job->lost);
    else if (!has_fetcher_with_room(&broker->sessions))
        (void)snprintf(out, API_WHY_MAX, "no fetcher has room");
    else
        (void)snprintf(out, API_WHY_MAX, "its turn comes");
}

static void
why_leased(const struct job *job, uint64_t quiet_ms, char out[API_WHY_MAX])
{
    const struct session *fetcher = job->fetcher;
    uint64_t s = quiet_ms / 1000;

    if (!fetcher)
        (void)snprintf(out, API_WHY_MAX, "fetched; waits for its digests");
    else if (quiet_ms < QUIET_MS)
        (void)snprintf(out, API_WHY_MAX, "being fetched");
    else if (fetcher->outstanding && fetcher->outstanding >= fetcher->granted)
        (void)snprintf(out, API_WHY_MAX,
                       "waits for credit: the hashers are behind");
    else // or the fetcher keeps it: a small body comes when it is whole
        (void)snprintf(out, API_WHY_MAX,
                       "nothing%s of its body for %" PRIu64
                       " s: the server is silent or slow",
                       job->relayed ? " more" : "", s);
    if (job_is_suspect(job))
        (void)snprintf(out, API_WHY_MAX,
                       "runs alone: %" PRIu32 " workers were lost with it",
                       job->lost);
}

static void
why_retry(const struct job *job, uint64_t due_ms, char out[API_WHY_MAX])
{
    char status[16] = "";

    if (job->last_fail == FAIL_HTTP)
        (void)snprintf(status, sizeof(status), " %" PRIu32, job->http_status);
    (void)snprintf(out, API_WHY_MAX, "%s%s; again in %" PRIu64 " s",
                   fail_name(job->last_fail), status, (due_ms + 999) / 1000);
}

static void
why_final(const struct broker *broker, const struct job *job,
          char out[API_WHY_MAX])
{
    int64_t since_ms;
    bool is_store;
    const char *hindrance = broker_hindrance(broker, &since_ms, &is_store);

    if (job->is_unrecorded)
        (void)snprintf(out, API_WHY_MAX, "the store refuses its record: %s",
                       is_store ? hindrance : "it is offered again");
    else
        (void)snprintf(out, API_WHY_MAX,
                       "its record is on its way to the store");
}

static void
find_why(const struct broker *broker, const struct job *job,
         const Urlsum__V1__WaitingJob *message, char out[API_WHY_MAX])
{
    switch (job->state) {
    case JOB_QUEUED:
        why_queued(broker, job, out);
        return;
    case JOB_LEASED:
        why_leased(job, message->quiet_ms, out);
        return;
    case JOB_HASHING:
        (void)snprintf(out, API_WHY_MAX, "fetched; waits for its digests");
        return;
    case JOB_RETRY_WAIT:
        why_retry(job, message->due_ms, out);
        return;
    case JOB_DONE:
    case JOB_FAILED:
    case JOB_CANCELLED:
        why_final(broker, job, out);
        return;
    case JOB_NONE:
    case JOB_STATE_COUNT:
        break;
    }
    out[0] = '\0';
}

// --- Which, and in which order ---

// In somebody's hands; waiting for its time; waiting for its turn. The last are
// many, and wait because of the first.
static int
rank(const struct job *job)
{
    return job->state == JOB_QUEUED ? 2 : job->state == JOB_RETRY_WAIT ? 1 : 0;
}

static int
compare_jobs(const void *a, const void *b)
{
    const struct job *x = *(struct job *const *)a, *y = *(struct job *const *)b;

    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    if (x->moved_ms != y->moved_ms)
        return x->moved_ms < y->moved_ms ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

// All jobs of the batch, the most telling ones first. NULL without memory.
static const struct job **
find_jobs(const struct broker *broker, uint64_t batch, size_t *out_len)
{
    const struct job **jobs = calloc(broker->jobs.len + 1, sizeof(*jobs));
    size_t len = 0;

    if (!jobs)
        return NULL;
    for (const struct job *job = broker->jobs.by_id; job; job = job->hh.next) {
        if (job->flow->batch->number == batch)
            jobs[len++] = job;
    }
    qsort(jobs, len, sizeof(*jobs), compare_jobs);
    *out_len = len;
    return jobs;
}

// --- The answer ---

static void
fill(const struct broker *broker, const struct job *job, char why[API_WHY_MAX],
     Urlsum__V1__WaitingJob *out)
{
    uint64_t now_ms = loop_now_ms(broker->loop);

    urlsum__v1__waiting_job__init(out);
    out->seq = job_seq(job);
    out->url.data = (uint8_t *)(uintptr_t)job->url; // packed, not changed
    out->url.len = job->url_len;
    out->state = (char *)(uintptr_t)life_state_name(job->state);
    if (job->fetcher)
        out->fetcher = (char *)(uintptr_t)job->fetcher->name;
    if (job->hasher)
        out->hasher = (char *)(uintptr_t)job->hasher->name;
    out->attempts = job->tries;
    out->lost = job->lost;
    if (job->state == JOB_LEASED || job->state == JOB_HASHING)
        out->bytes = job->relayed;
    out->quiet_ms = now_ms - job->moved_ms;
    if (job->state == JOB_RETRY_WAIT && job->due.key > now_ms)
        out->due_ms = job->due.key - now_ms;
    find_why(broker, job, out, why);
    out->why = why;
}

struct waiting_row {
    Urlsum__V1__WaitingJob message;
    char why[API_WHY_MAX];
};

void
api_waiting_on_batch(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->mark.row;
    uint32_t max = request->message->waiting->max;
    size_t most = !max                    ? JOBS_DEFAULT
                  : max < JOBS_ANSWER_MAX ? max
                                          : JOBS_ANSWER_MAX;
    size_t bytes = 0, len = 0;
    const struct job **jobs = find_jobs(broker, row->batch, &len);
    struct waiting_row *rows = calloc(most, sizeof(*rows));
    Urlsum__V1__WaitingJob **list = calloc(most, sizeof(*list));
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Waiting waiting = URLSUM__V1__WAITING__INIT;
    Urlsum__V1__Batch batch = URLSUM__V1__BATCH__INIT;
    struct batch_text text;

    batch_message_fill(broker, row, &text, &batch);
    if (!jobs || !rows || !list) {
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__UNAVAILABLE,
                        "out of memory");
        goto out;
    }
    for (size_t i = 0; i < len && i < most; i++) {
        bytes += jobs[i]->url_len + API_WHY_MAX;
        if (i && bytes > api_page_bytes(request->api))
            break;
        fill(broker, jobs[i], rows[i].why, &rows[i].message);
        list[waiting.n_jobs++] = &rows[i].message;
    }
    waiting.batch = &batch;
    waiting.jobs = list;
    waiting.in_memory = len;
    reply.what_case = URLSUM__V1__REPLY__WHAT_WAITING;
    reply.waiting = &waiting;
    api_reply(&request, &reply);
out:
    batch_message_fini(&text);
    free(list);
    free(rows);
    free(jobs);
}
