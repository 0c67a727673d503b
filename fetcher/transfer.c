#include "fetcher/transfer.h"

#include "common/log.h"
#include "fetcher/address_policy.h"
#include "fetcher/multi.h"
#include "fetcher/receive.h"
#include "fetcher/request.h"
#include "fetcher/settings.h"
#include "fetcher/sharing.h"
#include "fetcher/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static long
to_long(uint64_t value)
{
    return value > LONG_MAX ? LONG_MAX : (long)value;
}

static bool
is_family_wanted(const struct profile *profile, const struct sockaddr *address)
{
    if (!profile || !profile->ip_version || profile->proxy)
        return true;
    return (profile->ip_version == 4) == (address->sa_family == AF_INET);
}

// Asked before each connection, and for each address of a name: the socket's
// address decides, however it came about.
static bool
may_connect(void *arg, const struct sockaddr *address)
{
    struct transfer *transfer = arg;
    const char *refusal = NULL;

    // What a batch names as its proxy is looked at like any other address.
    if (!transfer->is_proxied)
        refusal =
            address_policy_refusal(transfer->env->settings->policy, address);
    if (!refusal && !is_family_wanted(transfer->profile, address))
        return false;
    if (refusal)
        transfer->refusal = refusal;
    else
        transfer->is_connecting = true;
    return !refusal;
}

// --- How it ends without libcurl ---

static void
stop_refused(struct transfer *transfer, const char *refusal)
{
    char why[128];

    (void)snprintf(why, sizeof(why),
                   "the host has %s, which the fetcher's address policy "
                   "forbids (--allow-net)",
                   refusal);
    receive_stop(transfer, FAIL_BLOCKED_ADDRESS, why);
}

// The request's host has been looked up: libcurl goes on, or the transfer ends.
static void
on_looked_up(void *arg, enum fail fail, const char *why)
{
    struct transfer *transfer = arg;

    transfer->error[0] = '\0'; // of the request that had no addresses
    if (fail == FAIL_OK) {
        multi_add(&transfer->gate);
        return;
    }
    if (fail == FAIL_BLOCKED_ADDRESS)
        stop_refused(transfer, why);
    else
        receive_stop(transfer, fail, why);
    transfer->env->on_end(transfer->env->arg, transfer);
}

// --- Life ---

static CURLcode
set_constants(struct transfer *transfer)
{
    const struct transfer_env *env = transfer->env;
    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;

    code |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // Of libcurl's own look-ups (a proxy's name): one that outlasts its
    // transfer is left to end by itself, for to wait for its thread would hold
    // up the loop, and so all other transfers.
    code |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); // we do
    code |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, env->buffer_bytes);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    code |= sharing_prepare(transfer);
    if (env->cacert)
        code |= curl_easy_setopt(easy, CURLOPT_CAINFO, env->cacert);
    transfer->told_profile = UINT64_MAX; // request.c sets the rest
#if LIBCURL_VERSION_NUM >= 0x075500
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                             CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    return code;
}

int
transfer_new(const struct transfer_env *env, struct transfer **out_transfer)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    int err = -ENOMEM;

    if (!transfer)
        return -ENOMEM;
    transfer->env = env;
    wire_request_init(&transfer->told);
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        goto out;
    if (set_constants(transfer) != CURLE_OK)
        goto out;
    transfer->gate =
        (struct multi_gate){.may_connect = may_connect, .arg = transfer};
    err = lookup_init(&transfer->lookup, transfer->easy, env->names,
                      env->settings, on_looked_up, transfer);
    if (err)
        goto out;

    *out_transfer = transfer;
    transfer = NULL;
out:
    transfer_free(&transfer);
    return err;
}

void
transfer_free(struct transfer **transfer)
{
    if (!*transfer)
        return;
    (void)body_drop(&(*transfer)->body);
    transfer_end(*transfer);
    tls_use_end(&(*transfer)->use);
    curl_easy_cleanup((*transfer)->easy);
    lookup_fini(&(*transfer)->lookup);
    redirect_home_fini(&(*transfer)->home);
    curl_slist_free_all((*transfer)->headers);
    answer_fini(&(*transfer)->answer);
    answer_fini(&(*transfer)->whole);
    free((*transfer)->declared);
    free((*transfer)->location);
    free((*transfer)->first_url);
    free(*transfer);
    *transfer = NULL;
}

// --- Requests ---

// Tells the handle those settings of the job that differ from what it was told
// last.
static void
tell_settings(struct transfer *transfer)
{
    const struct wire_request *set = &transfer->set;
    struct wire_request *told = &transfer->told;
    CURL *easy = transfer->easy;

    // Numbers in range cannot be refused.
    if (set->connect_timeout_ms != told->connect_timeout_ms)
        (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                               to_long(set->connect_timeout_ms));
    if (set->speed_limit != told->speed_limit)
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
                               to_long(set->speed_limit));
    if (set->speed_time_s != told->speed_time_s)
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                               to_long(set->speed_time_s));
    *told = (struct wire_request){
        .connect_timeout_ms = set->connect_timeout_ms,
        .speed_limit = set->speed_limit,
        .speed_time_s = set->speed_time_s,
        .max_time_ms = told->max_time_ms,
    };
}

static uint64_t
spent_ms(const struct transfer *transfer)
{
    return (transfer->times.total_us + transfer->times.lined_us) / 1000;
}

void
transfer_tell_time_left(struct transfer *transfer)
{
    uint64_t left_ms = transfer->set.max_time_ms;

    if (left_ms)
        left_ms =
            spent_ms(transfer) < left_ms ? left_ms - spent_ms(transfer) : 1;
    if (left_ms == transfer->told.max_time_ms)
        return;
    (void)curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS,
                           to_long(left_ms));
    transfer->told.max_time_ms = left_ms;
}

static int
tell_url(struct transfer *transfer, const char *url)
{
    const struct settings *settings = transfer->env->settings;

    transfer->is_proxied = transfer->is_secure ? settings->is_https_proxied
                                               : settings->is_http_proxied;
    if (transfer->profile && transfer->profile->proxy)
        transfer->is_proxied = false; // not the operator's
    if (curl_easy_setopt(transfer->easy, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    return 0;
}

int
transfer_ask(struct transfer *transfer, const char *url)
{
    transfer->requests++;
    receive_reset(transfer);
    lookup_reset(&transfer->lookup, transfer->requests == 1);
    transfer->refusal = NULL;
    transfer->is_connecting = false;
    transfer->is_connected = false;
    transfer_tell_time_left(transfer);
    if (url && (sharing_tell_origin(transfer, url) != 0 ||
                tell_url(transfer, url) != 0))
        return -ENOMEM;
    sharing_begin(transfer);
    return 0;
}

// The job begins where its URL says, with what that entrusts to its origin.
static int
go_home(struct transfer *transfer)
{
    transfer->redirects = 0;
    transfer->is_away = false;
    redirect_home_fini(&transfer->home);
    return request_tell_credentials(transfer, true);
}

// What became of its body is of no interest. A part of a body is at the place
// where the body began, and nowhere else.
static bool
is_redirect(const struct transfer *transfer)
{
    return transfer->is_answered && transfer->location_len &&
           redirect_is_status(transfer->status) &&
           transfer->step == RESUME_GO_ON;
}

// Where the redirect leads. Returns FAIL_OK, or why it is not followed, which
// the transfer knows then.
static enum fail
find_next(struct transfer *transfer, struct redirect_step *out_step)
{
    const char *from = NULL;
    char *location;
    enum fail fail = FAIL_INTERNAL;

    *out_step = (struct redirect_step){.refusal = "out of memory"};
    location = strndup(transfer->location, transfer->location_len);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &from);
    if (from && !transfer->first_url)
        transfer->first_url = strdup(from); // else it cannot begin anew
    if (location && from &&
        (transfer->home.host || redirect_home_init(&transfer->home, from) == 0))
        fail = redirect_next(&transfer->home, from, location,
                             transfer->env->settings->redirect_rule, out_step);
    free(location);
    if (fail != FAIL_OK)
        receive_stop(transfer, fail, out_step->refusal);
    return fail;
}

static bool
follow_redirect(struct transfer *transfer)
{
    struct redirect_step step;
    int err;

    if (transfer->redirects >= transfer->set.max_redirs) {
        receive_stop(transfer, FAIL_REDIRECTS, "");
        (void)snprintf(transfer->error, sizeof(transfer->error),
                       "Maximum (%" PRIu64 ") redirects followed",
                       transfer->set.max_redirs); // as curl says it
        return false;
    }
    if (find_next(transfer, &step) != FAIL_OK)
        return false;
    transfer->is_away |= !step.is_home;
    err = request_tell_credentials(transfer,
                                   !transfer->is_away && !step.names_user);
    if (!err && transfer->profile)
        err = request_tell_headers(transfer); // fewer of them, if it is away
    if (!err)
        err = transfer_ask(transfer, step.url);
    curl_free(step.url);
    if (err) {
        receive_stop(transfer, FAIL_INTERNAL, "out of memory");
        return false;
    }
    transfer->redirects++;
    return true;
}

// --- Bodies that were cut ---

// The next request of a body that is not complete.
static bool
ask_again(struct transfer *transfer, const char *url)
{
    int err = request_tell_headers(transfer);

    log_debug("fetch.resume",
              "job=" LOG_JOB " attempt=%" PRIu32 " offset=%" PRIu64
              " resumes=%u",
              LOG_JOB_ARG(transfer->job), transfer->attempt,
              transfer->body.size, transfer->resume.count);
    if (!err)
        err = transfer_ask(transfer, url);
    if (err)
        receive_stop(transfer, FAIL_INTERNAL, "out of memory");
    return !err;
}

// The whole body, from where the job began: what a redirect named may have been
// for a while only.
static bool
ask_anew(struct transfer *transfer)
{
    int err = receive_restart(transfer);

    transfer->is_begun = false;
    decoder_free(&transfer->decoder);
    if (!err)
        err = go_home(transfer);
    if (err) {
        receive_stop(transfer, FAIL_INTERNAL, "out of memory");
        return false;
    }
    return ask_again(transfer, transfer->first_url);
}

// Of the answer that has just ended.
static bool
is_chunked(const struct transfer *transfer)
{
    return answer_get(transfer->resume.is_range ? &transfer->answer
                                                : &transfer->whole,
                      ANSWER_TRANSFER_ENCODING)
        .at;
}

// An error of reading from the connection, in libcurl's words.
static bool
is_connections(const struct transfer *transfer)
{
    return strncmp(transfer->error, "Recv failure", 12) == 0 ||
           strstr(transfer->error, "SSL_read");
}

static enum resume_end
end_of(const struct transfer *transfer)
{
    static const CURLcode cuts[] = {
        CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING,     CURLE_SEND_ERROR,
        CURLE_RECV_ERROR,   CURLE_COULDNT_CONNECT, CURLE_HTTP2_STREAM,
    };
    bool has_time = !transfer->set.max_time_ms ||
                    spent_ms(transfer) + 1 < transfer->set.max_time_ms;

    if (transfer->code == CURLE_OK)
        return RESUME_END_WELL;
    // libcurl has the same code for a broken connection and for a chunk that is
    // none; its message tells the one, if it does not speak of chunks.
    if (!has_time || (transfer->code == CURLE_RECV_ERROR &&
                      is_chunked(transfer) && !is_connections(transfer)))
        return RESUME_END_BROKEN;
    if (transfer->code == CURLE_OPERATION_TIMEDOUT)
        return RESUME_END_CUT; // it stalls
    for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
        if (transfer->code == cuts[i])
            return RESUME_END_CUT;
    }
    return RESUME_END_BROKEN;
}

// A request of a body that has begun is over: is it complete, and if not, what
// is asked for next? Returns whether another request was begun; if not, the
// transfer knows how it ended.
static bool
resume_body(struct transfer *transfer)
{
    switch (transfer->step) {
    case RESUME_ASK_ANEW:
        return ask_anew(transfer);
    case RESUME_COMPLETE:
        transfer->stopped = FAIL_OK;
        transfer->code = CURLE_OK;
        return false;
    case RESUME_FAIL_HTTP:
    case RESUME_FAIL_CUT:
        return false;
    case RESUME_GO_ON:
    case RESUME_REPLACE:
        break;
    }
    if (transfer->stopped != FAIL_OK)
        return false;
    switch (resume_on_end(&transfer->resume, end_of(transfer),
                          transfer->body.size)) {
    case RESUME_DONE:
        return false;
    case RESUME_ASK:
        return ask_again(transfer, NULL);
    case RESUME_GIVE_UP:
        break;
    }
    // It is cut, whatever became of the attempt to go on.
    if (transfer->code == CURLE_OK)
        receive_stop(transfer, FAIL_CUT, "fewer bytes came than were told");
    else if (!transfer->is_answered &&
             transfer->code != CURLE_OPERATION_TIMEDOUT)
        transfer->stopped = FAIL_CUT;
    return false;
}

// The request that has ended is still in its convoy.
static bool
go_on_after(struct transfer *transfer, CURLcode code)
{
    if (lookup_is_wanted(&transfer->lookup)) {
        const char *why;
        enum fail fail = lookup_begin(&transfer->lookup, &why);

        if (fail != FAIL_OK)
            receive_stop(transfer, fail, why);
        return fail == FAIL_OK;
    }
    sharing_land(transfer);
    transfer->code = code;
    verdict_add_request(transfer);
    if (sharing_is_unanswered(transfer, code))
        return sharing_ask_alone(transfer);
    sharing_tell_fresh(transfer, false);
    receive_end(transfer);
    if (sharing_end_is_doubtful(transfer))
        return sharing_ask_apart(transfer);
    if (code != CURLE_OK && transfer->refusal && !transfer->is_connecting) {
        stop_refused(transfer, transfer->refusal);
        return false;
    }
    if (is_redirect(transfer))
        return follow_redirect(transfer);
    return transfer->is_begun && resume_body(transfer);
}

bool
transfer_continue(struct transfer *transfer, CURLcode code)
{
    bool goes_on = go_on_after(transfer, code);

    // A next request joins when it is sent, and that is later.
    sharing_leave(transfer);
    return goes_on;
}

static void
merge_request(struct transfer *transfer, const struct wire_request *request)
{
    const struct wire_request *defaults = &transfer->env->defaults;

#define X(key, field, highest)                                                 \
    transfer->set.field =                                                      \
        request->field == WIRE_UNSET ? defaults->field : request->field;
    WIRE_REQUEST_FIELDS(X)
#undef X
}

int
transfer_start(struct transfer *transfer, uint64_t job, uint32_t attempt,
               const char *url, const struct wire_request *request,
               struct profile *profile)
{
    transfer->job = job;
    transfer->attempt = attempt;
    body_init(&transfer->body, transfer->env->sink, job, attempt);
    transfer->times = (struct transfer_times){0};
    transfer->requests = 0;
    transfer->is_finished = false;
    transfer->is_begun = transfer->is_any_status = false;
    transfer->tls_version = 0;
    transfer->profile = profile_ref(profile);
    transfer->lookup.profile = profile;
    sharing_tell_fresh(transfer, false);
    resume_init(&transfer->resume);
    answer_reset(&transfer->whole);
    free(transfer->first_url);
    transfer->first_url = NULL;
    merge_request(transfer, request);
    tell_settings(transfer);
    if (request_tell_profile(transfer) != 0 || go_home(transfer) != 0 ||
        request_tell_headers(transfer) != 0)
        return -ENOMEM;
    return transfer_ask(transfer, url);
}

void
transfer_end(struct transfer *transfer)
{
    sharing_land(transfer);
    decoder_free(&transfer->decoder);
    transfer->lookup.profile = NULL;
    // It has a share of the profile's, which may be freed then.
    if (transfer->profile && transfer->profile->tls_sessions)
        (void)curl_easy_setopt(transfer->easy, CURLOPT_SHARE, NULL);
    profile_unref(&transfer->profile);
}

uint64_t
transfer_drop(struct transfer *transfer, bool is_running)
{
    if (lookup_is_under_way(&transfer->lookup))
        lookup_cancel(&transfer->lookup);
    else if (is_running && !sharing_waits(transfer))
        multi_remove(&transfer->gate);
    sharing_leave(transfer);
    return body_drop(&transfer->body);
}

CURLcode
transfer_resume(struct transfer *transfer)
{
    convoy_go_on(transfer->env->convoys, &transfer->convoy);
    return curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

bool
transfer_waits_unbegun(const struct transfer *transfer)
{
    return sharing_waits_for_addresses(transfer) && !transfer->is_begun &&
           !transfer->body.has_left;
}

// Bytes that went to or fro. Headers and bodies that libcurl keeps to itself
// count as well, and so does the request: whoever has sent it was connected.
static uint64_t
progress_of(const struct transfer *transfer)
{
    curl_off_t body = 0;
    long headers = 0, request = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &body);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &headers);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request);
    // libcurl counts anew with each request.
    return (transfer->requests << 48) + (uint64_t)body + (uint64_t)headers +
           (uint64_t)request;
}

bool
transfer_vouch(struct transfer *transfer, uint64_t now_ms)
{
    // A look-up has limits of its own, and an outage is not the URL's failure.
    // Who waits for a pilot does so no longer than that is vouched for: taken
    // back, it leaves. What waits in the multi is begun as fast as can be.
    bool waits = transfer->is_finished || transfer->claim.wait != CREDIT_RUNS ||
                 transfer->rate.waits ||
                 transfer->convoy.state == CONVOY_HELD ||
                 lookup_is_under_way(&transfer->lookup) ||
                 sharing_waits(transfer) || transfer->gate.is_waiting;

    return vouch_look(&transfer->vouch, progress_of(transfer), waits,
                      vouch_silence_max_ms(&transfer->set), now_ms);
}
