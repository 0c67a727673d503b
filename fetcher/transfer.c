#include "fetcher/transfer.h"

#include "fetcher/multi.h"
#include "fetcher/outcome.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// An error page of at most so many bytes is read to its end, so that its
// connection can be used again; a longer one costs more than a new connection.
#define DISCARD_MAX (64 * 1024)

static long
to_long(uint64_t value)
{
    return value > LONG_MAX ? LONG_MAX : (long)value;
}

static void
allow_redirects_to_http(struct transfer *transfer, bool is_allowed)
{
    transfer->is_https_only = !is_allowed;
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(transfer->easy, CURLOPT_REDIR_PROTOCOLS_STR,
                           is_allowed ? "http,https" : "https");
#else
    (void)curl_easy_setopt(transfer->easy, CURLOPT_REDIR_PROTOCOLS,
                           is_allowed ? CURLPROTO_HTTP | CURLPROTO_HTTPS
                                      : CURLPROTO_HTTPS);
#endif
}

// --- What libcurl calls ---

static void
keep_fact(struct transfer *transfer, const char *value, size_t len,
          struct transfer_fact *out_fact)
{
    while (len && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (len && strchr(" \t\r\n", value[len - 1]))
        len--;
    if (len == 0 || len > WIRE_FACT_MAX)
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
on_location(struct transfer *transfer)
{
    const char *url = NULL;

    transfer->is_redirect = true;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    // libcurl looks at the setting when it has read the whole answer.
    if (url && strncasecmp(url, "https:", 6) == 0)
        allow_redirects_to_http(transfer, false);
}

static bool
is_header(const char *line, size_t len, const char *name, size_t name_len)
{
    return len > name_len && strncasecmp(line, name, name_len) == 0;
}

static size_t
on_header(char *line, size_t size, size_t len, void *arg)
{
    static const char etag[] = "etag:";
    static const char last_modified[] = "last-modified:";
    static const char location[] = "location:";
    struct transfer *transfer = arg;

    (void)size; // always 1
    if (transfer->is_body_begun)
        return len; // a trailer
    if (is_header(line, len, "HTTP/", 5)) {
        // The next response: after a redirect or an interim answer.
        transfer->facts_len = 0;
        transfer->etag.is_known = false;
        transfer->last_modified.is_known = false;
        transfer->is_redirect = false;
    } else if (is_header(line, len, etag, sizeof(etag) - 1)) {
        keep_fact(transfer, line + sizeof(etag) - 1, len - sizeof(etag) + 1,
                  &transfer->etag);
    } else if (is_header(line, len, last_modified, sizeof(last_modified) - 1)) {
        keep_fact(transfer, line + sizeof(last_modified) - 1,
                  len - sizeof(last_modified) + 1, &transfer->last_modified);
    } else if (is_header(line, len, location, sizeof(location) - 1)) {
        on_location(transfer);
    }
    return len;
}

// The first byte of a body: is it one we want? libcurl itself ignores the
// bodies of redirects it follows.
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
    if (transfer->stopped == FAIL_OK && transfer->max_filesize &&
        expected >= 0 && transfer->expected > transfer->max_filesize)
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
    if (transfer->max_filesize &&
        transfer->body.size + len > transfer->max_filesize) {
        transfer->stopped = FAIL_TOO_LARGE;
        return 0;
    }
    need = body_need(&transfer->body, len, transfer->expected);
    if (need && !env->take_credit(env->arg, transfer, need))
        return CURL_WRITEFUNC_PAUSE;
    if (body_write(&transfer->body, data, len, transfer->expected) != 0) {
        transfer->stopped = FAIL_INTERNAL;
        return 0;
    }
    return len;
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
    // A name look-up that outlasts its transfer is left to end by itself: to
    // wait for its thread would hold up the loop, and so all other transfers.
    code |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    code |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    code |= curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, env->buffer_bytes);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_USERAGENT, env->user_agent);
    code |= curl_easy_setopt(easy, CURLOPT_SHARE, env->share);
    if (env->cacert)
        code |= curl_easy_setopt(easy, CURLOPT_CAINFO, env->cacert);
#if LIBCURL_VERSION_NUM >= 0x075500
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                             CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    allow_redirects_to_http(transfer, true);
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
    wire_request_init(&transfer->set);
    transfer->easy = curl_easy_init();
    if (!transfer->easy)
        goto out;
    if (set_constants(transfer) != CURLE_OK)
        goto out;
    err = multi_prepare(env->multi, transfer->easy);
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
    free((*transfer)->facts);
    free(*transfer);
    *transfer = NULL;
}

// Tells the handle those settings of the job that differ from the last one's.
static void
set_request(struct transfer *transfer, const struct wire_request *request)
{
    const struct wire_request *defaults = &transfer->env->defaults;
    struct wire_request *set = &transfer->set;
    CURL *easy = transfer->easy;
    struct wire_request want;

#define X(key, field, highest)                                                 \
    want.field =                                                               \
        request->field == WIRE_UNSET ? defaults->field : request->field;
    WIRE_REQUEST_FIELDS(X)
#undef X
    // Numbers in range cannot be refused.
    if (want.max_redirs != set->max_redirs)
        (void)curl_easy_setopt(easy, CURLOPT_MAXREDIRS,
                               to_long(want.max_redirs));
    if (want.connect_timeout_ms != set->connect_timeout_ms)
        (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                               to_long(want.connect_timeout_ms));
    if (want.speed_limit != set->speed_limit)
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
                               to_long(want.speed_limit));
    if (want.speed_time_s != set->speed_time_s)
        (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                               to_long(want.speed_time_s));
    if (want.max_time_ms != set->max_time_ms)
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                               to_long(want.max_time_ms));
    *set = want;
    transfer->max_filesize = want.max_filesize;
}

int
transfer_start(struct transfer *transfer, uint64_t job, uint32_t attempt,
               const char *url, const struct wire_request *request)
{
    transfer->job = job;
    transfer->attempt = attempt;
    body_init(&transfer->body, transfer->env->sink, job, attempt);
    transfer->expected = UINT64_MAX;
    transfer->discarded = 0;
    transfer->is_body_begun = false;
    transfer->is_redirect = false;
    transfer->is_finished = false;
    transfer->stopped = FAIL_OK;
    transfer->code = CURLE_OK;
    transfer->facts_len = 0;
    transfer->etag.is_known = false;
    transfer->last_modified.is_known = false;
    transfer->error[0] = '\0';
    if (transfer->is_https_only)
        allow_redirects_to_http(transfer, true);
    set_request(transfer, request);
    if (curl_easy_setopt(transfer->easy, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    return multi_add(transfer->env->multi, transfer->easy);
}

uint64_t
transfer_drop(struct transfer *transfer, bool is_running)
{
    if (is_running)
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
    return (uint64_t)body + (uint64_t)headers + (uint64_t)request;
}

bool
transfer_vouch(struct transfer *transfer, uint64_t now_ms)
{
    bool waits = transfer->is_finished || transfer->claim.wait != CREDIT_RUNS;

    return vouch_look(&transfer->vouch, progress_of(transfer), waits,
                      vouch_silence_max_ms(&transfer->set), now_ms);
}

// --- Facts ---

static struct wire_bytes
text_fact(const char *text, size_t len_max)
{
    struct wire_bytes bytes = {text, text ? strlen(text) : 0};

    if (bytes.len == 0 || bytes.len > len_max)
        bytes = (struct wire_bytes){NULL, 0};
    return bytes;
}

static struct wire_bytes
kept_fact(const struct transfer *transfer, const struct transfer_fact *fact)
{
    if (!fact->is_known)
        return (struct wire_bytes){NULL, 0};
    return (struct wire_bytes){transfer->facts + fact->at, fact->len};
}

// Microseconds since the start; zero is "did not happen".
static uint64_t
time_fact(CURL *easy, CURLINFO info)
{
    curl_off_t us = 0;

    (void)curl_easy_getinfo(easy, info, &us);
    return us > 0 ? (uint64_t)us : WIRE_UNSET;
}

static uint64_t
version_fact(CURL *easy)
{
    long version = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return 10;
    case CURL_HTTP_VERSION_1_1:
        return 11;
    case CURL_HTTP_VERSION_2_0:
        return 20;
    case CURL_HTTP_VERSION_3:
        return 30;
    default:
        return WIRE_UNSET;
    }
}

static struct wire_bytes
remote_fact(struct transfer *transfer)
{
    const char *ip = NULL;
    long port = 0;
    bool is_v6;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_PRIMARY_IP, &ip);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_PRIMARY_PORT, &port);
    if (!ip || !*ip)
        return (struct wire_bytes){NULL, 0};
    is_v6 = strchr(ip, ':') != NULL;
    (void)snprintf(transfer->remote, sizeof(transfer->remote), "%s%.50s%s:%ld",
                   is_v6 ? "[" : "", ip, is_v6 ? "]" : "", port);
    return text_fact(transfer->remote, WIRE_FACT_MAX);
}

static const char *
message_of(const struct transfer *transfer, enum fail fail, int status)
{
    static _Thread_local char http[64];

    if (fail == FAIL_HTTP) {
        (void)snprintf(http, sizeof(http),
                       "The requested URL returned error: %d", status);
        return http; // as curl says it
    }
    if (fail == FAIL_PROTOCOL && status == 206)
        return "a 206 answer, though no range was asked for";
    if (fail == FAIL_TOO_LARGE)
        return "Maximum file size exceeded";
    if (fail == FAIL_SCHEME && transfer->is_https_only)
        return "a redirect that leaves https is not followed";
    if (transfer->error[0])
        return transfer->error;
    return curl_easy_strerror(transfer->code);
}

static void
add_failure(struct transfer *transfer, int status, struct wire_fetched *fetched)
{
    enum fail fail = fetched->outcome;
    curl_off_t retry_after_s = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER,
                            &retry_after_s);
    if (retry_after_s > 0 && fail == FAIL_HTTP)
        fetched->facts.retry_after_s = (uint64_t)retry_after_s;
    fetched->facts.curl_code =
        (uint64_t)outcome_curl_code(fail, (int)transfer->code);
    fetched->facts.message =
        text_fact(message_of(transfer, fail, status), WIRE_TEXT_MAX);
}

static enum fail
judge(const struct transfer *transfer, int status)
{
    long asked_bytes = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE,
                            &asked_bytes);
    return outcome(&(struct outcome_of){
        .curl_code = (int)transfer->code,
        .http_status = status,
        .is_asked = asked_bytes > 0,
        .is_redirect = transfer->is_redirect,
        .stopped = transfer->stopped,
    });
}

void
transfer_outcome(struct transfer *transfer, CURLcode code,
                 struct wire_fetched *out_fetched)
{
    struct wire_facts *facts = &out_fetched->facts;
    CURL *easy = transfer->easy;
    const char *text = NULL;
    long status = 0;
    long redirects = 0;

    transfer->code = code;
    wire_facts_init(facts);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    out_fetched->job = transfer->job;
    out_fetched->attempt = transfer->attempt;
    out_fetched->size = transfer->body.size;
    out_fetched->outcome = judge(transfer, (int)status);
    if (out_fetched->outcome != FAIL_OK)
        add_failure(transfer, (int)status, out_fetched);

    if (status > 0)
        facts->http_status = (uint64_t)status;
    facts->http_version = version_fact(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (redirects > 0) {
        facts->redirects = (uint64_t)redirects;
        (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text);
        facts->final_url = text_fact(text, URL_BYTES_MAX);
    }
    facts->dns_us = time_fact(easy, CURLINFO_NAMELOOKUP_TIME_T);
    facts->connect_us = time_fact(easy, CURLINFO_CONNECT_TIME_T);
    facts->tls_us = time_fact(easy, CURLINFO_APPCONNECT_TIME_T);
    facts->first_byte_us = time_fact(easy, CURLINFO_STARTTRANSFER_TIME_T);
    facts->total_us = time_fact(easy, CURLINFO_TOTAL_TIME_T);
    text = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &text);
    facts->content_type = text_fact(text, WIRE_FACT_MAX);
    facts->etag = kept_fact(transfer, &transfer->etag);
    facts->last_modified = kept_fact(transfer, &transfer->last_modified);
    facts->remote = remote_fact(transfer);
}
