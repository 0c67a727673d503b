#include "proto/worker_link.h"

#include "common/clock.h"
#include "common/curve.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/monitor.h"
#include "proto/link_socket.h"
#include "proto/link_stats.h"
#include "proto/link_trouble.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// First and longest pause before another connection is tried, or another HELLO
// is said. Jitter of half the pause keeps a fleet from greeting a restarted
// broker in step.
#define PAUSE_MS 100
#define PAUSE_MAX_MS 5000
// First pause after a HELLO that went out: a busy broker may well need more
// than the above.
#define HELLO_ANSWER_MS 1000
// After a BYE of the broker: it needs its time to start again.
#define BYE_PAUSE_MS 1000
// How often silence is looked at; the TTL itself is a multiple of it.
#define WATCH_MS 500

enum link_state {
    LINK_DOWN,     // the connection is of no use; hello_timer makes another
    LINK_GREETING, // HELLO of this epoch is said until WELCOME comes
    LINK_LIVE,
    LINK_LEFT,
};

struct worker_link {
    struct loop *loop;
    struct link_socket dial;
    struct loop_socket *watch, *monitor_watch;
    struct loop_timer *hello_timer;
    struct loop_timer *watch_timer;
    struct wire_decoder *decoder;
    struct wire_buf *buf;       // the owner's messages
    struct wire_buf *small_buf; // PONG, HELLO, BYE
    struct worker_link_owner owner;
    char endpoint[300];
    char name[WIRE_NAME_MAX + 1];
    char label[WIRE_NAME_MAX * 4 + 3]; // the name as it may stand in the log
    enum wire_role role;
    uint64_t capacity;
    const char *const *algorithms;
    const struct curve *curve;
    struct link_trouble trouble;
    void *zmq;
    int recv_messages_max;
    enum link_state state;
    bool is_draining; // BYE 0 was said
    bool is_greeted;  // the last HELLO of this connection went out
    uint64_t instance;
    uint64_t epoch;
    uint64_t session;
    uint64_t ttl_ms;
    uint64_t heard_ms;
    uint64_t looked_ms; // for silence
    bool is_behind;     // that look found it away
    uint64_t listed_ms; // when the last PONG with a list was sent
    uint64_t dial_ms;   // next pause before a connection
    uint64_t hello_ms;  // next pause before a HELLO
    unsigned dials;     // numbers the monitors' endpoints
    unsigned seed;      // of the jitter
    struct link_stats *stats;
    struct link_stats own_stats; // when the owner has none
};

static void
set_state(struct worker_link *link, enum link_state state)
{
    link->state = state;
    metrics_set(&link->stats->live, state == LINK_LIVE);
}

static int
send_small(struct worker_link *link)
{
    if (wire_buf_error(link->small_buf))
        return wire_buf_error(link->small_buf);
    return frames_send_copy(link->dial.socket, wire_buf_data(link->small_buf),
                            wire_buf_len(link->small_buf), false);
}

static void
start_pause(struct worker_link *link, uint64_t pause_ms)
{
    uint64_t jitter = (uint64_t)rand_r(&link->seed) % (pause_ms / 2 + 1);

    loop_timer_start(link->hello_timer, pause_ms + jitter, 0);
}

// The pause now; the next one will be twice as long.
static uint64_t
take_pause(uint64_t *pause_ms)
{
    uint64_t now_ms = *pause_ms;

    *pause_ms = now_ms * 2 < PAUSE_MAX_MS ? now_ms * 2 : PAUSE_MAX_MS;
    return now_ms;
}

// The connection is given up, and another made after a pause.
static void
hang_up(struct worker_link *link)
{
    set_state(link, LINK_DOWN);
    start_pause(link, take_pause(&link->dial_ms));
}

static void
say_hello(struct worker_link *link)
{
    struct wire_hello hello = {
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .role = link->role,
        .name = {link->name, strlen(link->name)},
        .capacity = link->capacity,
        .instance = link->instance,
        .epoch = link->epoch,
    };

    for (size_t i = 0; link->algorithms && link->algorithms[i] &&
                       i < WIRE_HELLO_ALGORITHMS_MAX;
         i++) {
        hello.algorithms[i].at = link->algorithms[i];
        hello.algorithms[i].len = strlen(link->algorithms[i]);
        hello.algorithms_len = i + 1;
    }
    wire_put_hello(link->small_buf, &hello);
    link->is_greeted = send_small(link) == 0;
    if (link->is_greeted)
        start_pause(link, take_pause(&link->hello_ms));
    else // no connection yet; on_monitor() greets when there is one
        loop_timer_start(link->hello_timer, LINK_DIAL_MS, 0);
}

// The owner drops its jobs. What was said in the lost session, by either side,
// is of an older epoch from now on.
static void
end_session(struct worker_link *link, const char *why)
{
    bool was_live = link->state == LINK_LIVE;

    set_state(link, LINK_GREETING);
    link->epoch++;
    link->hello_ms = HELLO_ANSWER_MS;
    if (!was_live)
        return;
    metrics_add(&link->stats->losses, 1);
    log_warn("link.lost", "worker=%s session=%" PRIu64 " why=\"%s\"",
             link->label, link->session, why);
    link->owner.on_lost(link->owner.arg);
}

// Goes on with a new session on the same connection.
static void
begin_anew(struct worker_link *link, const char *why, uint64_t pause_ms)
{
    if (link->state == LINK_LEFT || link->state == LINK_DOWN)
        return;
    end_session(link, why);
    if (link->state == LINK_GREETING) // the owner may have left
        loop_timer_start(link->hello_timer, pause_ms, 0);
}

// Goes on with a new session on a new connection.
static void
lose_connection(struct worker_link *link, const char *why)
{
    if (link->state == LINK_LEFT || link->state == LINK_DOWN)
        return;
    end_session(link, why);
    if (link->state == LINK_GREETING)
        hang_up(link);
}

static void
look_for_silence(void *arg)
{
    struct worker_link *link = arg;
    uint64_t now_ms = clock_now_ms();
    bool was_away = now_ms - link->looked_ms > UINT64_C(2) * WATCH_MS;

    link->looked_ms = now_ms;
    if (link->state != LINK_LIVE && link->state != LINK_LEFT)
        link_trouble_on_silence(&link->trouble, now_ms - link->heard_ms);
    // Where this program itself was away (stopped, or busy) what the broker has
    // said meanwhile is still to be read; that has happened by the next look.
    link->is_behind = was_away && !link->is_behind;
    if (link->is_behind)
        return;
    if (link->state == LINK_LIVE && now_ms - link->heard_ms > link->ttl_ms)
        lose_connection(link, "the broker is silent");
}

static void
on_welcome(struct worker_link *link, const struct wire_welcome *welcome)
{
    // Of an older HELLO; or the answer to one that was said again.
    if (welcome->epoch != link->epoch ||
        (link->state == LINK_LIVE && welcome->session == link->session))
        return;
    // The broker forgot the session that the first HELLO of this epoch began,
    // and began another with the second.
    if (link->state == LINK_LIVE)
        link->owner.on_lost(link->owner.arg);
    if (link->state == LINK_LEFT)
        return;
    set_state(link, LINK_LIVE);
    metrics_add(&link->stats->sessions, 1);
    link->session = welcome->session;
    link->ttl_ms = welcome->ttl_ms;
    link->listed_ms = clock_now_ms();
    link->dial_ms = PAUSE_MS;
    loop_timer_stop(link->hello_timer);
    log_info("link.live",
             "worker=%s session=%" PRIu64 " epoch=%" PRIu64 " window=%" PRIu64,
             link->label, link->session, link->epoch, welcome->window);
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
        // It is about what was said before HELLO, if there was one since.
        if (link->state == LINK_LIVE)
            begin_anew(link, "the broker does not know us", 0);
        return;
    case WIRE_ERROR_BAD_FRAME:
    case WIRE_ERROR_VERSION:
    case WIRE_ERROR_REFUSED:
        metrics_add(&link->stats->refusals, 1);
        log_error("link.refused", "worker=%s code=%d text=%s", link->label,
                  (int)message->error.code, text);
        begin_anew(link, "refused", PAUSE_MAX_MS);
        return;
    }
}

static void
say_pong(struct worker_link *link)
{
    struct worker_pong pong = {0};
    uint64_t now_ms = clock_now_ms();
    bool is_list_due = now_ms - link->listed_ms >= link->ttl_ms / 4;

    link->owner.on_ping(link->owner.arg, is_list_due, &pong);
    if (is_list_due)
        link->listed_ms = now_ms;
    do {
        size_t len = pong.len < WIRE_ENTRIES_MAX ? pong.len : WIRE_ENTRIES_MAX;

        wire_put_pong(link->small_buf, pong.load, pong.items, len);
        (void)send_small(link); // a missed PONG is what the TTL is for
        pong.items += len;
        pong.len -= len;
    } while (pong.len);
}

static void
on_bye(struct worker_link *link)
{
    if (!link->is_draining) {
        begin_anew(link, "the broker says BYE", BYE_PAUSE_MS);
        return;
    }
    // We asked for it: the broker has everything back that it gave us. Or it
    // stops, and there is nothing left to wait for.
    log_info("link.left", "worker=%s session=%" PRIu64, link->label,
             link->session);
    set_state(link, LINK_LEFT);
    link->owner.on_lost(link->owner.arg);
}

static void
dispatch(struct worker_link *link, const struct wire_message *message,
         zmq_msg_t *body)
{
    switch (message->kind) {
    case WIRE_WELCOME:
        on_welcome(link, &message->welcome);
        return;
    case WIRE_PING:
        if (link->state != LINK_LIVE)
            return;
        link->ttl_ms = message->ping_ttl_ms;
        say_pong(link);
        return;
    case WIRE_JOBS:
    case WIRE_CREDIT:
    case WIRE_ABORT:
    case WIRE_HASH:
    case WIRE_PROFILE:
        // Before WELCOME these are left-overs of an older session.
        if (link->state == LINK_LIVE)
            link->owner.on_message(link->owner.arg, message, body);
        return;
    case WIRE_BYE:
        on_bye(link);
        return;
    case WIRE_ERROR:
        on_error(link, message);
        return;
    case WIRE_HELLO:
    case WIRE_PONG:
    case WIRE_BODY:
    case WIRE_FETCHED:
    case WIRE_DIGESTS:
    case WIRE_SUITE:
    case WIRE_PAUSE:
    case WIRE_CONNECTED:
    case WIRE_KIND_COUNT:
        log_warn("link.bad_frame", "worker=%s kind=%s why=\"not for a worker\"",
                 link->label, wire_kind_name(message->kind));
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
    int err = frames_recv(link->dial.socket, &frames);

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
    if (err && link->state == LINK_DOWN) {
        // What was left in the socket that is to be closed.
    } else if (err) {
        log_error("link.bad_frame", "worker=%s why=\"%s\"", link->label,
                  wire_decoder_error(link->decoder));
        link->dial_ms = PAUSE_MAX_MS;
        lose_connection(link, "the broker sent a bad frame");
    } else if (link->state == LINK_GREETING || link->state == LINK_LIVE) {
        link->heard_ms = clock_now_ms();
        link_trouble_on_answer(&link->trouble);
        dispatch(link, &message, body);
    }
    frames_close(&frames);
    return true;
}

static bool
on_monitor(void *arg)
{
    struct worker_link *link = arg;
    struct monitor_event event;

    if (monitor_recv(link->dial.monitor, &event) != 0)
        return false;
    if (event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        link_trouble_on_connection(&link->trouble);
        if (link->state == LINK_GREETING && !link->is_greeted)
            say_hello(link);
    } else {
        if (link_trouble_on_failure(&link->trouble,
                                    curve_failure_of(link->curve, &event)))
            link->dial_ms = PAUSE_MAX_MS;
        lose_connection(link, "the connection broke");
    }
    return true;
}

static int
open_socket(struct worker_link *link)
{
    const struct link_socket_config config = {
        .zmq = link->zmq,
        .endpoint = link->endpoint,
        .recv_messages_max = link->recv_messages_max,
        .curve = link->curve,
        .number = link->dials++,
    };
    int err = link_socket_open(&link->dial, &config);

    if (err)
        return err;
    metrics_add(&link->stats->dials, 1);
    err = loop_add_socket(link->loop, link->dial.socket, on_frames, link,
                          &link->watch);
    return err ? err
               : loop_add_socket(link->loop, link->dial.monitor, on_monitor,
                                 link, &link->monitor_watch);
}

static void
close_socket(struct worker_link *link)
{
    loop_remove_socket(&link->watch);
    loop_remove_socket(&link->monitor_watch);
    // What was not sent is of a session that is over; a BYE is not.
    link_socket_close(&link->dial, link->state != LINK_LEFT);
}

// A pause is over.
static void
on_pause_over(void *arg)
{
    struct worker_link *link = arg;
    int err;

    switch (link->state) {
    case LINK_DOWN:
        close_socket(link);
        err = open_socket(link);
        if (err) {
            log_error("link.connect", "worker=%s endpoint=\"%s\" error=\"%s\"",
                      link->label, link->endpoint, zmq_strerror(-err));
            hang_up(link);
            return;
        }
        set_state(link, LINK_GREETING);
        link->hello_ms = HELLO_ANSWER_MS;
        say_hello(link);
        return;
    case LINK_GREETING:
        if (link->is_greeted)
            say_hello(link);
        else
            hang_up(link);
        return;
    case LINK_LIVE:
    case LINK_LEFT:
        return;
    }
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
    link->zmq = zmq;
    link->curve = config->curve;
    link->recv_messages_max = config->recv_messages_max;
    link->stats = config->stats ? config->stats : &link->own_stats;
    link->owner = *owner;
    link->role = config->role;
    link->capacity = config->capacity;
    link->algorithms = config->algorithms;
    link->dial_ms = PAUSE_MS;
    link->hello_ms = HELLO_ANSWER_MS;
    link->seed = (unsigned)clock_now_us();
    link->epoch = 1;
    while (!link->instance) {
        if (getrandom(&link->instance, sizeof(link->instance), 0) < 0) {
            err = -errno;
            goto out;
        }
    }
    (void)snprintf(link->name, sizeof(link->name), "%s", config->name);
    (void)log_escape(link->name, strlen(link->name), link->label,
                     sizeof(link->label));
    (void)snprintf(link->endpoint, sizeof(link->endpoint), "%s",
                   config->endpoint);
    if ((err = wire_decoder_new(&link->decoder)) ||
        (err = wire_buf_new(&link->buf)) ||
        (err = wire_buf_new(&link->small_buf)) ||
        (err = loop_timer_new(loop, on_pause_over, link, &link->hello_timer)) ||
        (err = loop_timer_new(loop, look_for_silence, link,
                              &link->watch_timer)) ||
        (err = open_socket(link)))
        goto out;
    set_state(link, LINK_GREETING);
    say_hello(link);
    link->heard_ms = clock_now_ms();
    link_trouble_init(&link->trouble, link->label, link->endpoint, link->role);
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
    close_socket(it);
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
    err = frames_send_copy(link->dial.socket, wire_buf_data(buf),
                           wire_buf_len(buf), body != NULL);
    if (!err && body)
        err = frames_send_take(link->dial.socket, body, false);
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
    link->is_draining = true;
    if (link->state == LINK_GREETING || link->state == LINK_LIVE) {
        wire_put_bye(link->small_buf, is_final);
        (void)send_small(link); // the TTL says the same, later
    }
    if (is_final)
        set_state(link, LINK_LEFT);
}
