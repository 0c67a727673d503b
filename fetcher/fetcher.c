#include "fetcher/fetcher.h"

#include "common/http.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"
#include "fetcher/apart.h"
#include "fetcher/chunk.h"
#include "fetcher/fetch_stats.h"
#include "fetcher/multi.h"
#include "fetcher/names.h"
#include "fetcher/outbox.h"
#include "fetcher/pause.h"
#include "fetcher/profile.h"
#include "fetcher/settings.h"
#include "fetcher/sharing.h"
#include "fetcher/tls_sessions.h"
#include "fetcher/transfer.h"
#include "fetcher/verdict.h"
#include "proto/worker_link.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Messages of the broker that may wait here: many more than it has reason to
// send, for one that is lost would be a job or credit lost.
#define RECV_MESSAGES_MAX 100000
// Chunks kept for reuse: 8 MiB.
#define CHUNKS_KEPT 32

// One recv(2): libcurl allocates so much for every running transfer. More than
// 64 KiB measured no faster, neither at 10 KiB nor at 300 MB a body.
#define BUFFER_BYTES_FEW (64 * 1024)
#define BUFFER_BYTES_MANY (16 * 1024)
#define PARALLEL_FEW 512

// libcurl looks at all connections of a multi whenever a transfer ends: with
// thousands of them that would be most of its time. So there is one for each so
// many transfers, to a ceiling.
#define MULTI_TRANSFERS 1024
#define MULTIS_MAX 32

struct fetcher {
    const struct fetcher_config *config;
    struct settings settings;
    struct role *role;
    struct loop *loop;
    struct worker_link *link;
    struct curve curve;
    struct multi *multis[MULTIS_MAX]; // an origin's hash says which is its
    size_t multis_len;
    struct multi_budget budget;
    struct profiles profiles;
    struct names *names;
    struct convoys convoys;
    struct apart apart;
    struct chunk_pool *pool;
    struct outbox *outbox;
    struct body_sink sink;
    struct credit credit;
    struct rate rate;
    struct loop_timer *rate_due;
    struct transfer_env env;
    struct loop_timer *grace;
    struct http *http;
    struct fetch_stats stats;
    struct transfer *in_hand; // by job
    size_t in_hand_len;
    struct transfer *idle;        // the warmest first
    char *url;                    // scratch: the job's URL with an end
    struct wire_vouched *vouched; // scratch: room for every job in hand
    struct pause pause;
    bool is_draining;
    bool is_leaving; // loop_end() was called
    int err;         // why it leaves early; 0: it does not
};

// --- Leaving ---

static void
leave(struct fetcher *fetcher)
{
    if (fetcher->is_leaving)
        return;
    fetcher->is_leaving = true;
    worker_link_bye(fetcher->link, true);
    loop_end(fetcher->loop);
}

// Out of memory, or the link cannot send: the broker gives our jobs to others.
static void
give_up(struct fetcher *fetcher, int err)
{
    if (!err || fetcher->err)
        return;
    fetcher->err = err;
    log_error("fetcher.gave_up", "jobs=%zu reason=\"%s\"", fetcher->in_hand_len,
              strerror(-err));
    leave(fetcher);
}

static void
on_grace_over(void *arg)
{
    struct fetcher *fetcher = arg;

    log_warn("fetcher.grace_over", "jobs=%zu", fetcher->in_hand_len);
    leave(fetcher);
}

static void
on_stop(void *arg, int stops)
{
    struct fetcher *fetcher = arg;

    if (stops > 1) {
        leave(fetcher);
        return;
    }
    if (fetcher->is_draining)
        return;
    fetcher->stats.is_draining = true;
    log_info("fetcher.draining", "jobs=%zu", fetcher->in_hand_len);
    if (!worker_link_is_live(fetcher->link)) {
        leave(fetcher); // nobody has given us anything
        return;
    }
    // The broker lets us go when it has everything back: on_lost().
    fetcher->is_draining = true;
    worker_link_bye(fetcher->link, false);
    loop_timer_start(fetcher->grace, (uint64_t)fetcher->config->grace_ms, 0);
}

// --- Jobs ---

static struct transfer *
find_job(struct fetcher *fetcher, uint64_t job)
{
    struct transfer *transfer = NULL;

    HASH_FIND(hh, fetcher->in_hand, &job, sizeof(job), transfer);
    return transfer;
}

// The transfer is out of the multi; its handle waits for the next job.
static void
put_aside(struct fetcher *fetcher, struct transfer *transfer)
{
    credit_untake(&fetcher->credit, body_drop(&transfer->body));
    credit_close(&fetcher->credit, &transfer->claim);
    rate_close(&fetcher->rate, &transfer->rate);
    transfer_end(transfer);
    HASH_DEL(fetcher->in_hand, transfer);
    metrics_set(&fetcher->stats.in_hand, --fetcher->in_hand_len);
    transfer->next_idle = fetcher->idle;
    fetcher->idle = transfer;
}

static void
drop_job(struct fetcher *fetcher, struct transfer *transfer)
{
    credit_untake(&fetcher->credit,
                  transfer_drop(transfer, !transfer->is_finished));
    metrics_add(&fetcher->stats.dropped, 1);
    put_aside(fetcher, transfer);
}

static void
answer_failure(struct fetcher *fetcher, const struct wire_job *job,
               enum fail fail, const char *message)
{
    struct wire_fetched fetched = {
        .job = job->job, .attempt = job->attempt, .outcome = fail};

    wire_facts_init(&fetched.facts);
    fetch_stats_count(&fetcher->stats, &fetched);
    fetched.facts.message = (struct wire_bytes){message, strlen(message)};
    log_debug("fetch.refused", "job=" LOG_JOB " attempt=%" PRIu32 " fail=%s",
              LOG_JOB_ARG(job->job), job->attempt, fail_name(fail));
    give_up(fetcher, outbox_add_fetched(fetcher->outbox, &fetched));
}

// How a transfer whose body (if any) can leave now ended.
static void
conclude(struct fetcher *fetcher, struct transfer *transfer,
         const struct wire_fetched *fetched)
{
    int err;

    if (fetched->outcome == FAIL_OK)
        err = body_end(&transfer->body, fetched);
    else
        err = outbox_add_fetched(fetcher->outbox, fetched);
    log_debug("fetch.end",
              "job=" LOG_JOB " attempt=%" PRIu32 " outcome=%s size=%" PRIu64,
              LOG_JOB_ARG(transfer->job), transfer->attempt,
              fail_name(fetched->outcome), fetched->size);
    fetch_stats_count(&fetcher->stats, fetched);
    put_aside(fetcher, transfer);
    give_up(fetcher, err);
}

// The transfer has ended, or waited for credit since it did.
static void
settle(struct fetcher *fetcher, struct transfer *transfer)
{
    struct wire_fetched fetched;

    verdict_of(transfer, &fetched);
    transfer->is_finished = true;
    if (fetched.outcome == FAIL_OK &&
        !credit_take(&fetcher->credit, &transfer->claim,
                     body_end_need(&transfer->body)))
        return; // in line; run_line() goes on
    conclude(fetcher, transfer, &fetched);
}

static void
on_done(void *arg, CURL *easy, CURLcode code)
{
    struct fetcher *fetcher = arg;
    struct transfer *transfer = NULL;
    long connects = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&transfer);
    (void)curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
    metrics_add(&fetcher->stats.connects, (uint64_t)connects);
    if (!transfer_continue(transfer, code))
        settle(fetcher, transfer);
}

static void
on_end(void *arg, struct transfer *transfer)
{
    settle(arg, transfer);
}

static bool
take_credit(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct fetcher *fetcher = arg;

    return credit_take(&fetcher->credit, &transfer->claim, bytes);
}

static bool
take_rate(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct fetcher *fetcher = arg;

    return rate_take(&fetcher->rate, &transfer->rate, bytes,
                     loop_now_ms(fetcher->loop));
}

static void
return_credit(void *arg, struct transfer *transfer, uint64_t bytes)
{
    struct fetcher *fetcher = arg;

    credit_untake(&fetcher->credit, bytes);
    credit_give_claim(&fetcher->credit, &transfer->claim, bytes);
}

static struct transfer *
transfer_of_claim(struct credit_claim *claim)
{
    return (struct transfer *)(void *)((char *)claim -
                                       offsetof(struct transfer, claim));
}

static void
go_on(struct fetcher *fetcher, struct transfer *transfer)
{
    CURLcode code = transfer_resume(transfer);

    if (code == CURLE_OK)
        return;
    multi_remove(transfer->gate.multi, transfer->easy);
    on_done(fetcher, transfer->easy, code);
}

// Lets those go on that waited for credit, while there is some, and then those
// that waited for them.
static void
run_line(struct fetcher *fetcher)
{
    struct credit_claim *claim;
    struct transfer *transfer;

    while ((claim = credit_next(&fetcher->credit))) {
        transfer = transfer_of_claim(claim);
        if (transfer->is_finished)
            settle(fetcher, transfer);
        else
            go_on(fetcher, transfer);
    }
    while ((transfer = sharing_next_held(&fetcher->convoys)))
        go_on(fetcher, transfer);
}

static void
on_rate_due(void *arg)
{
    (void)arg; // run_rate() comes before the loop sleeps
}

// Lets those go on that waited for --limit-rate.
static void
run_rate(struct fetcher *fetcher)
{
    uint64_t now_ms = loop_now_ms(fetcher->loop), due_ms;
    struct rate_claim *claim;

    while ((claim = rate_next(&fetcher->rate, now_ms)))
        go_on(fetcher,
              (struct transfer *)(void *)((char *)claim -
                                          offsetof(struct transfer, rate)));
    due_ms = rate_due_ms(&fetcher->rate);
    if (due_ms != UINT64_MAX)
        loop_timer_start(fetcher->rate_due,
                         due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

// Returns an idle transfer, not in the list any more, or NULL.
static struct transfer *
take_idle(struct fetcher *fetcher)
{
    struct transfer *transfer = fetcher->idle;

    if (transfer)
        fetcher->idle = transfer->next_idle;
    else if (transfer_new(&fetcher->env, &transfer) != 0)
        return NULL;
    return transfer;
}

static void
start_job(struct fetcher *fetcher, const struct wire_job *job,
          const struct wire_request *request, struct profile *profile)
{
    struct transfer *transfer = take_idle(fetcher);

    if (!transfer) {
        answer_failure(fetcher, job, FAIL_INTERNAL, "out of memory");
        return;
    }
    memcpy(fetcher->url, job->url.at, job->url.len);
    fetcher->url[job->url.len] = '\0';
    transfer->job = job->job;
    HASH_ADD(hh, fetcher->in_hand, job, sizeof(transfer->job), transfer);
    if (!transfer->hh.tbl || // not added: no memory
        transfer_start(transfer, job->job, job->attempt, fetcher->url, request,
                       profile) != 0) {
        if (transfer->hh.tbl)
            HASH_DEL(fetcher->in_hand, transfer);
        transfer_end(transfer);
        transfer->next_idle = fetcher->idle;
        fetcher->idle = transfer;
        answer_failure(fetcher, job, FAIL_INTERNAL, "out of memory");
        return;
    }
    credit_open(&fetcher->credit, &transfer->claim);
    metrics_set(&fetcher->stats.in_hand, ++fetcher->in_hand_len);
    vouch_begin(&transfer->vouch, loop_now_ms(fetcher->loop));
    if (log_enabled(LOG_DEBUG)) {
        char url[512];

        log_debug("fetch.start", "job=" LOG_JOB " attempt=%" PRIu32 " url=%s",
                  LOG_JOB_ARG(job->job), job->attempt,
                  log_escape_url(job->url.at, job->url.len, url, sizeof(url)));
    }
}

static void
on_job(struct fetcher *fetcher, const struct wire_job *job,
       const struct wire_request *request)
{
    struct transfer *old = find_job(fetcher, job->job);
    struct profile *profile = request->profile == WIRE_UNSET
                                  ? NULL
                                  : fetcher->profiles.places[request->profile];

    if (old && old->attempt >= job->attempt) {
        log_warn("fetch.repeated", "job=" LOG_JOB " attempt=%" PRIu32,
                 LOG_JOB_ARG(job->job), job->attempt);
        return;
    }
    if (old) // the broker has given that attempt up
        drop_job(fetcher, old);
    if (fetcher->in_hand_len >= (size_t)fetcher->config->parallel_max)
        answer_failure(fetcher, job, FAIL_INTERNAL,
                       "more jobs than this fetcher's capacity");
    else if (job->url.len > URL_BYTES_MAX)
        answer_failure(fetcher, job, FAIL_URL_TOO_LONG, "longer than 64 KiB");
    else if (!job->url.len || memchr(job->url.at, '\0', job->url.len))
        answer_failure(fetcher, job, FAIL_INVALID_URL,
                       "an empty URL, or a NUL byte in it");
    else if (request->profile != WIRE_UNSET && !profile)
        answer_failure(fetcher, job, FAIL_INTERNAL,
                       "the batch's request options are not known here");
    else if (profile && profile->proxy && !fetcher->settings.takes_proxies)
        answer_failure(fetcher, job, FAIL_BLOCKED_ADDRESS,
                       "the batch's --proxy is not taken by a fetcher without "
                       "--proxy-enforces-policy");
    else if (profile && profile->is_unusable)
        answer_failure(fetcher, job, FAIL_INVALID_URL,
                       "what the batch names as its --proxy is no URL");
    else
        start_job(fetcher, job, request, profile);
}

// --- The session ---

static void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct fetcher *fetcher = arg;

    assert(!fetcher->in_hand); // on_lost() came before
    credit_init(&fetcher->credit, welcome->window, welcome->job_window);
    pause_reset(&fetcher->pause);
}

static void
drop_all(struct fetcher *fetcher)
{
    struct transfer *transfer, *next;

    HASH_ITER(hh, fetcher->in_hand, transfer, next)
    drop_job(fetcher, transfer);
    outbox_reset(fetcher->outbox);
}

static void
on_lost(void *arg)
{
    struct fetcher *fetcher = arg;

    if (fetcher->in_hand_len)
        log_warn("fetcher.jobs_dropped", "jobs=%zu", fetcher->in_hand_len);
    drop_all(fetcher);
    profiles_clear(&fetcher->profiles);
    if (fetcher->is_draining)
        leave(fetcher); // let go, or the broker is gone: nothing to wait for
}

static void
on_credit(struct fetcher *fetcher, const struct wire_message *message)
{
    credit_give(&fetcher->credit, message->credit.bytes);
    for (size_t i = 0; i < message->credit.len; i++) {
        const struct wire_credit *item = &message->credit.items[i];
        struct transfer *transfer = find_job(fetcher, item->job);

        // Of a transfer that has ended meanwhile: its window is nobody's.
        if (transfer && transfer->attempt == item->attempt)
            credit_give_claim(&fetcher->credit, &transfer->claim, item->bytes);
    }
}

static void
on_abort(struct fetcher *fetcher, const struct wire_aborted *item)
{
    struct transfer *transfer = find_job(fetcher, item->job);

    log_debug("fetch.aborted",
              "job=" LOG_JOB " attempt=%" PRIu32 " reason=%s known=%d",
              LOG_JOB_ARG(item->job), item->attempt,
              wire_abort_name(item->reason), transfer != NULL);
    // An unknown one has ended while the message was on its way.
    if (transfer && transfer->attempt == item->attempt)
        drop_job(fetcher, transfer);
}

static void
on_profile(struct fetcher *fetcher, const struct wire_message *message)
{
    int err = profiles_put(&fetcher->profiles, message->profile.place,
                           message->profile.profile);

    if (err) // its jobs fail, and come again
        log_warn("fetcher.no_profile", "place=%" PRIu64 " reason=\"%s\"",
                 message->profile.place, strerror(-err));
}

static void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct fetcher *fetcher = arg;

    (void)body; // none comes to a fetcher
    if (message->kind == WIRE_JOBS) {
        for (size_t i = 0; i < message->jobs.len; i++)
            on_job(fetcher, &message->jobs.jobs[i], &message->jobs.request);
    } else if (message->kind == WIRE_CREDIT) {
        on_credit(fetcher, message);
    } else if (message->kind == WIRE_ABORT) {
        for (size_t i = 0; i < message->abort.len; i++)
            on_abort(fetcher, &message->abort.items[i]);
    } else if (message->kind == WIRE_PROFILE) {
        on_profile(fetcher, message);
    } else {
        log_warn("fetcher.stray_message", "kind=%s",
                 wire_kind_name(message->kind));
    }
}

static void
on_ping(void *arg, bool is_list_due, struct worker_pong *out_pong)
{
    struct fetcher *fetcher = arg;
    struct transfer *transfer, *next;
    uint64_t now_ms = loop_now_ms(fetcher->loop);

    out_pong->load = fetcher->in_hand_len;
    if (!is_list_due)
        return;
    out_pong->items = fetcher->vouched;
    HASH_ITER(hh, fetcher->in_hand, transfer, next)
    {
        if (transfer_vouch(transfer, now_ms))
            fetcher->vouched[out_pong->len++] = (struct wire_vouched){
                .job = transfer->job, .attempt = transfer->attempt};
    }
}

static int
send_message(void *arg, const struct wire_buf *buf, zmq_msg_t *body)
{
    struct fetcher *fetcher = arg;

    return worker_link_send(fetcher->link, buf, body);
}

static bool
multis_are_due(const struct fetcher *fetcher)
{
    for (size_t i = 0; i < fetcher->multis_len; i++) {
        if (multi_is_due(fetcher->multis[i]))
            return true;
    }
    return false;
}

// End of the turn: what came of it goes out.
static void
on_flush(void *arg)
{
    struct fetcher *fetcher = arg;

    run_line(fetcher);
    names_turn(fetcher->names);
    pause_turn(&fetcher->pause, names_are_out(fetcher->names), fetcher->link,
               fetcher->in_hand, fetcher->vouched, loop_now_ms(fetcher->loop));
    for (size_t i = 0; i < fetcher->multis_len; i++)
        multi_turn(fetcher->multis[i]);
    profiles_turn(&fetcher->profiles);
    run_rate(fetcher);
    convoys_turn(&fetcher->convoys);
    give_up(fetcher, body_flush_streams(&fetcher->sink));
    give_up(fetcher, outbox_flush(fetcher->outbox));
    if (multis_are_due(fetcher) || profiles_is_due(&fetcher->profiles) ||
        convoys_next(&fetcher->convoys))
        loop_again(fetcher->loop);
}

// --- Start and end ---

static void
set_env(struct fetcher *fetcher)
{
    const struct fetcher_config *config = fetcher->config;
    bool is_few = config->parallel_max <= PARALLEL_FEW;

    fetcher->sink.outbox = fetcher->outbox;
    fetcher->sink.pool = fetcher->pool;
    fetcher->env.multis = fetcher->multis;
    fetcher->env.multis_len = fetcher->multis_len;
    fetcher->env.sink = &fetcher->sink;
    fetcher->env.stats = &fetcher->stats;
    fetcher->stats.slots = (size_t)config->parallel_max;
    fetcher->env.defaults = (struct wire_request){
        .max_redirs = (uint64_t)config->max_redirs,
        .connect_timeout_ms = (uint64_t)config->connect_timeout_ms,
        .speed_limit = (uint64_t)config->speed_limit,
        .speed_time_s = ((uint64_t)config->speed_time_ms + 999) / 1000,
        .max_time_ms = (uint64_t)config->max_time_ms,
        .max_filesize = (uint64_t)config->max_filesize,
        .no_resume = config->no_resume,
    };
    fetcher->env.cacert = config->cacert;
    fetcher->env.user_agent = config->user_agent;
    fetcher->env.settings = &fetcher->settings;
    fetcher->env.buffer_bytes = is_few ? BUFFER_BYTES_FEW : BUFFER_BYTES_MANY;
    fetcher->env.take_credit = take_credit;
    fetcher->env.take_rate = take_rate;
    fetcher->env.on_end = on_end;
    fetcher->env.names = fetcher->names;
    fetcher->convoys.hold = sharing_hold;
    fetcher->env.convoys = &fetcher->convoys;
    fetcher->env.apart = apart_is_needed() ? &fetcher->apart : NULL;
    fetcher->env.return_credit = return_credit;
    fetcher->env.arg = fetcher;
}

// For a profile that keeps its connections apart.
static int
make_multi(void *arg, struct multi_budget *budget, struct multi **out_multi)
{
    struct fetcher *fetcher = arg;

    budget->connections_max = fetcher->settings.apart_connections_max;
    return multi_new(fetcher->loop, budget, on_done, fetcher, out_multi);
}

static int
make_multis(struct fetcher *fetcher)
{
    int64_t len = 1 + (fetcher->config->parallel_max - 1) / MULTI_TRANSFERS;
    int err = 0;

    // As many more can be open as transfers run.
    fetcher->budget.connections_max =
        fetcher->settings.connections_max - (long)fetcher->config->parallel_max;
    if (len > MULTIS_MAX)
        len = MULTIS_MAX;
    while (fetcher->multis_len < (size_t)len && !err) {
        err = multi_new(fetcher->loop, &fetcher->budget, on_done, fetcher,
                        &fetcher->multis[fetcher->multis_len]);
        fetcher->multis_len += !err;
    }
    return err;
}

static int
open_link(struct fetcher *fetcher)
{
    const struct fetcher_config *config = fetcher->config;
    const struct worker_link_owner owner = {
        .arg = fetcher,
        .on_welcome = on_welcome,
        .on_lost = on_lost,
        .on_message = on_message,
        .on_ping = on_ping,
    };
    char name[WIRE_NAME_MAX + 1];
    char host[64] = "?";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(name, sizeof(name), "%s/%ld", host, (long)getpid());
    return worker_link_new(fetcher->loop, fetcher->role->zmq,
                           &(struct worker_link_config){
                               .endpoint = fetcher->settings.endpoint,
                               .role = WIRE_FETCHER,
                               .name = config->name ? config->name : name,
                               .capacity = (uint64_t)config->parallel_max,
                               .curve = &fetcher->curve,
                               .recv_messages_max = RECV_MESSAGES_MAX,
                               .stats = &fetcher->stats.link,
                           },
                           &owner, &fetcher->link);
}

static int
start(struct fetcher *fetcher)
{
    int err = -ENOMEM;

    fetcher->url = malloc(URL_BYTES_MAX + 1);
    fetcher->vouched = calloc((size_t)fetcher->config->parallel_max,
                              sizeof(*fetcher->vouched));
    if (!fetcher->url || !fetcher->vouched)
        return -ENOMEM;
    err = tls_sessions_new(&fetcher->env.tls_sessions);
    if (!err)
        err = chunk_pool_new(CHUNKS_KEPT, &fetcher->pool);
    if (!err)
        err = outbox_new(send_message, fetcher, &fetcher->outbox);
    if (!err)
        err = loop_new(&fetcher->loop);
    if (!err)
        err = make_multis(fetcher);
    if (!err)
        err = names_new(fetcher->loop, fetcher->config, &fetcher->stats.names,
                        &fetcher->names);
    if (!err)
        err = loop_timer_new(fetcher->loop, on_grace_over, fetcher,
                             &fetcher->grace);
    if (!err)
        err = loop_timer_new(fetcher->loop, on_rate_due, fetcher,
                             &fetcher->rate_due);
    if (!err && fetcher->config->http)
        err = fetch_stats_serve(&fetcher->stats, fetcher->loop,
                                fetcher->config->http, &fetcher->http);
    if (err)
        return err;
    set_env(fetcher);
    profiles_init(&fetcher->profiles, make_multi, fetcher);
    rate_init(&fetcher->rate, (uint64_t)fetcher->config->limit_rate,
              loop_now_ms(fetcher->loop));
    // A window of nothing until a session begins.
    credit_init(&fetcher->credit, 0, 0);
    err = open_link(fetcher);
    if (err)
        return err;
    loop_add_flush(fetcher->loop, on_flush, fetcher);
    return role_attach(fetcher->role, fetcher->loop, on_stop, fetcher);
}

static void
finish(struct fetcher *fetcher)
{
    struct transfer *transfer;

    if (fetcher->outbox)
        drop_all(fetcher);
    while ((transfer = fetcher->idle)) {
        fetcher->idle = transfer->next_idle;
        transfer_free(&transfer);
    }
    role_detach(fetcher->role);
    http_free(&fetcher->http);
    worker_link_free(&fetcher->link);
    profiles_fini(&fetcher->profiles);
    for (size_t i = 0; i < fetcher->multis_len; i++)
        multi_free(&fetcher->multis[i]);
    names_free(&fetcher->names);
    convoys_fini(&fetcher->convoys);
    if (fetcher->loop) {
        loop_timer_free(&fetcher->grace);
        loop_timer_free(&fetcher->rate_due);
        loop_free(&fetcher->loop);
    }
    tls_sessions_free(&fetcher->env.tls_sessions);
    outbox_free(&fetcher->outbox);
    chunk_pool_free(&fetcher->pool);
    free(fetcher->url);
    free(fetcher->vouched);
    curve_fini(&fetcher->curve);
}

int
fetcher_run(const struct fetcher_config *config, struct role *role)
{
    struct fetcher fetcher = {.config = config, .role = role};
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    char why[512];
    sigset_t pipe;
    int code;
    int err;

    // Lists of URLs are UTF-8, whatever the user's locale: libcurl reads names
    // with other letters than ASCII's by this thread's.
    if (utf8)
        (void)uselocale(utf8);
    // A server that hangs up is an error code here. Blocking is for this thread
    // (and libcurl's resolvers) alone: the rest of the process may want it.
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);

    code = settings_read(config, &fetcher.settings);
    if (code)
        goto out;
    if (curve_load(&config->keys, &fetcher.curve, why, sizeof(why))) {
        (void)fprintf(stderr, "urlsum-fetcher: %s\n", why);
        code = 2;
        goto out;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        code = 1;
        goto out;
    }
    err = start(&fetcher);
    if (!err) {
        log_info("fetcher.started", "broker=\"%s\" parallel_max=%" PRId64,
                 fetcher.settings.endpoint, config->parallel_max);
        role_ready(role);
        loop_run(fetcher.loop);
        err = fetcher.err;
    } else {
        log_error("fetcher.not_started", "reason=\"%s\"", strerror(-err));
    }
    finish(&fetcher);
    curl_global_cleanup();
    code = err ? 1 : 0;
out:
    settings_fini(&fetcher.settings);
    if (utf8) {
        (void)uselocale(LC_GLOBAL_LOCALE);
        freelocale(utf8);
    }
    return code;
}
