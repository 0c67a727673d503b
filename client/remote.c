#include "client/remote.h"

#include "client/arena.h"
#include "client/dial.h"
#include "client/refusal.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/frames.h"
#include "common/limits.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Version of urlsum.proto that this client speaks.
#define API_VERSION 1
// Pause before what the broker could not store is sent again.
#define AGAIN_MS 1000
// Pause before a new socket, so that a peer that hangs up costs no CPU.
#define REOPEN_MS 100
// Trouble that ends sooner is not worth a word: brokers are started again.
#define TROUBLE_MS 2000
// Replies handled in one call, so that other items get their turn.
#define REPLIES_MAX 32

struct request {
    uint64_t id;
    Urlsum__V1__Request__WhatCase what;
    bool is_deferred; // answered by "not now": to be sent again
    unsigned char *bytes;
    size_t len;
    remote_reply_fn *fn;
    void *arg;
};

struct remote {
    void *zmq;
    struct dial dial;
    const struct curve *curve;
    char endpoint[ENDPOINT_MAX];
    int64_t connect_wait_ms, broker_wait_ms;
    int interrupt_fd;
    void (*on_trouble)(void *arg, const char *why);
    void *trouble_arg;
    bool has_told; // of trouble that is not over

    bool is_connected;
    bool was_answered;   // a broker spoke to us at least once
    uint64_t lost_ms;    // since when there is no connection; 0: there is
    uint64_t reopen_ms;  // when to make the next socket; 0: not
    uint64_t again_ms;   // when to send deferred requests; 0: none
    uint64_t refused_ms; // since when the broker stores nothing; 0: it does

    uint64_t next_id;
    struct request requests[REMOTE_REQUESTS_MAX]; // in order of id
    size_t requests_len;

    struct arena arena;
    bool is_lent; // its last reply is remote_call()'s: it must not be reset
    int err;      // what failed for good, also within a callback; 0: nothing
    char why[1024];
};

static int fail(struct remote *remote, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
fail(struct remote *remote, int err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(remote->why, sizeof(remote->why), fmt, args);
    va_end(args);
    remote->err = err;
    return err;
}

// --- Trouble ---

static void
tell_trouble(struct remote *remote, const char *why)
{
    if (remote->has_told || !remote->on_trouble)
        return;
    remote->has_told = true;
    remote->on_trouble(remote->trouble_arg, why);
}

static void
tell_over(struct remote *remote)
{
    if (!remote->has_told || remote->refused_ms || remote->lost_ms)
        return;
    remote->has_told = false;
    remote->on_trouble(remote->trouble_arg, NULL);
}

// --- The socket ---

static void
close_socket(struct remote *remote)
{
    dial_close(&remote->dial);
    remote->is_connected = false;
}

static int
open_socket(struct remote *remote)
{
    int err =
        dial_open(&remote->dial, remote->zmq, remote->endpoint, remote->curve);

    if (err)
        return err;
    if (!remote->dial.monitor)
        remote->is_connected = true;
    return 0;
}

static void
send_packed(struct remote *remote, struct request *request)
{
    request->is_deferred = false;
    // At most 16 messages wait, far below ZeroMQ's mark: what fails here is a
    // broken connection, after which everything is sent again.
    (void)zmq_send(remote->dial.socket, request->bytes, request->len,
                   ZMQ_DONTWAIT);
}

static void
on_connected(struct remote *remote)
{
    remote->is_connected = true;
    if (remote->was_answered)
        remote->lost_ms = 0;
    for (size_t i = 0; i < remote->requests_len; i++)
        send_packed(remote, &remote->requests[i]);
    remote->again_ms = 0;
}

static void
on_disconnected(struct remote *remote, uint64_t now_ms)
{
    if (!remote->is_connected)
        return; // an attempt that failed; ZeroMQ goes on trying
    // A new socket, for the old one may still hold requests that would then
    // be sent twice.
    close_socket(remote);
    remote->reopen_ms = now_ms + REOPEN_MS;
    if (!remote->lost_ms)
        remote->lost_ms = now_ms;
}

// Handles one event of the connection. Returns false when there is none.
static bool
take_event(struct remote *remote, uint64_t now_ms)
{
    switch (dial_take_event(&remote->dial)) {
    case DIAL_NOTHING:
        return false;
    case DIAL_CONNECTED:
        on_connected(remote);
        break;
    case DIAL_DISCONNECTED:
        on_disconnected(remote, now_ms);
        break;
    case DIAL_OTHER:
        break;
    }
    return true;
}

// --- Life ---

int
remote_new(void *zmq, const struct remote_config *config,
           struct remote **out_remote)
{
    struct remote *remote = calloc(1, sizeof(*remote));
    int err;

    if (!remote)
        return -ENOMEM;
    arena_init(&remote->arena);
    err = endpoint_resolve(config->broker, PORT_CLIENT, remote->endpoint);
    if (err)
        goto out;
    remote->zmq = zmq;
    remote->curve = config->curve;
    remote->connect_wait_ms = config->connect_wait_ms;
    remote->broker_wait_ms = config->broker_wait_ms;
    remote->interrupt_fd = config->interrupt_fd;
    remote->on_trouble = config->on_trouble;
    remote->trouble_arg = config->arg;
    remote->next_id = 1;
    (void)snprintf(remote->why, sizeof(remote->why),
                   "the broker answered something else than was asked");
    remote->lost_ms = clock_now_ms();
    err = open_socket(remote);
    if (err)
        goto out;
    *out_remote = remote;
    remote = NULL; // the caller's now
out:
    remote_free(&remote);
    return err;
}

void
remote_free(struct remote **remote)
{
    if (!*remote)
        return;
    close_socket(*remote);
    for (size_t i = 0; i < (*remote)->requests_len; i++)
        free((*remote)->requests[i].bytes);
    arena_fini(&(*remote)->arena);
    free(*remote);
    *remote = NULL;
}

const char *
remote_error(const struct remote *remote)
{
    return remote->why;
}

int
remote_send(struct remote *remote, Urlsum__V1__Request *request,
            remote_reply_fn *fn, void *arg)
{
    struct request *kept = &remote->requests[remote->requests_len];

    assert(remote->requests_len < REMOTE_REQUESTS_MAX);
    request->id = remote->next_id;
    request->version = API_VERSION;
    *kept =
        (struct request){.id = request->id,
                         .what = request->what_case,
                         .len = urlsum__v1__request__get_packed_size(request),
                         .fn = fn,
                         .arg = arg};
    kept->bytes = malloc(kept->len);
    if (!kept->bytes)
        return fail(remote, -ENOMEM, "out of memory");
    (void)urlsum__v1__request__pack(request, kept->bytes);
    remote->next_id++;
    remote->requests_len++;
    if (remote->is_connected)
        send_packed(remote, kept);
    return 0;
}

// --- Replies ---

// Whether a submission that goes before is still to be answered. It was refused
// at least once, or it would have been answered first: refused, and perhaps
// sent again while the broker's word on this one was on its way.
static bool
has_submission_before(const struct remote *remote,
                      const struct request *request)
{
    for (size_t i = 0; i < remote->requests_len; i++) {
        if (remote->requests[i].what == URLSUM__V1__REQUEST__WHAT_SUBMIT &&
            remote->requests[i].id < request->id)
            return true;
    }
    return false;
}

// True when the broker's answer means "not now", and we go on asking.
static bool
defer(struct remote *remote, struct request *request,
      const Urlsum__V1__Error *error, uint64_t now_ms)
{
    bool is_gap = error->code == URLSUM__V1__ERROR__CODE__CONFLICT &&
                  request->what == URLSUM__V1__REQUEST__WHAT_SUBMIT &&
                  has_submission_before(remote, request);

    if (error->code != URLSUM__V1__ERROR__CODE__UNAVAILABLE && !is_gap)
        return false;
    if (!remote->refused_ms)
        remote->refused_ms = now_ms;
    if (now_ms - remote->refused_ms >= (uint64_t)remote->broker_wait_ms)
        return false;
    if (!is_gap && now_ms - remote->refused_ms >= TROUBLE_MS)
        tell_trouble(remote, remote_error_text(remote, error));
    request->is_deferred = true;
    remote->again_ms = now_ms + AGAIN_MS;
    return true;
}

static void
send_deferred(struct remote *remote)
{
    remote->again_ms = 0;
    for (size_t i = 0; i < remote->requests_len; i++) {
        if (remote->requests[i].is_deferred && remote->is_connected)
            send_packed(remote, &remote->requests[i]);
    }
}

static struct request *
find_request(struct remote *remote, uint64_t id)
{
    for (size_t i = 0; i < remote->requests_len; i++) {
        if (remote->requests[i].id == id)
            return &remote->requests[i];
    }
    return NULL;
}

static struct request
take_request(struct remote *remote, struct request *request)
{
    struct request taken = *request;
    size_t at = (size_t)(request - remote->requests);

    memmove(request, request + 1,
            (remote->requests_len - at - 1) * sizeof(*request));
    remote->requests_len--;
    return taken;
}

static bool
has_deferred_beside(const struct remote *remote, const struct request *request)
{
    for (size_t i = 0; i < remote->requests_len; i++) {
        if (&remote->requests[i] != request && remote->requests[i].is_deferred)
            return true;
    }
    return false;
}

static int
handle_reply(struct remote *remote, const Urlsum__V1__Reply *reply,
             uint64_t now_ms)
{
    struct request *request = find_request(remote, reply->id);
    struct request taken;

    // What is wrong before an id could be read is answered with id 0.
    if (!request && reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR &&
        reply->id == 0) {
        (void)remote_error_text(remote,
                                reply->error); // which is remote_error() now
        remote->err = -EPROTO;
        return -EPROTO;
    }
    remote->was_answered = true;
    remote->lost_ms = 0;
    if (!request)
        return 0; // an answer of before a reconnection
    if (reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR) {
        if (defer(remote, request, reply->error, now_ms))
            return 0;
    } else if (request->what == URLSUM__V1__REQUEST__WHAT_SUBMIT ||
               request->what == URLSUM__V1__REQUEST__WHAT_CREATE ||
               !has_deferred_beside(remote, request)) {
        remote->refused_ms = 0;
    }
    tell_over(remote);
    taken = take_request(remote, request);
    free(taken.bytes);
    taken.fn(taken.arg, reply);
    return 0;
}

// Takes one reply. Returns 1, 0 when there is none, or an error.
static int
take_reply(struct remote *remote, uint64_t now_ms)
{
    Urlsum__V1__Reply *reply = NULL;
    struct frames frames;
    int err;

    if (!remote->dial.socket)
        return 0;
    err = frames_recv(remote->dial.socket, &frames);
    if (err && err != -EMSGSIZE)
        return 0;
    arena_reset(&remote->arena);
    if (frames.len == 1)
        reply = urlsum__v1__reply__unpack(&remote->arena.allocator,
                                          zmq_msg_size(&frames.parts[0]),
                                          zmq_msg_data(&frames.parts[0]));
    frames_close(&frames);
    if (!reply || reply->what_case == URLSUM__V1__REPLY__WHAT__NOT_SET)
        return fail(remote, -EPROTO,
                    "%s does not answer as a broker's client endpoint does",
                    remote->endpoint);
    err = handle_reply(remote, reply, now_ms);
    return err ? err : 1;
}

// --- Waiting ---

// When to tell that the broker went away; 0: there is no such time.
static uint64_t
tell_lost_at(const struct remote *remote)
{
    if (!remote->lost_ms || !remote->was_answered || remote->has_told ||
        !remote->requests_len)
        return 0;
    return remote->lost_ms + TROUBLE_MS;
}

// When the broker is to be given up; UINT64_MAX: there is no such time.
static uint64_t
give_up_at(const struct remote *remote)
{
    int64_t patience = remote->connect_wait_ms;

    if (!remote->lost_ms || (!remote->requests_len && remote->was_answered))
        return UINT64_MAX;
    // A broker that accepts connections may be busy recovering its store.
    if (remote->was_answered || remote->is_connected)
        patience = remote->broker_wait_ms;
    return remote->lost_ms + (uint64_t)patience;
}

static int
give_up(struct remote *remote)
{
    if (remote->dial.failure != CURVE_FINE &&
        remote->dial.failure != CURVE_BROKEN)
        return fail(remote, -EHOSTUNREACH, "the broker at %s %s",
                    remote->endpoint, curve_failure_text(remote->dial.failure));
    if (remote->is_connected)
        return fail(remote, -EHOSTUNREACH,
                    "the broker at %s accepts connections but does not answer",
                    remote->endpoint);
    if (remote->was_answered)
        return fail(remote, -EHOSTUNREACH,
                    "the broker at %s went away and did not come back for "
                    "%" PRId64 " s",
                    remote->endpoint, remote->broker_wait_ms / 1000);
    return fail(remote, -EHOSTUNREACH,
                "no broker answers at %s; --broker wants the endpoint of a "
                "running urlsum-broker: tcp://HOST, tcp://HOST:PORT or "
                "ipc://PATH",
                remote->endpoint);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static int
run_timers(struct remote *remote, uint64_t now_ms)
{
    int err;

    if (remote->reopen_ms && now_ms >= remote->reopen_ms) {
        remote->reopen_ms = 0;
        err = open_socket(remote);
        if (err)
            return fail(remote, err, "%s: %s", remote->endpoint,
                        zmq_strerror(-err));
    }
    if (remote->again_ms && now_ms >= remote->again_ms)
        send_deferred(remote);
    if (tell_lost_at(remote) && now_ms >= tell_lost_at(remote)) {
        char why[ENDPOINT_MAX + 40];

        (void)snprintf(why, sizeof(why), "the broker at %s is away",
                       remote->endpoint);
        tell_trouble(remote, why);
    }
    if (now_ms >= give_up_at(remote) || curve_is_final(remote->dial.failure))
        return give_up(remote);
    return 0;
}

static int
take_input(struct remote *remote)
{
    uint64_t now_ms = clock_now_ms();
    int got = 1;

    while (take_event(remote, now_ms))
        continue;
    for (int i = 0; i < REPLIES_MAX && got == 1 && !remote->is_lent; i++) {
        got = take_reply(remote, now_ms);
        if (got == 1 && remote->err)
            return remote->err; // a callback could not send
    }
    return got < 0 ? got : run_timers(remote, clock_now_ms());
}

int
remote_wait(struct remote *remote, zmq_pollitem_t *others, size_t len,
            int64_t timeout_ms)
{
    zmq_pollitem_t items[8];
    uint64_t now_ms = clock_now_ms();
    uint64_t until = now_ms + (uint64_t)timeout_ms;
    size_t own = 0;
    int err;

    remote->is_lent = false;
    err = run_timers(remote, now_ms);
    if (err)
        return err;
    until = earlier(until, remote->reopen_ms);
    until = earlier(until, remote->again_ms);
    until = earlier(until, give_up_at(remote));
    until = earlier(until, tell_lost_at(remote));
    if (remote->dial.socket)
        items[own++] = (zmq_pollitem_t){remote->dial.socket, -1, ZMQ_POLLIN, 0};
    if (remote->dial.monitor)
        items[own++] =
            (zmq_pollitem_t){remote->dial.monitor, -1, ZMQ_POLLIN, 0};
    assert(own + len <= sizeof(items) / sizeof(*items));
    for (size_t i = 0; i < len; i++) {
        others[i].revents = 0;
        items[own + i] = others[i];
    }
    if (zmq_poll(items, (int)(own + len),
                 until > now_ms ? (long)(until - now_ms) : 0) < 0) {
        if (errno == EINTR)
            return 0;
        return fail(remote, -errno, "zmq_poll: %s", zmq_strerror(errno));
    }
    for (size_t i = 0; i < len; i++)
        others[i].revents = items[own + i].revents;
    return take_input(remote);
}

bool
remote_has_input(struct remote *remote)
{
    return dial_has_input(&remote->dial);
}

// --- One request, one reply ---

struct call {
    struct remote *remote;
    const Urlsum__V1__Reply *reply;
};

static void
on_call_reply(void *arg, const Urlsum__V1__Reply *reply)
{
    struct call *call = arg;

    call->reply = reply; // lives in the arena until the next one comes
    call->remote->is_lent = true;
}

int
remote_call(struct remote *remote, Urlsum__V1__Request *request,
            const Urlsum__V1__Reply **out_reply)
{
    struct call call = {remote, NULL};
    zmq_pollitem_t interrupt = {NULL, remote->interrupt_fd, ZMQ_POLLIN, 0};
    int err;

    err = remote_send(remote, request, on_call_reply, &call);
    while (!err && !call.reply) {
        err = remote_wait(remote, &interrupt, interrupt.fd >= 0, 60000);
        if (!err && interrupt.revents)
            return -EINTR;
    }
    if (err)
        return err;
    if (call.reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR) {
        const Urlsum__V1__Error *error = call.reply->error;

        (void)remote_error_text(remote, error); // which is remote_error() now
        return refusal_errno(error);
    }
    *out_reply = call.reply;
    return 0;
}

const char *
remote_error_text(struct remote *remote, const Urlsum__V1__Error *error)
{
    refusal_text(error, remote->why, sizeof(remote->why));
    return remote->why;
}
