#include "fetcher/transfer.h"

#include "fetcher/address_policy.h"
#include "fetcher/fetch_stats.h"
#include "fetcher/multi.h"
#include "fetcher/outcome.h"
#include "fetcher/settings.h"
#include "fetcher/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// An error page of at most so many bytes is read to its end, so that its
// connection can be used again; a longer one costs more than a new connection.
#define DISCARD_MAX (64 * 1024)
// Bytes of a Location header: whatever it builds on, the URL would be too long.
#define LOCATION_MAX URL_BYTES_MAX

static long
to_long(uint64_t value)
{
    return value > LONG_MAX ? LONG_MAX : (long)value;
}

// --- What libcurl calls ---

static void
keep_fact(struct transfer *transfer, const char *value, size_t len,
          size_t len_max, struct transfer_fact *out_fact)
{
    while (len && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (len && strchr(" \t\r\n", value[len - 1]))
        len--;
    if (len == 0 || len > len_max)
        return; // left out, not cut
    if (transfer->facts_len + len > transfer->facts_room) {
        size_t room = 2 * (transfer->facts_len + len);
        char *grown = realloc(transfer->facts, room);

        if (!grown)
            return; // a fact less; the body is what matters
        transfer->facts = grown;
        transfer->facts_room = room;
    }
    memcpy(transfer->facts + transfer->facts_len, value, len);
    *out_fact = (struct transfer_fact){transfer->facts_len, len, true};
    transfer->facts_len += len;
}

static void
forget_answer(struct transfer *transfer)
{
    transfer->facts_len = 0;
    transfer->etag.is_known = false;
    transfer->last_modified.is_known = false;
    transfer->location.is_known = false;
    transfer->retry_after.is_known = false;
    transfer->date.is_known = false;
}

static bool
is_header(const char *line, size_t len, const char *name)
{
    size_t name_len = strlen(name);

    return len > name_len && strncasecmp(line, name, name_len) == 0;
}

static size_t
on_header(char *line, size_t size, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    const struct {
        const char *name;
        struct transfer_fact *fact;
        size_t len_max;
    } kept[] = {
        {"etag:", &transfer->etag, WIRE_FACT_MAX},
        {"last-modified:", &transfer->last_modified, WIRE_FACT_MAX},
        {"location:", &transfer->location, LOCATION_MAX},
        {"retry-after:", &transfer->retry_after, WIRE_FACT_MAX},
        {"date:", &transfer->date, WIRE_FACT_MAX},
    };

    (void)size; // always 1
    if (transfer->is_body_begun)
        return len; // a trailer
    if (is_header(line, len, "HTTP/"))
        forget_answer(transfer); // an interim one
    for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
        size_t name_len = strlen(kept[i].name);

        if (!is_header(line, len, kept[i].name) ||
            (kept[i].fact == &transfer->location && kept[i].fact->is_known))
            continue;
        keep_fact(transfer, line + name_len, len - name_len, kept[i].len_max,
                  kept[i].fact);
    }
    return len;
}

// The first byte of a body: is it one we want?
static void
begin_body(struct transfer *transfer)
{
    long status = 0;
    curl_off_t expected = -1;

    transfer->is_body_begun = true;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                            &expected);
    transfer->expected = expected < 0 ? UINT64_MAX : (uint64_t)expected;
    transfer->stopped =
        outcome(&(struct outcome_of){.http_status = (int)status});
    if (transfer->stopped == FAIL_OK && transfer->set.max_filesize &&
        expected >= 0 && transfer->expected > transfer->set.max_filesize)
        transfer->stopped = FAIL_TOO_LARGE;
}

// Of a body that is not wanted. Fewer bytes than were given end the transfer.
static size_t
discard(struct transfer *transfer, size_t len)
{
    if (transfer->stopped == FAIL_TOO_LARGE)
        return 0;
    if (transfer->expected != UINT64_MAX && transfer->expected > DISCARD_MAX)
        return 0;
    transfer->discarded += len;
    return transfer->discarded > DISCARD_MAX ? 0 : len;
}

static size_t
on_body(char *data, size_t size, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    const struct transfer_env *env = transfer->env;
    uint64_t need;

    (void)size; // always 1
    if (len == 0)
        return 0; // libcurl may call so for an empty body; that is success
    if (!transfer->is_body_begun)
        begin_body(transfer);
    if (transfer->stopped != FAIL_OK)
        return discard(transfer, len);
    if (transfer->set.max_filesize &&
        transfer->body.size + len > transfer->set.max_filesize) {
        transfer->stopped = FAIL_TOO_LARGE;
        return 0;
    }
    need = body_need(&transfer->body, len, transfer->expected);
    if (need && !env->take_credit(env->arg, transfer, need)) {
        metrics_add(&env->stats->credit_waits, 1);
        return CURL_WRITEFUNC_PAUSE;
    }
    metrics_add(&env->stats->bytes, len);
    if (body_write(&transfer->body, data, len, transfer->expected) != 0) {
        transfer->stopped = FAIL_INTERNAL;
        return 0;
    }
    return len;
}

// Asked before each connection, and for each address of a name: the socket's
// address decides, however it came about.
static bool
may_connect(void *arg, const struct sockaddr *address)
{
    struct transfer *transfer = arg;
    const char *refusal = NULL;

    if (!transfer->is_proxied)
        refusal =
            address_policy_refusal(transfer->env->settings->policy, address);
    if (refusal)
        transfer->refusal = refusal;
    else
        transfer->is_connecting = true;
    return !refusal;
}

// --- How it ends without libcurl ---

static void
stop(struct transfer *transfer, enum fail fail, const char *why)
{
    transfer->stopped = fail;
    (void)snprintf(transfer->error, sizeof(transfer->error), "%s", why);
}

static void
stop_refused(struct transfer *transfer, const char *refusal)
{
    char why[128];

    (void)snprintf(why, sizeof(why),
                   "the host has %s, which the fetcher's address policy "
                   "forbids (--allow-net)",
                   refusal);
    stop(transfer, FAIL_BLOCKED_ADDRESS, why);
}

// The request's host has been looked up: libcurl goes on, or the transfer ends.
static void
on_looked_up(void *arg, enum fail fail, const char *why)
{
    struct transfer *transfer = arg;

    transfer->error[0] = '\0'; // of the request that had no addresses
    if (fail == FAIL_OK && multi_add(transfer->env->multi, transfer->easy) == 0)
        return;
    if (fail == FAIL_BLOCKED_ADDRESS)
        stop_refused(transfer, why);
    else if (fail == FAIL_OK)
        stop(transfer, FAIL_INTERNAL, "out of memory");
    else
        stop(transfer, fail, why);
    transfer->env->on_end(transfer->env->arg, transfer);
}

// --- Life ---

static CURLcode
set_constants(struct transfer *transfer)
{
    const struct transfer_env *env = transfer->env;
    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;

    code |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // Of libcurl's own look-ups (a proxy's name): one that outlasts its
    // transfer is left to end by itself, for to wait for its thread would hold
    // up the loop, and so all other transfers.
    code |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); // we do
    code |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, env->buffer_bytes);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_USERAGENT, env->user_agent);
    code |= curl_easy_setopt(easy, CURLOPT_SHARE, env->share);
    // Where a proxy enforces the policy nothing goes around it.
    if (env->settings->is_http_proxied || env->settings->is_https_proxied)
        code |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    if (env->cacert)
        code |= curl_easy_setopt(easy, CURLOPT_CAINFO, env->cacert);
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
    err = multi_prepare(env->multi, transfer->easy, &transfer->gate);
    if (!err)
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
    curl_easy_cleanup((*transfer)->easy);
    lookup_fini(&(*transfer)->lookup);
    redirect_home_fini(&(*transfer)->home);
    free((*transfer)->facts);
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

// --max-time is for all requests of the job together.
static void
tell_time_left(struct transfer *transfer)
{
    uint64_t left_ms = transfer->set.max_time_ms;
    uint64_t spent_ms = transfer->times.total_us / 1000;

    if (left_ms)
        left_ms = spent_ms < left_ms ? left_ms - spent_ms : 1;
    if (left_ms == transfer->told.max_time_ms)
        return;
    (void)curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS,
                           to_long(left_ms));
    transfer->told.max_time_ms = left_ms;
}

// Starts a request of the job; what is of the job stays as it is. Returns 0 or
// -ENOMEM.
static int
begin_request(struct transfer *transfer, const char *url)
{
    transfer->requests++;
    transfer->expected = UINT64_MAX;
    transfer->discarded = 0;
    transfer->is_body_begun = false;
    transfer->stopped = FAIL_OK;
    transfer->code = CURLE_OK;
    transfer->error[0] = '\0';
    transfer->refusal = NULL;
    transfer->is_connecting = false;
    transfer->is_proxied = strncasecmp(url, "https:", 6) == 0
                               ? transfer->env->settings->is_https_proxied
                               : transfer->env->settings->is_http_proxied;
    lookup_reset(&transfer->lookup, transfer->requests == 1);
    forget_answer(transfer);
    tell_time_left(transfer);
    if (curl_easy_setopt(transfer->easy, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    return multi_add(transfer->env->multi, transfer->easy);
}

// The URL's own user and password go with it while it stays at home; a redirect
// may name its own in its URL.
static int
tell_credentials(struct transfer *transfer, bool are_wanted)
{
    const struct redirect_home *home = &transfer->home;
    bool are_given = are_wanted && (home->user || home->password);
    CURLcode code = CURLE_OK;

    if (are_given == transfer->has_credentials)
        return 0;
    code |= curl_easy_setopt(transfer->easy, CURLOPT_USERNAME,
                             are_given ? home->user : NULL);
    code |= curl_easy_setopt(transfer->easy, CURLOPT_PASSWORD,
                             are_given ? home->password : NULL);
    transfer->has_credentials = are_given || code != CURLE_OK;
    return code == CURLE_OK ? 0 : -ENOMEM;
}

static bool
is_redirect(const struct transfer *transfer)
{
    long status = 0;

    // What became of its body is of no interest, once that has begun.
    if (!transfer->location.is_known ||
        (transfer->code != CURLE_OK && !transfer->is_body_begun))
        return false;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return redirect_is_status(status);
}

// Where the redirect leads. Returns FAIL_OK, or why it is not followed, which
// the transfer knows then.
static enum fail
find_next(struct transfer *transfer, struct redirect_step *out_step)
{
    const struct transfer_fact *fact = &transfer->location;
    const char *from = NULL;
    char *location;
    enum fail fail = FAIL_INTERNAL;

    *out_step = (struct redirect_step){.refusal = "out of memory"};
    location = strndup(transfer->facts + fact->at, fact->len);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &from);
    if (location && from &&
        (transfer->home.host || redirect_home_init(&transfer->home, from) == 0))
        fail = redirect_next(&transfer->home, from, location,
                             transfer->env->settings->redirect_rule, out_step);
    free(location);
    if (fail != FAIL_OK)
        stop(transfer, fail, out_step->refusal);
    return fail;
}

static bool
follow_redirect(struct transfer *transfer)
{
    struct redirect_step step;
    int err;

    if (transfer->redirects >= transfer->set.max_redirs) {
        stop(transfer, FAIL_REDIRECTS, "");
        (void)snprintf(transfer->error, sizeof(transfer->error),
                       "Maximum (%" PRIu64 ") redirects followed",
                       transfer->set.max_redirs); // as curl says it
        return false;
    }
    if (find_next(transfer, &step) != FAIL_OK)
        return false;
    transfer->is_away |= !step.is_home;
    err = tell_credentials(transfer, !transfer->is_away && !step.names_user);
    if (!err)
        err = begin_request(transfer, step.url);
    curl_free(step.url);
    if (err) {
        stop(transfer, FAIL_INTERNAL, "out of memory");
        return false;
    }
    transfer->redirects++;
    return true;
}

bool
transfer_continue(struct transfer *transfer, CURLcode code)
{
    if (lookup_is_wanted(&transfer->lookup)) {
        const char *why;
        enum fail fail = lookup_begin(&transfer->lookup, &why);

        if (fail != FAIL_OK)
            stop(transfer, fail, why);
        return fail == FAIL_OK;
    }
    transfer->code = code;
    verdict_add_request(transfer);
    if (code != CURLE_OK && transfer->refusal && !transfer->is_connecting) {
        stop_refused(transfer, transfer->refusal);
        return false;
    }
    return is_redirect(transfer) && follow_redirect(transfer);
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
               const char *url, const struct wire_request *request)
{
    transfer->job = job;
    transfer->attempt = attempt;
    body_init(&transfer->body, transfer->env->sink, job, attempt);
    transfer->times = (struct transfer_times){0};
    transfer->requests = 0;
    transfer->redirects = 0;
    transfer->is_finished = false;
    transfer->is_away = false;
    if (transfer->home.host) {
        if (tell_credentials(transfer, false) != 0)
            return -ENOMEM;
        redirect_home_fini(&transfer->home);
    }
    merge_request(transfer, request);
    tell_settings(transfer);
    return begin_request(transfer, url);
}

uint64_t
transfer_drop(struct transfer *transfer, bool is_running)
{
    if (lookup_is_under_way(&transfer->lookup))
        lookup_cancel(&transfer->lookup);
    else if (is_running)
        multi_remove(transfer->env->multi, transfer->easy);
    return body_drop(&transfer->body);
}

CURLcode
transfer_resume(struct transfer *transfer)
{
    return curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
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
    bool waits = transfer->is_finished || transfer->claim.wait != CREDIT_RUNS ||
                 lookup_is_under_way(&transfer->lookup);

    return vouch_look(&transfer->vouch, progress_of(transfer), waits,
                      vouch_silence_max_ms(&transfer->set), now_ms);
}
