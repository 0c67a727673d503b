#include "fetcher/verdict.h"

#include "fetcher/outcome.h"
#include "fetcher/retry_after.h"
#include "fetcher/tls.h"
#include "fetcher/transfer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct wire_bytes
text_fact(const char *text, size_t len_max)
{
    struct wire_bytes bytes = {text, text ? strlen(text) : 0};

    if (bytes.len == 0 || bytes.len > len_max)
        bytes = (struct wire_bytes){NULL, 0};
    return bytes;
}

static uint64_t
time_of(CURL *easy, CURLINFO info)
{
    curl_off_t us = 0;

    (void)curl_easy_getinfo(easy, info, &us);
    return us > 0 ? (uint64_t)us : 0;
}

void
verdict_add_request(struct transfer *transfer)
{
    struct transfer_times *times = &transfer->times;
    CURL *easy = transfer->easy;

    times->total_us += time_of(easy, CURLINFO_TOTAL_TIME_T);
    if (transfer->resume.is_range)
        return; // of a body that has begun the first answer's stand
    times->dns_us += time_of(easy, CURLINFO_NAMELOOKUP_TIME_T);
    times->connect_us += time_of(easy, CURLINFO_CONNECT_TIME_T);
    times->tls_us += time_of(easy, CURLINFO_APPCONNECT_TIME_T);
    times->first_byte_us += time_of(easy, CURLINFO_STARTTRANSFER_TIME_T);
}

// With the time that was spent on look-ups and in line, which come before all
// that libcurl measures.
static uint64_t
time_fact(const struct transfer *transfer, uint64_t us)
{
    return us ? us + transfer->lookup.waited_us + transfer->times.lined_us
              : WIRE_UNSET;
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

// Why the connection cannot be trusted, and what to do.
static const char *
tls_message(const struct transfer *transfer)
{
    static _Thread_local char text[WIRE_TEXT_MAX + 1];
    const char *message = transfer->error[0]
                              ? transfer->error
                              : curl_easy_strerror(transfer->code);

    (void)snprintf(text, sizeof(text), "%s%s", message, tls_hint(message));
    return text;
}

static const char *
message_of(const struct transfer *transfer, enum fail fail)
{
    static _Thread_local char http[64];

    if (fail == FAIL_HTTP) {
        (void)snprintf(http, sizeof(http),
                       "The requested URL returned error: %d",
                       transfer->status);
        return http; // as curl says it
    }
    if (fail == FAIL_TOO_LARGE)
        return "Maximum file size exceeded";
    if (transfer->why)
        return transfer->why;
    if (fail == FAIL_PROTOCOL && transfer->code == CURLE_OUT_OF_MEMORY)
        return "a header line that is too long";
    if (fail == FAIL_PROTOCOL && transfer->status == 206)
        return "a 206 answer, though no range was asked for";
    if (fail == FAIL_TLS)
        return tls_message(transfer);
    if (transfer->error[0])
        return transfer->error;
    if (fail == FAIL_PROTOCOL && transfer->code == CURLE_UNSUPPORTED_PROTOCOL)
        return "what came is no HTTP answer"; // libcurl speaks of protocols
    return curl_easy_strerror(transfer->code);
}

// The answer that the body began with, or the one that was none.
static const struct answer *
answer_of(const struct transfer *transfer)
{
    return transfer->is_begun ? &transfer->whole : &transfer->answer;
}

// libcurl's own (CURLINFO_RETRY_AFTER) takes "120 apples" for 120, and compares
// a date, loosely read, with this machine's clock alone.
static void
add_retry_after(const struct transfer *transfer, struct wire_facts *facts)
{
    const struct answer *answer = answer_of(transfer);
    struct wire_bytes value = answer_get(answer, ANSWER_RETRY_AFTER);
    struct wire_bytes date = answer_get(answer, ANSWER_DATE);

    if (value.len)
        (void)retry_after_parse(value.at, value.len, date.at, date.len,
                                (int64_t)time(NULL), &facts->retry_after_s);
}

static void
add_failure(struct transfer *transfer, struct wire_fetched *fetched)
{
    enum fail fail = fetched->outcome;

    if (fail == FAIL_HTTP)
        add_retry_after(transfer, &fetched->facts);
    fetched->facts.curl_code =
        (uint64_t)outcome_curl_code(fail, (int)transfer->code);
    fetched->facts.message =
        text_fact(message_of(transfer, fail), WIRE_TEXT_MAX);
}

static enum fail
judge(const struct transfer *transfer)
{
    long asked_bytes = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE,
                            &asked_bytes);
    return outcome(&(struct outcome_of){
        .curl_code = (int)transfer->code,
        .http_status = transfer->status,
        .is_asked = asked_bytes > 0,
        .is_in_header = asked_bytes > 0 && !transfer->is_headed,
        .is_any_status = transfer->is_any_status,
        .stopped = transfer->stopped,
    });
}

// Nothing but the end of the connection says where the body ends: neither a
// length, nor chunks, nor frames of HTTP/2.
static bool
is_unframed(const struct transfer *transfer, uint64_t version)
{
    return transfer->resume.total == RESUME_UNKNOWN && !transfer->is_measured &&
           (version == 10 || version == 11) && transfer->status != 204 &&
           !answer_get(&transfer->whole, ANSWER_TRANSFER_ENCODING).at;
}

static struct wire_bytes
declared_fact(const struct transfer *transfer)
{
    static _Thread_local char text[WIRE_FACT_MAX];
    const struct digest_fields *declared = transfer->declared;

    if (!declared || !declared->len)
        return (struct wire_bytes){NULL, 0};
    return (struct wire_bytes){
        text,
        declared_write(declared->items, declared->len, text, sizeof(text))};
}

static void
add_fields(const struct transfer *transfer, struct wire_facts *facts)
{
    const struct answer *answer = answer_of(transfer);

    facts->content_encoding = answer_get(answer, ANSWER_CONTENT_ENCODING);
    facts->content_type = answer_get(answer, ANSWER_CONTENT_TYPE);
    facts->etag = answer_get(answer, ANSWER_ETAG);
    facts->last_modified = answer_get(answer, ANSWER_LAST_MODIFIED);
}

static void
add_body(const struct transfer *transfer, struct wire_facts *facts)
{
    if (is_unframed(transfer, facts->http_version))
        facts->unframed = 1;
    if (transfer->decoder)
        facts->decoded = 1;
    if (transfer->is_any_status)
        add_retry_after(transfer, facts); // its host is closed all the same
    facts->declared = declared_fact(transfer);
}

void
verdict_of(struct transfer *transfer, struct wire_fetched *out_fetched)
{
    struct wire_facts *facts = &out_fetched->facts;
    CURL *easy = transfer->easy;
    const char *text = NULL;

    wire_facts_init(facts);
    out_fetched->job = transfer->job;
    out_fetched->attempt = transfer->attempt;
    out_fetched->size = transfer->body.size;
    out_fetched->outcome = judge(transfer);
    facts->http_version = version_fact(easy);
    if (transfer->tls_version)
        facts->tls_version = transfer->tls_version;
    if (out_fetched->outcome == FAIL_OK)
        add_body(transfer, facts);
    else
        add_failure(transfer, out_fetched);

    if (transfer->status > 0)
        facts->http_status = (uint64_t)transfer->status;
    if (transfer->resume.count > 0)
        facts->resumes = transfer->resume.count;
    if (transfer->redirects > 0) {
        facts->redirects = transfer->redirects;
        (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text);
        facts->final_url = text_fact(text, URL_BYTES_MAX);
    }
    facts->dns_us = time_fact(transfer, transfer->times.dns_us);
    facts->connect_us = time_fact(transfer, transfer->times.connect_us);
    facts->tls_us = time_fact(transfer, transfer->times.tls_us);
    facts->first_byte_us = time_fact(transfer, transfer->times.first_byte_us);
    facts->total_us = time_fact(transfer, transfer->times.total_us);
    add_fields(transfer, facts);
    // Who waited for a connection was with nobody: the broker goes by that.
    if (out_fetched->outcome != FAIL_TIMEOUT || transfer->is_connected)
        facts->remote = remote_fact(transfer);
}
