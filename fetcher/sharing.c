#include "fetcher/sharing.h"

#include "common/clock.h"
#include "common/log.h"
#include "fetcher/apart.h"
#include "fetcher/convoy.h"
#include "fetcher/multi.h"
#include "fetcher/outbox.h"
#include "fetcher/pilot.h"
#include "fetcher/profile.h"
#include "fetcher/receive.h"
#include "fetcher/tls.h"
#include "fetcher/tls_sessions.h"
#include "fetcher/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

// The broker wants to know that the host of the job's URL is there. A
// connection that is open says so, too: it may not know of the last job's.
static int
tell_connected(const struct transfer *transfer)
{
    return transfer->requests == 1
               ? outbox_add_connected(transfer->env->sink->outbox,
                                      transfer->job, transfer->attempt)
               : 0;
}

// Requests that libcurl moves to another connection wait for it, if it may be
// shared. Within libcurl's own line that is: they are few.
static void
tell_pipewait(struct transfer *transfer, bool is_shared)
{
    if (is_shared == transfer->told_pipewait)
        return;
    (void)curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, (long)is_shared);
    transfer->told_pipewait = is_shared;
}

// It has a connection, and so it is known whether the others share it.
static void
arrive(struct transfer *transfer)
{
    const struct transfer_env *env = transfer->env;

    if (transfer->is_multiplexed)
        apart_remove(env->plain, transfer->origin);
    else
        apart_add(env->plain, transfer->origin);
    tell_pipewait(transfer, transfer->is_multiplexed);
    pilot_arrive(env->pilots, &transfer->pilot, transfer->is_multiplexed);
}

// Requests that share a connection leave together, if they come in one turn.
static void
send_with_others(const struct transfer *transfer)
{
    curl_socket_t fd = tls_socket(transfer->easy);
    long connects = 0;

    if (fd == CURL_SOCKET_BAD)
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS,
                                &connects);
    if (connects > 0) { // it was made for this request
        fd = multi_socket_of(&transfer->gate);
        tls_tell_socket(transfer->easy, fd);
    }
    multi_expect_request(transfer->gate.multi, fd);
}

// libcurl is about to send the request, over a new connection or one that is
// open. By HTTP/1.1 it has that to itself: libcurl (7.88) does not see to it
// where another answer of that host spoke of HTTP/2.
static int
on_request(void *arg, char *address, char *local_address, int port,
           int local_port)
{
    struct transfer *transfer = arg;

    (void)address, (void)local_address, (void)port, (void)local_port;
    transfer->error[0] = '\0'; // of a connection that was tried in vain
    transfer->is_connected = true;
    transfer->is_multiplexed = false;
    if (tell_connected(transfer) != 0)
        return CURL_PREREQFUNC_ABORT;
    if (!transfer->is_secure)
        return CURL_PREREQFUNC_OK;
    transfer->is_multiplexed = tls_is_http2(transfer->easy);
    if (transfer->told_version != CURL_HTTP_VERSION_1_1)
        arrive(transfer);
    if (transfer->is_multiplexed)
        send_with_others(transfer);
    transfer->is_crowded = !transfer->is_multiplexed &&
                           !tls_use_begin(transfer->easy, &transfer->use);
    if (transfer->is_crowded)
        return CURL_PREREQFUNC_ABORT;
    if (transfer->told_version == CURL_HTTP_VERSION_1_1)
        return CURL_PREREQFUNC_OK;
    return convoy_join(transfer->env->convoys, &transfer->convoy,
                       transfer->origin) == 0
               ? CURL_PREREQFUNC_OK
               : CURL_PREREQFUNC_ABORT;
}

static struct transfer *
transfer_of_convoy(struct convoy_member *member)
{
    return (struct transfer *)(void *)((char *)member -
                                       offsetof(struct transfer, convoy));
}

bool
sharing_hold(struct convoy_member *member)
{
    // Sending is paused too, though there is nothing to be sent: of a handle
    // that is paused wholly libcurl does not look at the socket once more.
    return curl_easy_pause(transfer_of_convoy(member)->easy, CURLPAUSE_ALL) ==
           CURLE_OK;
}

struct transfer *
sharing_next_held(struct convoys *convoys)
{
    struct convoy_member *member = convoys_next(convoys);

    return member ? transfer_of_convoy(member) : NULL;
}

void
sharing_tell_fresh(struct transfer *transfer, bool is_fresh)
{
    if (is_fresh == transfer->is_fresh)
        return;
    (void)curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT,
                           (long)is_fresh);
    transfer->is_fresh = is_fresh;
}

void
sharing_tell_last(struct transfer *transfer, bool is_last)
{
    if (is_last == transfer->is_last)
        return;
    (void)curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, (long)is_last);
    transfer->is_last = is_last;
}

void
sharing_on_header(struct transfer *transfer, int status)
{
    const struct answer *answer = &transfer->answer;

    if (transfer->is_multiplexed)
        return;
    if (status == 101 || status == 204 || status == 205 || status == 304 ||
        (answer_get(answer, ANSWER_CONTENT_LENGTH).at &&
         answer_get(answer, ANSWER_TRANSFER_ENCODING).at))
        sharing_tell_last(transfer, true);
}

// Plain: HTTP/1.1, which has its connection to itself.
static void
tell_version(struct transfer *transfer, bool is_plain)
{
    const struct profile *profile = transfer->profile;
    long version = is_plain || (profile && profile->http_version == 11)
                       ? CURL_HTTP_VERSION_1_1
                       : CURL_HTTP_VERSION_2TLS;

    if (version != transfer->told_version)
        (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTP_VERSION, version);
    transfer->told_version = version;
}

// What the request may share with others: connections and TLS sessions.
static int
tell_company(struct transfer *transfer)
{
    const struct transfer_env *env = transfer->env;
    const struct profile *profile = transfer->profile;
    bool is_apart = profile && profile->multis;
    struct multi *multi =
        multis_get(is_apart ? profile->multis : env->multis, transfer->origin);

    (void)curl_easy_setopt(
        transfer->easy, CURLOPT_SHARE,
        tls_sessions_share(is_apart ? profile->tls_sessions : env->tls_sessions,
                           transfer->origin));
    if (!multi)
        return -ENOMEM;
    if (multi == transfer->gate.multi)
        return 0;
    return multi_prepare(multi, transfer->easy, &transfer->gate) ? -ENOMEM : 0;
}

int
sharing_tell_origin(struct transfer *transfer, const char *url)
{
    const struct transfer_env *env = transfer->env;

    transfer->is_secure = strncasecmp(url, "https:", 6) == 0;
    transfer->origin = apart_key(url);
    // http:// never shares connections: libcurl would believe a status line
    // that says HTTP/2, and send all that host's requests over connections that
    // others wait for an answer on.
    tell_version(transfer,
                 !transfer->is_secure ||
                     (env->apart && apart_has(env->apart, transfer->origin)));
    return tell_company(transfer);
}

static struct transfer *
transfer_of_pilot(const struct pilot_member *member)
{
    return (struct transfer *)(void *)((uintptr_t)member -
                                       offsetof(struct transfer, pilot));
}

void
sharing_begin(struct transfer *transfer)
{
    const struct transfer_env *env = transfer->env;
    bool may_share = transfer->told_version != CURL_HTTP_VERSION_1_1 &&
                     !transfer->is_fresh &&
                     !apart_has(env->plain, transfer->origin);

    sharing_tell_last(transfer, apart_has(env->untidy, transfer->origin));
    tell_pipewait(transfer, false);
    if (may_share && pilot_join(env->pilots, &transfer->pilot, transfer->origin,
                                transfer->gate.multi))
        transfer->joined_us = clock_now_us();
    else
        multi_add(&transfer->gate);
}

void
sharing_go(struct pilot_member *member, bool is_shared)
{
    struct transfer *transfer = transfer_of_pilot(member);

    transfer->times.lined_us += clock_now_us() - transfer->joined_us;
    transfer_tell_time_left(transfer);
    tell_pipewait(transfer, is_shared);
    multi_add(&transfer->gate);
}

bool
sharing_waits(const struct transfer *transfer)
{
    return transfer->pilot.state == PILOT_WAITS;
}

bool
sharing_waits_for_addresses(const struct transfer *transfer)
{
    return lookup_is_under_way(
        &transfer_of_pilot(pilot_of(&transfer->pilot))->lookup);
}

void
sharing_land(struct transfer *transfer)
{
    pilot_leave(transfer->env->pilots, &transfer->pilot);
}

// What libcurl says of a connection that others have used before.
static bool
is_connections_fault(const struct transfer *transfer, CURLcode code)
{
    long request_bytes = 0;

    switch ((int)code) {
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
        return true;
    case CURLE_UNSUPPORTED_PROTOCOL: // also of schemes, before anything is sent
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE,
                                &request_bytes);
        return request_bytes > 0;
    default:
        return false;
    }
}

bool
sharing_is_unanswered(struct transfer *transfer, CURLcode code)
{
    long connects = 0, header_bytes = 0;

    if (transfer->is_crowded && transfer->is_fresh)
        receive_stop(transfer, FAIL_CUT, "its connection was not its own");
    if (transfer->stopped != FAIL_OK || transfer->is_fresh)
        return false;
    if (transfer->is_crowded)
        return true;
    if (!is_connections_fault(transfer, code))
        return false;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE,
                            &header_bytes);
    if (connects != 0 || header_bytes != 0)
        return false;
    // A server that did so once will do so again, and its surplus might look
    // like an answer then.
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        apart_add(transfer->env->untidy, transfer->origin);
    return true;
}

bool
sharing_ask_alone(struct transfer *transfer)
{
    log_debug("fetch.unanswered", "job=" LOG_JOB " attempt=%" PRIu32,
              LOG_JOB_ARG(transfer->job), transfer->attempt);
    sharing_tell_fresh(transfer, true);
    if (transfer_ask(transfer, NULL) == 0)
        return true;
    receive_stop(transfer, FAIL_INTERNAL, "out of memory");
    return false;
}

void
sharing_leave(struct transfer *transfer)
{
    convoy_leave(transfer->env->convoys, &transfer->convoy);
    tls_use_end(&transfer->use);
}

bool
sharing_ask_apart(struct transfer *transfer)
{
    int err = 0;

    log_debug("fetch.apart", "job=" LOG_JOB " attempt=%" PRIu32,
              LOG_JOB_ARG(transfer->job), transfer->attempt);
    tell_version(transfer, true);
    if (transfer->is_begun) {
        err = receive_restart(transfer);
        transfer->is_begun = false;
        resume_init(&transfer->resume);
        answer_reset(&transfer->whole);
    }
    if (!err)
        err = transfer_ask(transfer, NULL);
    if (err)
        receive_stop(transfer, FAIL_INTERNAL, "out of memory");
    return !err;
}

bool
sharing_end_is_doubtful(struct transfer *transfer)
{
    if (transfer->is_doubtful)
        return true; // it was ended at its first byte
    return transfer->code == CURLE_OK && transfer->stopped == FAIL_OK &&
           transfer->is_begun && !transfer->resume.is_range &&
           !transfer->is_measured && receive_is_doubtful(transfer, UINT64_MAX);
}

CURLcode
sharing_prepare(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    CURLcode code = tls_sessions_prepare(easy);

    code |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    code |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    return code;
}
