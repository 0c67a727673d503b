#include "fetcher/downloads.h"

#include "common/log.h"
#include "common/loop.h"
#include "fetcher/fetch_stats.h"
#include "fetcher/outbox.h"
#include "fetcher/profile.h"
#include "fetcher/settings.h"
#include "fetcher/sharing.h"
#include "fetcher/transfer.h"
#include "fetcher/verdict.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct downloads {
    struct downloads_config config;
    struct transfer *in_hand; // by job
    size_t in_hand_len;
    struct transfer *idle; // the warmest first
    struct credit credit;
    struct rate rate;
    struct loop_timer *rate_due;
    char *url;                  // scratch: the job's URL with an end
    struct wire_vouched *items; // scratch: room for every job in hand
};

static void
report(struct downloads *downloads, int err)
{
    if (err)
        downloads->config.on_error(downloads->config.arg, err);
}

// --- In hand, or idle ---

static struct transfer *
find_job(struct downloads *downloads, uint64_t job)
{
    struct transfer *transfer = NULL;

    HASH_FIND(hh, downloads->in_hand, &job, sizeof(job), transfer);
    return transfer;
}

// Returns an idle transfer, not in the list any more, or NULL.
static struct transfer *
take_idle(struct downloads *downloads)
{
    struct transfer *transfer = downloads->idle;

    if (transfer)
        downloads->idle = transfer->next_idle;
    else if (transfer_new(downloads->config.env, &transfer) != 0)
        return NULL;
    return transfer;
}

static void
make_idle(struct downloads *downloads, struct transfer *transfer)
{
    transfer_end(transfer);
    transfer->next_idle = downloads->idle;
    downloads->idle = transfer;
}

// The transfer is out of the multi; its handle waits for the next job.
static void
put_aside(struct downloads *downloads, struct transfer *transfer)
{
    credit_untake(&downloads->credit, body_drop(&transfer->body));
    credit_close(&downloads->credit, &transfer->claim);
    rate_close(&downloads->rate, &transfer->rate);
    HASH_DEL(downloads->in_hand, transfer);
    metrics_set(&downloads->config.stats->in_hand, --downloads->in_hand_len);
    make_idle(downloads, transfer);
}

static void
drop_job(struct downloads *downloads, struct transfer *transfer)
{
    credit_untake(&downloads->credit,
                  transfer_drop(transfer, !transfer->is_finished));
    metrics_add(&downloads->config.stats->dropped, 1);
    put_aside(downloads, transfer);
}

void
downloads_drop_all(struct downloads *downloads)
{
    struct transfer *transfer, *next;

    HASH_ITER(hh, downloads->in_hand, transfer, next)
    drop_job(downloads, transfer);
    outbox_reset(downloads->config.outbox);
}

size_t
downloads_len(const struct downloads *downloads)
{
    return downloads->in_hand_len;
}

// --- The end of a job ---

// How a transfer whose body (if any) can leave now ended.
static void
conclude(struct downloads *downloads, struct transfer *transfer,
         const struct wire_fetched *fetched)
{
    int err;

    if (fetched->outcome == FAIL_OK)
        err = body_end(&transfer->body, fetched);
    else
        err = outbox_add_fetched(downloads->config.outbox, fetched);
    log_debug("fetch.end",
              "job=" LOG_JOB " attempt=%" PRIu32 " outcome=%s size=%" PRIu64,
              LOG_JOB_ARG(transfer->job), transfer->attempt,
              fail_name(fetched->outcome), fetched->size);
    fetch_stats_count(downloads->config.stats, fetched);
    put_aside(downloads, transfer);
    report(downloads, err);
}

// The transfer has ended, or waited for credit since it did.
static void
settle(struct downloads *downloads, struct transfer *transfer)
{
    struct wire_fetched fetched;

    verdict_of(transfer, &fetched);
    transfer->is_finished = true;
    if (fetched.outcome == FAIL_OK &&
        !credit_take(&downloads->credit, &transfer->claim,
                     body_end_need(&transfer->body)))
        return; // in line; downloads_run_credit() goes on
    conclude(downloads, transfer, &fetched);
}

void
downloads_on_done(void *arg, struct multi_gate *gate, CURLcode code)
{
    struct downloads *downloads = arg;
    struct transfer *transfer = gate->arg;
    long connects = 0;

    (void)curl_easy_getinfo(gate->easy, CURLINFO_NUM_CONNECTS, &connects);
    metrics_add(&downloads->config.stats->connects, (uint64_t)connects);
    if (!transfer_continue(transfer, code))
        settle(downloads, transfer);
}

static void
on_end(void *arg, struct transfer *transfer)
{
    settle(arg, transfer);
}

void
downloads_abort(struct downloads *downloads, const struct wire_aborted *item)
{
    struct transfer *transfer = find_job(downloads, item->job);

    log_debug("fetch.aborted",
              "job=" LOG_JOB " attempt=%" PRIu32 " reason=%s known=%d",
              LOG_JOB_ARG(item->job), item->attempt,
              wire_abort_name(item->reason), transfer != NULL);
    // An unknown one has ended while the message was on its way.
    if (transfer && transfer->attempt == item->attempt)
        drop_job(downloads, transfer);
}

// --- What transfers may take ---

static bool
take_credit(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct downloads *downloads = arg;

    return credit_take(&downloads->credit, &transfer->claim, bytes);
}

static bool
take_rate(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct downloads *downloads = arg;

    return rate_take(&downloads->rate, &transfer->rate, bytes,
                     loop_now_ms(downloads->config.loop));
}

static void
return_credit(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct downloads *downloads = arg;

    credit_untake(&downloads->credit, bytes);
    credit_give_claim(&downloads->credit, &transfer->claim, bytes);
}

static struct transfer *
transfer_of_claim(struct credit_claim *claim)
{
    return (struct transfer *)(void *)((char *)claim -
                                       offsetof(struct transfer, claim));
}

static struct transfer *
transfer_of_rate(struct rate_claim *claim)
{
    return (struct transfer *)(void *)((char *)claim -
                                       offsetof(struct transfer, rate));
}

static void
go_on(struct downloads *downloads, struct transfer *transfer)
{
    CURLcode code = transfer_resume(transfer);

    if (code == CURLE_OK)
        return;
    multi_remove(&transfer->gate);
    downloads_on_done(downloads, &transfer->gate, code);
}

void
downloads_run_credit(struct downloads *downloads)
{
    struct credit_claim *claim;
    struct transfer *transfer;

    while ((claim = credit_next(&downloads->credit))) {
        transfer = transfer_of_claim(claim);
        if (transfer->is_finished)
            settle(downloads, transfer);
        else
            go_on(downloads, transfer);
    }
    // Those that waited for these.
    while ((transfer = sharing_next_held(downloads->config.env->convoys)))
        go_on(downloads, transfer);
}

static void
on_rate_due(void *arg)
{
    (void)arg; // downloads_run_rate() comes before the loop sleeps
}

void
downloads_run_rate(struct downloads *downloads)
{
    uint64_t now_ms = loop_now_ms(downloads->config.loop), due_ms;
    struct rate_claim *claim;

    while ((claim = rate_next(&downloads->rate, now_ms)))
        go_on(downloads, transfer_of_rate(claim));
    due_ms = rate_due_ms(&downloads->rate);
    if (due_ms != UINT64_MAX)
        loop_timer_start(downloads->rate_due,
                         due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

void
downloads_credit(struct downloads *downloads, uint64_t bytes,
                 const struct wire_credit *items, size_t len)
{
    credit_give(&downloads->credit, bytes);
    for (size_t i = 0; i < len; i++) {
        struct transfer *transfer = find_job(downloads, items[i].job);

        // Of a transfer that has ended meanwhile: its window is nobody's.
        if (transfer && transfer->attempt == items[i].attempt)
            credit_give_claim(&downloads->credit, &transfer->claim,
                              items[i].bytes);
    }
}

void
downloads_begin(struct downloads *downloads, uint64_t window,
                uint64_t job_window)
{
    assert(!downloads->in_hand);
    credit_init(&downloads->credit, window, job_window);
}

// --- The beginning of a job ---

static void
answer_failure(struct downloads *downloads, const struct wire_job *job,
               enum fail fail, const char *message)
{
    struct wire_fetched fetched = {
        .job = job->job, .attempt = job->attempt, .outcome = fail};

    wire_facts_init(&fetched.facts);
    fetch_stats_count(downloads->config.stats, &fetched);
    fetched.facts.message = (struct wire_bytes){message, strlen(message)};
    log_debug("fetch.refused", "job=" LOG_JOB " attempt=%" PRIu32 " fail=%s",
              LOG_JOB_ARG(job->job), job->attempt, fail_name(fail));
    report(downloads, outbox_add_fetched(downloads->config.outbox, &fetched));
}

static void
log_start(const struct wire_job *job)
{
    char url[512];

    if (!log_enabled(LOG_DEBUG))
        return;
    log_debug("fetch.start", "job=" LOG_JOB " attempt=%" PRIu32 " url=%s",
              LOG_JOB_ARG(job->job), job->attempt,
              log_escape_url(job->url.at, job->url.len, url, sizeof(url)));
}

static void
start_job(struct downloads *downloads, const struct wire_job *job,
          const struct wire_request *request, struct profile *profile)
{
    struct transfer *transfer = take_idle(downloads);

    if (!transfer) {
        answer_failure(downloads, job, FAIL_INTERNAL, "out of memory");
        return;
    }
    memcpy(downloads->url, job->url.at, job->url.len);
    downloads->url[job->url.len] = '\0';
    transfer->job = job->job;
    HASH_ADD(hh, downloads->in_hand, job, sizeof(transfer->job), transfer);
    if (!transfer->hh.tbl || // not added: no memory
        transfer_start(transfer, job->job, job->attempt, downloads->url,
                       request, profile) != 0) {
        if (transfer->hh.tbl)
            HASH_DEL(downloads->in_hand, transfer);
        make_idle(downloads, transfer);
        answer_failure(downloads, job, FAIL_INTERNAL, "out of memory");
        return;
    }
    credit_open(&downloads->credit, &transfer->claim);
    metrics_set(&downloads->config.stats->in_hand, ++downloads->in_hand_len);
    vouch_begin(&transfer->vouch, loop_now_ms(downloads->config.loop));
    log_start(job);
}

void
downloads_add(struct downloads *downloads, const struct wire_job *job,
              const struct wire_request *request)
{
    struct transfer *old = find_job(downloads, job->job);
    bool has_profile = request->profile != WIRE_UNSET;
    struct profile *profile =
        has_profile ? downloads->config.profiles->places[request->profile]
                    : NULL;

    if (old && old->attempt >= job->attempt) {
        log_warn("fetch.repeated", "job=" LOG_JOB " attempt=%" PRIu32,
                 LOG_JOB_ARG(job->job), job->attempt);
        return;
    }
    if (old) // the broker has given that attempt up
        drop_job(downloads, old);
    if (downloads->in_hand_len >= downloads->config.jobs_max)
        answer_failure(downloads, job, FAIL_INTERNAL,
                       "more jobs than this fetcher's capacity");
    else if (job->url.len > URL_BYTES_MAX)
        answer_failure(downloads, job, FAIL_URL_TOO_LONG, "longer than 64 KiB");
    else if (!job->url.len || memchr(job->url.at, '\0', job->url.len))
        answer_failure(downloads, job, FAIL_INVALID_URL,
                       "an empty URL, or a NUL byte in it");
    else if (has_profile && !profile)
        answer_failure(downloads, job, FAIL_INTERNAL,
                       "the batch's request options are not known here");
    else if (profile && profile->proxy &&
             !downloads->config.env->settings->takes_proxies)
        answer_failure(downloads, job, FAIL_BLOCKED_ADDRESS,
                       "the batch's --proxy is not taken by a fetcher without "
                       "--proxy-enforces-policy");
    else if (profile && profile->is_unusable)
        answer_failure(downloads, job, FAIL_INVALID_URL,
                       "what the batch names as its --proxy is no URL");
    else
        start_job(downloads, job, request, profile);
}

// --- Lists for the broker ---

static size_t
list(struct downloads *downloads, bool only_unbegun,
     const struct wire_vouched **out_items)
{
    uint64_t now_ms = loop_now_ms(downloads->config.loop);
    struct transfer *transfer, *next;
    size_t len = 0;

    HASH_ITER(hh, downloads->in_hand, transfer, next)
    {
        if (only_unbegun ? transfer_waits_unbegun(transfer)
                         : transfer_vouch(transfer, now_ms))
            downloads->items[len++] = (struct wire_vouched){
                .job = transfer->job, .attempt = transfer->attempt};
    }
    *out_items = downloads->items;
    return len;
}

size_t
downloads_list_vouched(struct downloads *downloads,
                       const struct wire_vouched **out_items)
{
    return list(downloads, false, out_items);
}

size_t
downloads_list_unbegun(struct downloads *downloads,
                       const struct wire_vouched **out_items)
{
    return list(downloads, true, out_items);
}

// --- Life ---

static void
set_callbacks(struct downloads *downloads, struct transfer_env *env)
{
    env->take_credit = take_credit;
    env->take_rate = take_rate;
    env->return_credit = return_credit;
    env->on_end = on_end;
    env->arg = downloads;
}

int
downloads_new(const struct downloads_config *config,
              struct downloads **out_downloads)
{
    struct downloads *downloads = calloc(1, sizeof(*downloads));
    int err = -ENOMEM;

    if (!downloads)
        return -ENOMEM;
    downloads->config = *config;
    downloads->url = malloc(URL_BYTES_MAX + 1);
    downloads->items = calloc(config->jobs_max, sizeof(*downloads->items));
    if (!downloads->url || !downloads->items)
        goto out;
    err = loop_timer_new(config->loop, on_rate_due, downloads,
                         &downloads->rate_due);
    if (err)
        goto out;
    rate_init(&downloads->rate, config->limit_rate, loop_now_ms(config->loop));
    credit_init(&downloads->credit, 0, 0); // of nothing until a session begins
    set_callbacks(downloads, config->env);
    *out_downloads = downloads;
    downloads = NULL;
out:
    downloads_free(&downloads);
    return err;
}

void
downloads_free(struct downloads **downloads)
{
    struct downloads *it = *downloads;
    struct transfer *transfer;

    if (!it)
        return;
    downloads_drop_all(it);
    while ((transfer = it->idle)) {
        it->idle = transfer->next_idle;
        transfer_free(&transfer);
    }
    loop_timer_free(&it->rate_due);
    free(it->url);
    free(it->items);
    free(it);
    *downloads = NULL;
}
