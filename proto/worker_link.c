#include "proto/worker_link.h"

#include "common/clock.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// First and longest pause between two HELLOs that get no answer. Jitter of half
// the pause keeps a fleet from greeting a restarted broker in step.
#define HELLO_PAUSE_MS 100
#define HELLO_PAUSE_MAX_MS 5000
// First pause after a HELLO that went out. A busy broker may well need more
// than the above; were there a second HELLO on its way, it would end the
// session that the first one began, with what that has in hand.
#define HELLO_ANSWER_MS 1000
// How often silence is looked at; the TTL itself is a multiple of it.
#define WATCH_MS 500
// A BYE is worth this much waiting at the end, no more.
#define LINGER_MS 500

enum link_state { LINK_GREETING, LINK_LIVE, LINK_LEFT };

struct worker_link {
    struct loop *loop;
    void *socket;
    struct loop_socket *watch;
    void *monitor; // PAIR of libzmq's connection events
    struct loop_socket *monitor_watch;
    struct loop_timer *hello_timer;
    struct loop_timer *watch_timer;
    struct wire_decoder *decoder;
    struct wire_buf *buf;       // the owner's messages
    struct wire_buf *small_buf; // PONG, HELLO, BYE
    struct worker_link_owner owner;
    char endpoint[300];
    char name[WIRE_NAME_MAX + 1];
    enum wire_role role;
    uint64_t capacity;
    const char *const *algorithms;
    enum link_state state;
    uint64_t session;
    uint64_t ttl_ms;
    uint64_t heard_ms;
    uint64_t pause_ms;
    unsigned seed; // of the jitter
};

static int
send_small(struct worker_link *link)
{
    if (wire_buf_error(link->small_buf))
        return wire_buf_error(link->small_buf);
    return frames_send_copy(link->socket, wire_buf_data(link->small_buf),
                            wire_buf_len(link->small_buf), false);
}

static void
say_hello(void *arg)
{
    struct worker_link *link = arg;
    struct wire_hello hello = {
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .role = link->role,
        .name = {link->name, strlen(link->name)},
        .capacity = link->capacity,
    };
    uint64_t jitter;

    if (link->state != LINK_GREETING)
        return;
    for (size_t i = 0; link->algorithms && link->algorithms[i] &&
                       i < WIRE_HELLO_ALGORITHMS_MAX;
         i++) {
        hello.algorithms[i].at = link->algorithms[i];
        hello.algorithms[i].len = strlen(link->algorithms[i]);
        hello.algorithms_len = i + 1;
    }
    wire_put_hello(link->small_buf, &hello);
    // Without a connection there is nobody to greet; the timer comes again.
    if (send_small(link) == 0 && link->pause_ms < HELLO_ANSWER_MS)
        link->pause_ms = HELLO_ANSWER_MS;
    jitter = (uint64_t)rand_r(&link->seed) % (link->pause_ms / 2 + 1);
    loop_timer_start(link->hello_timer, link->pause_ms + jitter, 0);
    link->pause_ms *= 2;
    if (link->pause_ms > HELLO_PAUSE_MAX_MS)
        link->pause_ms = HELLO_PAUSE_MAX_MS;
}

// Falls back to GREETING; the owner drops its jobs. pause_ms: before the next
// HELLO.
static void
lose_session(struct worker_link *link, const char *why, uint64_t pause_ms)
{
    bool was_live = link->state == LINK_LIVE;

    if (link->state == LINK_LEFT)
        return;
    link->state = LINK_GREETING;
    link->pause_ms = HELLO_PAUSE_MS;
    loop_timer_start(link->hello_timer, pause_ms, 0);
    if (!was_live)
        return;
    log_warn("link.lost", "worker=%s session=%" PRIu64 " why=\"%s\"",
             link->name, link->session, why);
    link->owner.on_lost(link->owner.arg);
}

// A connection that may be dead in one direction only is given up, so that
// nothing old can still arrive on it.
static void
reconnect(struct worker_link *link)
{
    (void)zmq_disconnect(link->socket, link->endpoint); // may be gone already
    if (zmq_connect(link->socket, link->endpoint) != 0)
        log_error("link.connect", "worker=%s endpoint=%s error=\"%s\"",
                  link->name, link->endpoint, zmq_strerror(zmq_errno()));
}

static void
look_for_silence(void *arg)
{
    struct worker_link *link = arg;
    uint64_t now_ms = clock_now_ms();

    if (link->state != LINK_LIVE || now_ms - link->heard_ms <= link->ttl_ms)
        return;
    lose_session(link, "the broker is silent", HELLO_PAUSE_MS);
    reconnect(link);
}

static void
on_welcome(struct worker_link *link, const struct wire_welcome *welcome)
{
    if (link->state == LINK_LIVE) {
        // An answer to a HELLO that crossed the first WELCOME: the broker has
        // begun anew, so must we.
        link->owner.on_lost(link->owner.arg);
    }
    link->state = LINK_LIVE;
    link->session = welcome->session;
    link->ttl_ms = welcome->ttl_ms;
    link->pause_ms = HELLO_PAUSE_MS;
    loop_timer_stop(link->hello_timer);
    log_info("link.live", "worker=%s session=%" PRIu64 " window=%" PRIu64,
             link->name, link->session, welcome->window);
    link->owner.on_welcome(link->owner.arg, welcome);
}

static void
on_error(struct worker_link *link, const struct wire_message *message)
{
    char text[128];

    (void)log_escape(message->error.text.at, message->error.text.len, text,
                     sizeof(text));
    switch (message->error.code) {
    case WIRE_ERROR_NO_SESSION:
        // Normal after the broker's restart.
        lose_session(link, "the broker does not know us", 0);
        return;
    case WIRE_ERROR_BAD_FRAME:
    case WIRE_ERROR_VERSION:
    case WIRE_ERROR_REFUSED:
        log_error("link.refused", "worker=%s code=%d text=%s", link->name,
                  (int)message->error.code, text);
        lose_session(link, "refused", HELLO_PAUSE_MAX_MS);
        return;
    }
}

static void
dispatch(struct worker_link *link, const struct wire_message *message,
         zmq_msg_t *body)
{
    switch (message->kind) {
    case WIRE_WELCOME:
        if (link->state != LINK_LEFT)
            on_welcome(link, &message->welcome);
        return;
    case WIRE_PING:
        if (link->state != LINK_LIVE)
            return;
        link->ttl_ms = message->ping_ttl_ms;
        wire_put_pong(link->small_buf, link->owner.load(link->owner.arg));
        (void)send_small(link); // a missed PONG is what the TTL is for
        return;
    case WIRE_JOBS:
    case WIRE_CREDIT:
    case WIRE_ABORT:
    case WIRE_HASH:
        // Before WELCOME these are left-overs of an older session.
        if (link->state == LINK_LIVE)
            link->owner.on_message(link->owner.arg, message, body);
        return;
    case WIRE_BYE:
        lose_session(link, "the broker says BYE", HELLO_PAUSE_MAX_MS / 5);
        return;
    case WIRE_ERROR:
        on_error(link, message);
        return;
    case WIRE_HELLO:
    case WIRE_PONG:
    case WIRE_BODY:
    case WIRE_FETCHED:
    case WIRE_DIGESTS:
    case WIRE_KIND_COUNT:
        log_warn("link.bad_frame", "worker=%s kind=%s why=\"not for a worker\"",
                 link->name, wire_kind_name(message->kind));
        return;
    }
}

static bool
on_frames(void *arg)
{
    struct worker_link *link = arg;
    struct frames frames;
    struct wire_message message;
    zmq_msg_t *body = NULL;
    int err = frames_recv(link->socket, &frames);

    if (err == -EAGAIN)
        return false;
    if (!err && frames.len >= 1 && frames.len <= 2)
        err = wire_decode(link->decoder, zmq_msg_data(&frames.parts[0]),
                          zmq_msg_size(&frames.parts[0]), &message);
    else
        err = -EPROTO;
    if (!err && frames.len == 2)
        body = &frames.parts[1];
    if (!err && (message.kind == WIRE_HASH) != (body != NULL))
        err = -EPROTO;
    if (!err && body && zmq_msg_size(body) != message.body.bytes)
        err = -EPROTO;
    if (err) {
        log_error("link.bad_frame", "worker=%s why=\"%s\"", link->name,
                  wire_decoder_error(link->decoder));
        lose_session(link, "the broker sent a bad frame", HELLO_PAUSE_MAX_MS);
        reconnect(link);
    } else {
        link->heard_ms = clock_now_ms();
        dispatch(link, &message, body);
    }
    frames_close(&frames);
    return true;
}

// Two frames: event number (16 bits) and value, then the endpoint.
static bool
on_monitor(void *arg)
{
    struct worker_link *link = arg;
    struct frames frames;
    uint16_t event = 0;

    if (frames_recv(link->monitor, &frames) != 0)
        return false;
    if (zmq_msg_size(&frames.parts[0]) >= sizeof(event))
        memcpy(&event, zmq_msg_data(&frames.parts[0]), sizeof(event));
    frames_close(&frames);
    if (event == ZMQ_EVENT_DISCONNECTED) {
        lose_session(link, "the connection broke", HELLO_PAUSE_MS);
    } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        link->pause_ms = HELLO_PAUSE_MS;
        say_hello(link);
    }
    return true;
}

static int
set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) ? -zmq_errno()
                                                                 : 0;
}

static int
open_sockets(struct worker_link *link, void *zmq, int recv_messages_max)
{
    char monitor[64];
    int err;

    link->socket = zmq_socket(zmq, ZMQ_DEALER);
    link->monitor = zmq_socket(zmq, ZMQ_PAIR);
    if (!link->socket || !link->monitor)
        return -zmq_errno();
    if ((err = set_int(link->socket, ZMQ_LINGER, LINGER_MS)) ||
        (err = set_int(link->socket, ZMQ_RCVHWM, recv_messages_max)) ||
        // What may be sent is bounded by credit and jobs, not here.
        (err = set_int(link->socket, ZMQ_SNDHWM, 0)) ||
        // Nothing is queued for a connection that is not there.
        (err = set_int(link->socket, ZMQ_IMMEDIATE, 1)) ||
        (err = set_int(link->socket, ZMQ_RECONNECT_IVL, 100)) ||
        (err = set_int(link->socket, ZMQ_RECONNECT_IVL_MAX, 5000)))
        return err;
    (void)snprintf(monitor, sizeof(monitor), "inproc://link-monitor-%p",
                   (void *)link);
    if (zmq_socket_monitor(link->socket, monitor,
                           ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0 ||
        zmq_connect(link->monitor, monitor) != 0 ||
        zmq_connect(link->socket, link->endpoint) != 0)
        return -zmq_errno();
    return 0;
}

int
worker_link_new(struct loop *loop, void *zmq,
                const struct worker_link_config *config,
                const struct worker_link_owner *owner,
                struct worker_link **out_link)
{
    struct worker_link *link = calloc(1, sizeof(*link));
    int err;

    if (!link)
        return -ENOMEM;
    link->loop = loop;
    link->owner = *owner;
    link->role = config->role;
    link->capacity = config->capacity;
    link->algorithms = config->algorithms;
    link->pause_ms = HELLO_PAUSE_MS;
    link->seed = (unsigned)clock_now_us();
    (void)snprintf(link->name, sizeof(link->name), "%s", config->name);
    (void)snprintf(link->endpoint, sizeof(link->endpoint), "%s",
                   config->endpoint);
    if ((err = wire_decoder_new(&link->decoder)) ||
        (err = wire_buf_new(&link->buf)) ||
        (err = wire_buf_new(&link->small_buf)) ||
        (err = open_sockets(link, zmq, config->recv_messages_max)) ||
        (err = loop_add_socket(loop, link->socket, on_frames, link,
                               &link->watch)) ||
        (err = loop_add_socket(loop, link->monitor, on_monitor, link,
                               &link->monitor_watch)) ||
        (err = loop_timer_new(loop, say_hello, link, &link->hello_timer)) ||
        (err =
             loop_timer_new(loop, look_for_silence, link, &link->watch_timer)))
        goto out;
    loop_timer_start(link->hello_timer, 0, 0);
    loop_timer_start(link->watch_timer, WATCH_MS, WATCH_MS);
    *out_link = link;
    link = NULL; // the caller's now
out:
    worker_link_free(&link);
    return err;
}

void
worker_link_free(struct worker_link **link)
{
    struct worker_link *it = *link;

    if (!it)
        return;
    loop_timer_free(&it->hello_timer);
    loop_timer_free(&it->watch_timer);
    loop_remove_socket(&it->watch);
    loop_remove_socket(&it->monitor_watch);
    if (it->socket) {
        (void)zmq_socket_monitor(it->socket, NULL, 0);
        (void)zmq_close(it->socket);
    }
    if (it->monitor)
        (void)zmq_close(it->monitor);
    wire_buf_free(&it->buf);
    wire_buf_free(&it->small_buf);
    wire_decoder_free(&it->decoder);
    free(it);
    *link = NULL;
}

bool
worker_link_is_live(const struct worker_link *link)
{
    return link->state == LINK_LIVE;
}

int
worker_link_send(struct worker_link *link, const struct wire_buf *buf,
                 zmq_msg_t *body)
{
    int err = wire_buf_error(buf);

    if (err)
        return err;
    if (link->state != LINK_LIVE)
        return -ENOTCONN;
    err = frames_send_copy(link->socket, wire_buf_data(buf), wire_buf_len(buf),
                           body != NULL);
    if (!err && body)
        err = frames_send_take(link->socket, body, false);
    // EAGAIN: the connection just broke; the monitor will say so in a moment.
    return err == -EAGAIN ? -ENOTCONN : err;
}

struct wire_buf *
worker_link_buf(struct worker_link *link)
{
    return link->buf;
}

void
worker_link_bye(struct worker_link *link, bool is_final)
{
    // Also while GREETING: the broker's WELCOME may be on its way.
    if (link->state != LINK_LEFT) {
        wire_put_bye(link->small_buf, is_final);
        (void)send_small(link); // the TTL says the same, later
    }
    if (is_final)
        link->state = LINK_LEFT;
}
