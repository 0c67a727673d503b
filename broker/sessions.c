#include "broker/sessions.h"

#include "broker/life.h"
#include "broker/relay.h"
#include "broker/state.h"
#include "broker/window.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
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

static const char *
role_name(enum wire_role role)
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

    if (!err)
        err = frames_send_copy(socket, session->address, session->address_len,
                               true);
    if (!err)
        err = frames_send_copy(socket, wire_buf_data(sessions->buf),
                               wire_buf_len(sessions->buf), body != NULL);
    if (!err && body)
        err = frames_send_take(socket, body, false);
    if (!err)
        return;
    session->is_crash = true;
    session_doom(session, (enum wire_error)0,
                 err == -EHOSTUNREACH ? "its connection is gone"
                                      : "cannot send to it");
}

// An ERROR to an address that may have no session.
static void
send_error(struct broker *broker, enum wire_role role, const zmq_msg_t *address,
           enum wire_error code, const char *text)
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
    if (!fetcher->jobs_out_len)
        return;
    // A job that was given up makes room for these: it is to hear of that
    // first, or these would be more than it can hold.
    flush_aborts(broker, fetcher);
    wire_put_jobs(broker->sessions.buf, &fetcher->jobs_out_batch->request,
                  fetcher->jobs_out, fetcher->jobs_out_len);
    fetcher->jobs_out_len = 0;
    fetcher->jobs_out_bytes = 0;
    session_send(broker, fetcher, NULL);
}

void
session_add_job(struct broker *broker, struct session *fetcher, struct job *job)
{
    if (fetcher->jobs_out_len == SESSION_BATCH ||
        fetcher->jobs_out_bytes + job->url_len > JOBS_BYTES_MAX ||
        fetcher->jobs_out_batch != job->flow->batch)
        session_send_jobs(broker, fetcher);
    fetcher->jobs_out_batch = job->flow->batch;
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

static struct session *
find_by_address(const struct sessions *sessions, enum wire_role role,
                const zmq_msg_t *address)
{
    struct session *session, *table = role == WIRE_FETCHER
                                          ? sessions->fetchers_by_address
                                          : sessions->hashers_by_address;

    HASH_FIND(hh, table, zmq_msg_data((zmq_msg_t *)address),
              zmq_msg_size(address), session);
    return session;
}

static void
add_to_tables(struct sessions *sessions, struct session *session)
{
    HASH_ADD(hh_id, sessions->by_id, id, sizeof(session->id), session);
    if (session->role == WIRE_FETCHER) {
        HASH_ADD(hh, sessions->fetchers_by_address, address,
                 session->address_len, session);
        DL_APPEND(sessions->fetchers, session);
        sessions->fetchers_len++;
    } else {
        HASH_ADD(hh, sessions->hashers_by_address, address,
                 session->address_len, session);
        DL_APPEND(sessions->hashers, session);
        sessions->hashers_len++;
    }
}

static void
remove_from_tables(struct sessions *sessions, struct session *session)
{
    HASH_DELETE(hh_id, sessions->by_id, session);
    if (session->role == WIRE_FETCHER) {
        HASH_DELETE(hh, sessions->fetchers_by_address, session);
        DL_DELETE(sessions->fetchers, session);
        sessions->fetchers_len--;
        sessions->window_given -= session->granted; // window_open()'s
    } else {
        HASH_DELETE(hh, sessions->hashers_by_address, session);
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

static void
end_session(struct broker *broker, struct session *session)
{
    struct sessions *sessions = &broker->sessions;
    size_t lost = session->jobs_len;

    if (loop_now_ms(broker->loop) < sessions->forgive_until_ms)
        session->is_crash = false;
    if (session->gone_code) {
        wire_put_error(sessions->buf, session->gone_code, session->gone_why);
        session_send(broker, session, NULL);
    }
    remove_from_tables(sessions, session);
    if (session->role == WIRE_HASHER)
        return_notes(broker, session);
    relay_lose_leases(broker, session);
    log_info("worker.ended",
             "role=%s worker=%s session=%" PRIu64 " why=\"%s\" leases=%zu",
             role_name(session->role), session->label, session->id,
             session->gone_why, lost);
    free(session->notes);
    free(session->algorithms);
    free(session);
}

static const char *
check_hello(const struct broker *broker, enum wire_role role,
            const struct wire_hello *hello, enum wire_error *out_code)
{
    const struct sessions *sessions = &broker->sessions;

    *out_code = WIRE_ERROR_VERSION;
    if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION)
        return "this broker speaks worker protocol version 1";
    *out_code = WIRE_ERROR_REFUSED;
    if (hello->role != role)
        return "this endpoint is for workers of the other role";
    if ((role == WIRE_FETCHER ? sessions->fetchers_len
                              : sessions->hashers_len) >= SESSIONS_MAX)
        return "too many workers of this role";
    if (role == WIRE_FETCHER && !window_has_room(broker))
        return "no room in --buffer-memory for one more fetcher";
    if (broker->is_draining)
        return "the broker is about to stop";
    return NULL;
}

static void
send_welcome(struct broker *broker, struct session *session)
{
    struct wire_welcome welcome = {
        .version = WIRE_VERSION,
        .session = session->id,
        .ttl_ms = (uint64_t)broker->config->ttl_ms,
        .window = session->granted,
        .job_window = window_of_job(session),
    };

    wire_put_welcome(broker->sessions.buf, &welcome);
    session_send(broker, session, NULL);
}

// A name goes into logs, records and JSON: only what is harmless there.
static void
take_name(struct session *session, const struct wire_bytes *name)
{
    for (size_t i = 0; i < name->len; i++) {
        char c = name->at[i];

        session->name[i] =
            c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '_';
    }
    (void)log_escape(session->name, name->len, session->label,
                     sizeof(session->label));
}

// Keeps ",a,b," of a hasher. Returns false without memory.
static bool
take_algorithms(struct session *session, const struct wire_hello *hello)
{
    size_t room = 2;
    char *to;

    for (size_t i = 0; i < hello->algorithms_len; i++)
        room += hello->algorithms[i].len + 1;
    session->algorithms = to = malloc(room);
    if (!to)
        return false;
    *to++ = ',';
    for (size_t i = 0; i < hello->algorithms_len; i++) {
        memcpy(to, hello->algorithms[i].at, hello->algorithms[i].len);
        to += hello->algorithms[i].len;
        *to++ = ',';
    }
    *to = '\0';
    return true;
}

static void
on_hello(struct broker *broker, enum wire_role role, const zmq_msg_t *address,
         const struct wire_hello *hello)
{
    struct sessions *sessions = &broker->sessions;
    struct session *session;
    enum wire_error code;
    const char *why = check_hello(broker, role, hello, &code);

    session = why ? NULL : calloc(1, sizeof(*session));
    if (!why && (!session || !take_algorithms(session, hello))) {
        free(session);
        why = "the broker is out of memory";
    }
    if (why) {
        log_warn("worker.refused", "role=%s why=\"%s\"", role_name(role), why);
        send_error(broker, role, address, code, why);
        return;
    }
    session->role = role;
    session->id = ++sessions->last_id;
    take_name(session, &hello->name);
    session->address_len = zmq_msg_size(address);
    memcpy(session->address, zmq_msg_data((zmq_msg_t *)address),
           session->address_len);
    session->heard_ms = session->since_ms = loop_now_ms(broker->loop);
    session->capacity = hello->capacity;
    if (role == WIRE_FETCHER)
        window_open(broker, session);
    add_to_tables(sessions, session);
    log_info("worker.joined",
             "role=%s worker=%s session=%" PRIu64 " capacity=%" PRIu64
             " window=%" PRIu64,
             role_name(role), session->label, session->id, session->capacity,
             session->granted);
    send_welcome(broker, session);
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
    log_info("worker.drains", "role=%s worker=%s session=%" PRIu64,
             role_name(session->role), session->label, session->id);
}

static void
dispatch(struct broker *broker, struct session *session,
         const struct wire_message *message, zmq_msg_t *body)
{
    bool is_fetcher = session->role == WIRE_FETCHER;

    switch (message->kind) {
    case WIRE_PONG:
        return; // being heard is all there is to it
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
    session = find_by_address(sessions, role, &frames.parts[0]);
    why = read_message(broker, &frames, received, &message, &body);
    if (session && session->is_gone) {
        // Ends at the end of this turn; what it still says is refused.
    } else if (why) {
        log_warn("worker.bad_frame", "role=%s worker=%s why=\"%s\"",
                 role_name(role), session ? session->label : "\"\"", why);
        if (session)
            session_doom(session, WIRE_ERROR_BAD_FRAME, why);
        else
            send_error(broker, role, &frames.parts[0], WIRE_ERROR_BAD_FRAME,
                       why);
    } else if (message.kind == WIRE_HELLO) {
        if (session) {
            session->gone_why = "it began anew";
            end_session(broker, session);
        }
        on_hello(broker, role, &frames.parts[0], message.hello);
    } else if (session) {
        session->heard_ms = loop_now_ms(broker->loop);
        dispatch(broker, session, &message, body);
    } else if (message.kind != WIRE_BYE && message.kind != WIRE_ERROR) {
        send_error(broker, role, &frames.parts[0], WIRE_ERROR_NO_SESSION,
                   "say HELLO first");
    }
    frames_close(&frames);
    return true;
}

// --- Every turn, every beat ---

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
        if (session->is_gone) {
            end_session(broker, session);
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
}

static void
beat_list(struct broker *broker, struct session *list)
{
    uint64_t now_ms = loop_now_ms(broker->loop);
    struct session *session;

    DL_FOREACH(list, session)
    {
        if (now_ms - session->heard_ms > (uint64_t)broker->config->ttl_ms) {
            log_warn("worker.silent",
                     "role=%s worker=%s session=%" PRIu64 " silent_ms=%" PRIu64,
                     role_name(session->role), session->label, session->id,
                     now_ms - session->heard_ms);
            session->is_crash = true;
            session_doom(session, (enum wire_error)0, "it was silent");
            continue;
        }
        wire_put_ping(broker->sessions.buf, (uint64_t)broker->config->ttl_ms);
        session_send(broker, session, NULL);
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
}

void
sessions_say_bye(struct broker *broker)
{
    struct session *session;

    wire_put_bye(broker->sessions.buf, true);
    DL_FOREACH(broker->sessions.fetchers, session)
    {
        session_send(broker, session, NULL);
    }
    DL_FOREACH(broker->sessions.hashers, session)
    {
        session_send(broker, session, NULL);
    }
}

void
sessions_fini(struct broker *broker)
{
    struct sessions *sessions = &broker->sessions;
    struct session *session, *next;

    HASH_CLEAR(hh, sessions->fetchers_by_address);
    HASH_CLEAR(hh, sessions->hashers_by_address);
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
