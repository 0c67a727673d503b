#include "broker/sessions_private.h"

#include "broker/access.h"
#include "broker/guard.h"
#include "broker/lease.h"
#include "broker/life.h"
#include "broker/relay.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "broker/window.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// URLs of one JOBS message, well below WIRE_HEAD_BYTES_MAX.
#define JOBS_BYTES_MAX (1024 * 1024)
static void *
socket_of(const struct sessions *sessions, enum wire_role role)
{
    return role == WIRE_FETCHER ? sessions->fetcher_socket
                                : sessions->hasher_socket;
}

const char *
session_role_name(enum wire_role role)
{
    return role == WIRE_FETCHER ? "fetcher" : "hasher";
}

int
sessions_init(struct broker *broker)
{
    int err = wire_decoder_new(&broker->sessions.decoder);

    return err ? err : wire_buf_new(&broker->sessions.buf);
}

// --- Sending ---

void
session_doom(struct session *session, enum wire_error code, const char *why)
{
    if (session->is_gone)
        return;
    session->is_gone = true;
    session->gone_code = code;
    session->gone_why = why;
}

void
session_send(struct broker *broker, struct session *session, zmq_msg_t *body)
{
    struct sessions *sessions = &broker->sessions;
    void *socket = socket_of(sessions, session->role);
    int err = wire_buf_error(sessions->buf);

    fault_before_send();
    if (!err)
        err = frames_send_copy(socket, session->address, session->address_len,
                               true);
    if (!err)
        err = frames_send_copy(socket, wire_buf_data(sessions->buf),
                               wire_buf_len(sessions->buf), body != NULL);
    if (!err && body)
        err = frames_send_take(socket, body, false);
    fault_after_send();
    if (!err)
        return;
    session->is_crash = true;
    session_doom(session, (enum wire_error)0,
                 err == -EHOSTUNREACH ? "its connection is gone"
                                      : "cannot send to it");
}

void
session_send_error(struct broker *broker, enum wire_role role,
                   const zmq_msg_t *address, enum wire_error code,
                   const char *text)
{
    struct sessions *sessions = &broker->sessions;
    void *socket = socket_of(sessions, role);

    wire_put_error(sessions->buf, code, text);
    if (frames_send_copy(socket, zmq_msg_data((zmq_msg_t *)address),
                         zmq_msg_size(address), true) == 0)
        (void)frames_send_copy(socket, wire_buf_data(sessions->buf),
                               wire_buf_len(sessions->buf), false);
}

static void
flush_aborts(struct broker *broker, struct session *session)
{
    if (!session->aborts_len)
        return;
    wire_put_abort(broker->sessions.buf, session->aborts, session->aborts_len);
    session->aborts_len = 0;
    session_send(broker, session, NULL);
}

void
session_send_jobs(struct broker *broker, struct session *fetcher)
{
    const struct batch *batch = fetcher->jobs_out_batch;
    struct wire_request request;

    if (!fetcher->jobs_out_len)
        return;
    request = batch->options.request;
    request.any_status = fetcher->jobs_out_any_status;
    if (batch->options.profile)
        request.profile = session_tell_profile(broker, fetcher, batch);
    // A job that was given up makes room for these: it is to hear of that
    // first, or these would be more than it can hold.
    flush_aborts(broker, fetcher);
    wire_put_jobs(broker->sessions.buf, &request, fetcher->jobs_out,
                  fetcher->jobs_out_len);
    fetcher->jobs_out_len = 0;
    fetcher->jobs_out_bytes = 0;
    session_send(broker, fetcher, NULL);
}

void
session_add_job(struct broker *broker, struct session *fetcher, struct job *job)
{
    uint64_t any_status = schedule_any_status(job);

    if (fetcher->jobs_out_len == SESSION_BATCH ||
        fetcher->jobs_out_bytes + job->url_len > JOBS_BYTES_MAX ||
        fetcher->jobs_out_batch != job->flow->batch ||
        fetcher->jobs_out_any_status != any_status)
        session_send_jobs(broker, fetcher);
    fetcher->jobs_out_batch = job->flow->batch;
    fetcher->jobs_out_any_status = any_status;
    fetcher->jobs_out_bytes += job->url_len;
    fetcher->jobs_out[fetcher->jobs_out_len++] =
        (struct wire_job){.job = job->id,
                          .attempt = job->attempt,
                          .url = {job->url, job->url_len}};
}

void
session_abort(struct broker *broker, struct session *session, uint64_t job,
              uint32_t attempt, enum wire_abort reason)
{
    if (session->is_gone)
        return;
    if (session->aborts_len == SESSION_BATCH)
        flush_aborts(broker, session);
    session->aborts[session->aborts_len++] =
        (struct wire_aborted){.job = job, .attempt = attempt, .reason = reason};
}

// --- Beginning and ending ---

struct session *
sessions_find(const struct sessions *sessions, uint64_t id)
{
    struct session *session;

    HASH_FIND(hh_id, sessions->by_id, &id, sizeof(id), session);
    return session;
}

struct session *
session_at(const struct sessions *sessions, enum wire_role role,
           const zmq_msg_t *address)
{
    struct session *session;

    HASH_FIND(hh, sessions->by_address[role],
              zmq_msg_data((zmq_msg_t *)address), zmq_msg_size(address),
              session);
    return session;
}

static void
remove_from_tables(struct sessions *sessions, struct session *session)
{
    HASH_DELETE(hh_id, sessions->by_id, session);
    HASH_DELETE(hh, sessions->by_address[session->role], session);
    HASH_DELETE(hh_instance, sessions->by_instance[session->role], session);
    if (!session->is_proven) {
        DL_DELETE(sessions->unproven[session->role], session);
        sessions->unproven_len[session->role]--;
    } else if (session->role == WIRE_FETCHER) {
        DL_DELETE(sessions->fetchers, session);
        sessions->fetchers_len--;
        sessions->window_given -= session->granted; // window_open()'s
    } else {
        DL_DELETE(sessions->hashers, session);
        sessions->hashers_len--;
    }
}

// Every byte that waits for this hasher is consumed by nobody: its fetchers get
// their credit back.
static void
return_notes(struct broker *broker, struct session *hasher)
{
    relay_pop_notes(broker, hasher, hasher->notes_len);
}

// Strangers that never became workers may come and go without end.
static void
log_end(const struct session *session, size_t lost)
{
    if (session->is_proven)
        log_info("worker.ended",
                 "role=%s worker=%s session=%" PRIu64 " why=\"%s\" leases=%zu",
                 session_role_name(session->role), session->label, session->id,
                 session->gone_why, lost);
    else
        log_debug("worker.unproven",
                  "role=%s worker=%s session=%" PRIu64 " why=\"%s\"",
                  session_role_name(session->role), session->label, session->id,
                  session->gone_why);
}

static void
count_end(struct stats *stats, const struct session *session)
{
    enum session_ending how = session->gone_code  ? SESSION_REFUSED
                              : session->is_crash ? SESSION_LOST
                                                  : SESSION_LEFT;

    if (session->is_proven)
        metrics_add(&stats->sessions_ended[session->role][how], 1);
}

void
session_end(struct broker *broker, struct session *session)
{
    struct sessions *sessions = &broker->sessions;
    size_t lost = session->jobs_len;

    count_end(&broker->stats, session);
    if (loop_now_ms(broker->loop) < sessions->forgive_until_ms)
        session->is_crash = false;
    if (session->gone_code) {
        wire_put_error(sessions->buf, session->gone_code, session->gone_why);
        session_send(broker, session, NULL);
    }
    remove_from_tables(sessions, session);
    relay_lose_leases(broker, session); // knows by its notes what it had begun
    if (session->role == WIRE_HASHER)
        return_notes(broker, session);
    log_end(session, lost);
    free(session->notes);
    free(session->algorithms);
    free(session);
}

// --- Receiving ---

static void
on_bye(struct broker *broker, struct session *session, bool is_final)
{
    (void)broker;
    if (is_final) {
        session_doom(session, (enum wire_error)0, "it said BYE");
        return;
    }
    session->is_draining = true;
    if (session->is_proven)
        log_info("worker.drains", "role=%s worker=%s session=%" PRIu64,
                 session_role_name(session->role), session->label, session->id);
}

static void
dispatch(struct broker *broker, struct session *session,
         const struct wire_message *message, zmq_msg_t *body)
{
    bool is_fetcher = session->role == WIRE_FETCHER;

    if (!session->is_proven && message->kind != WIRE_PONG &&
        message->kind != WIRE_BYE && message->kind != WIRE_ERROR) {
        session_doom(session, WIRE_ERROR_BAD_FRAME,
                     "a message before the first PONG");
        return;
    }
    switch (message->kind) {
    case WIRE_PONG:
        if (!session->is_proven)
            session_prove(broker, session);
        if (is_fetcher && !session->is_gone)
            lease_on_pong(broker, session, message);
        return; // of a hasher, being heard is all there is to it
    case WIRE_BYE:
        on_bye(broker, session, message->bye_is_final != 0);
        return;
    case WIRE_ERROR:
        session_doom(session, (enum wire_error)0, "it reported an error");
        return;
    case WIRE_BODY:
        if (!is_fetcher)
            break;
        relay_on_body(broker, session, message, body);
        return;
    case WIRE_FETCHED:
        if (!is_fetcher)
            break;
        relay_on_fetched(broker, session, message);
        return;
    case WIRE_SUITE:
        if (!is_fetcher)
            break;
        relay_on_suite(broker, session, message);
        return;
    case WIRE_PAUSE:
        if (!is_fetcher)
            break;
        lease_on_pause(broker, session, message);
        return;
    case WIRE_CONNECTED:
        if (!is_fetcher)
            break;
        hosts_on_connected(broker, session, message);
        return;
    case WIRE_DIGESTS:
        if (is_fetcher)
            break;
        relay_on_digests(broker, session, message);
        return;
    case WIRE_ABORT:
        if (is_fetcher)
            break;
        relay_on_abort(broker, session, message);
        return;
    case WIRE_HELLO: // handled before there is a session
    case WIRE_WELCOME:
    case WIRE_PING:
    case WIRE_JOBS:
    case WIRE_HASH:
    case WIRE_CREDIT:
    case WIRE_PROFILE:
    case WIRE_KIND_COUNT:
        break;
    }
    session_doom(session, WIRE_ERROR_BAD_FRAME,
                 "a message that is not for a worker of this role to send");
}

// Decodes a message's head and checks its frames. Returns why it is bad, or
// NULL.
static const char *
read_message(struct broker *broker, struct frames *frames, int received,
             struct wire_message *out_message, zmq_msg_t **out_body)
{
    struct wire_decoder *decoder = broker->sessions.decoder;
    bool has_body;

    *out_body = NULL;
    if (received || frames->len < 2 || frames->len > 3)
        return "a message has one frame, or two with a body";
    if (wire_decode(decoder, zmq_msg_data(&frames->parts[1]),
                    zmq_msg_size(&frames->parts[1]), out_message) != 0)
        return wire_decoder_error(decoder);
    has_body = out_message->kind == WIRE_BODY || out_message->kind == WIRE_HASH;
    if (has_body != (frames->len == 3))
        return "BODY has a raw frame, other kinds have none";
    if (has_body) {
        *out_body = &frames->parts[2];
        if (zmq_msg_size(*out_body) != out_message->body.bytes)
            return "the raw frame's length is not the sum of its segments";
    }
    return NULL;
}

// Whether a message is read at all.
static bool
is_heard(struct broker *broker, enum wire_role role, struct session *session,
         const struct frames *frames)
{
    bool is_fetcher = role == WIRE_FETCHER;

    if (!guard_on_message(
            is_fetcher ? broker->fetcher_guard : broker->hasher_guard, frames,
            session && session->is_proven, loop_now_ms(broker->loop)))
        return false; // a stranger that talks too much
    if (!access_admits(broker, is_fetcher ? ACCESS_FETCHER : ACCESS_HASHER,
                       frames))
        return false;
    if (!session || strcmp(session->key, access_key_of(frames)) == 0)
        return true;
    // Routing ids are the peers' choice, and this one's connection is gone.
    session_doom(session, (enum wire_error)0, "another key has its connection");
    return false;
}

bool
sessions_on_message(struct broker *broker, enum wire_role role)
{
    struct sessions *sessions = &broker->sessions;
    struct frames frames;
    struct wire_message message;
    struct session *session;
    zmq_msg_t *body;
    const char *why;
    int received = frames_recv(socket_of(sessions, role), &frames);

    if (received && received != -EMSGSIZE)
        return false;
    session = session_at(sessions, role, &frames.parts[0]);
    if (!is_heard(broker, role, session, &frames)) {
        frames_close(&frames);
        return true;
    }
    why = read_message(broker, &frames, received, &message, &body);
    if (session && session->is_gone) {
        // Ends at the end of this turn; what it still says is refused.
    } else if (why) {
        metrics_add(&broker->stats.bad_frames[role], 1);
        log_outside(LOG_WARN, "worker.bad_frame",
                    "role=%s worker=%s why=\"%s\"", session_role_name(role),
                    session ? session->label : "\"\"", why);
        if (session)
            session_doom(session, WIRE_ERROR_BAD_FRAME, why);
        else
            session_send_error(broker, role, &frames.parts[0],
                               WIRE_ERROR_BAD_FRAME, why);
    } else if (message.kind == WIRE_HELLO) {
        session_on_hello(broker, role, &frames, message.hello);
    } else if (session) {
        session->heard_ms = loop_now_ms(broker->loop);
        dispatch(broker, session, &message, body);
    } else if (message.kind != WIRE_BYE && message.kind != WIRE_ERROR) {
        session_send_error(broker, role, &frames.parts[0],
                           WIRE_ERROR_NO_SESSION, "say HELLO first");
    }
    frames_close(&frames);
    return true;
}

// --- Every turn, every beat ---

// A worker that leaves and has nothing left to do is told so: all it was given
// has come back.
static void
release(struct broker *broker, struct session *session)
{
    if (!session->is_draining || session->jobs_len || session->notes_len)
        return;
    wire_put_bye(broker->sessions.buf, true);
    session_send(broker, session, NULL);
    session_doom(session, (enum wire_error)0, "it has done its work");
}

static void
flush_list(struct broker *broker, struct session *list)
{
    struct session *session, *next;

    DL_FOREACH_SAFE(list, session, next)
    {
        if (!session->is_gone) {
            flush_aborts(broker, session);
            if (session->role == WIRE_FETCHER)
                window_flush(broker, session);
        }
        if (!session->is_gone)
            release(broker, session);
        if (session->is_gone) {
            session_end(broker, session);
            loop_again(broker->loop); // its jobs can go to others now
        }
    }
}

void
sessions_flush(struct broker *broker)
{
    // Ending a hasher aborts at fetchers and gives them credit, so they come
    // second; ending a fetcher only aborts at hashers, which can wait a turn.
    flush_list(broker, broker->sessions.hashers);
    flush_list(broker, broker->sessions.fetchers);
    flush_list(broker, broker->sessions.unproven[WIRE_FETCHER]);
    flush_list(broker, broker->sessions.unproven[WIRE_HASHER]);
}

void
session_send_ping(struct broker *broker, struct session *session)
{
    wire_put_ping(broker->sessions.buf, (uint64_t)broker->config->ttl_ms);
    session_send(broker, session, NULL);
}

static void
log_silence(const struct session *session, uint64_t now_ms)
{
    if (session->is_proven)
        log_warn("worker.silent",
                 "role=%s worker=%s session=%" PRIu64 " silent_ms=%" PRIu64,
                 session_role_name(session->role), session->label, session->id,
                 now_ms - session->heard_ms);
}

static void
beat_list(struct broker *broker, struct session *list)
{
    uint64_t now_ms = loop_now_ms(broker->loop);
    struct session *session;

    DL_FOREACH(list, session)
    {
        if (now_ms - session->heard_ms > (uint64_t)broker->config->ttl_ms) {
            log_silence(session, now_ms);
            session->is_crash = true;
            session_doom(session, (enum wire_error)0, "it was silent");
            continue;
        }
        session_send_ping(broker, session);
    }
}

// Who was not run himself (stopped, starved) has heard nobody: that is no fault
// of the workers, whose words may be waiting, or who gave us up meanwhile.
static void
forgive_silence(struct broker *broker)
{
    struct sessions *sessions = &broker->sessions;
    uint64_t now_ms = loop_now_ms(broker->loop), ttl_ms;
    struct session *session, *next;

    ttl_ms = (uint64_t)broker->config->ttl_ms;
    if (sessions->beat_ms && now_ms - sessions->beat_ms > ttl_ms / 2) {
        HASH_ITER(hh_id, sessions->by_id, session, next)
        session->heard_ms = now_ms;
        sessions->forgive_until_ms = now_ms + ttl_ms;
    }
    sessions->beat_ms = now_ms;
}

void
sessions_beat(struct broker *broker)
{
    forgive_silence(broker);
    beat_list(broker, broker->sessions.fetchers);
    beat_list(broker, broker->sessions.hashers);
    beat_list(broker, broker->sessions.unproven[WIRE_FETCHER]);
    beat_list(broker, broker->sessions.unproven[WIRE_HASHER]);
}

void
sessions_end_keys(struct broker *broker, enum wire_role role,
                  bool (*stays)(void *arg, const char *key), void *arg)
{
    struct session *session, *next;

    HASH_ITER(hh_id, broker->sessions.by_id, session, next)
    {
        if (session->role == role && !stays(arg, session->key))
            session_doom(session, WIRE_ERROR_REFUSED,
                         "its key is not in the list any more");
    }
}

void
sessions_say_bye(struct broker *broker)
{
    struct session *session, *next;

    wire_put_bye(broker->sessions.buf, true);
    HASH_ITER(hh_id, broker->sessions.by_id, session, next)
    session_send(broker, session, NULL);
}

void
sessions_fini(struct broker *broker)
{
    struct sessions *sessions = &broker->sessions;
    struct session *session, *next;

    for (int role = WIRE_FETCHER; role <= WIRE_HASHER; role++) {
        HASH_CLEAR(hh, sessions->by_address[role]);
        HASH_CLEAR(hh_instance, sessions->by_instance[role]);
    }
    HASH_ITER(hh_id, sessions->by_id, session, next)
    {
        HASH_DELETE(hh_id, sessions->by_id, session);
        free(session->notes);
        free(session->algorithms);
        free(session);
    }
    wire_decoder_free(&sessions->decoder);
    wire_buf_free(&sessions->buf);
}
