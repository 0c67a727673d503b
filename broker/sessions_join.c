// sessions_join.c - how a session begins: HELLO, WELCOME, and the first PONG
#include "broker/sessions_private.h"

#include "broker/access.h"
#include "broker/keyring.h"
#include "broker/state.h"
#include "broker/window.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct session *
find_by_instance(const struct sessions *sessions, enum wire_role role,
                 uint64_t instance)
{
    struct session *session;

    HASH_FIND(hh_instance, sessions->by_instance[role], &instance,
              sizeof(instance), session);
    return session;
}

// Why no session can begin, or NULL.
static const char *
check_hello(const struct broker *broker, enum wire_role role,
            const struct wire_hello *hello, enum wire_error *out_code)
{
    *out_code = WIRE_ERROR_VERSION;
    if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION)
        return "this broker speaks another version of the worker protocol";
    *out_code = WIRE_ERROR_REFUSED;
    if (hello->role != role)
        return "this endpoint is for workers of the other role";
    if (broker->is_draining)
        return "the broker is about to stop";
    return NULL;
}

static void
refuse(struct broker *broker, enum wire_role role, const zmq_msg_t *address,
       enum wire_error code, const char *why)
{
    metrics_add(&broker->stats.hellos_refused[role], 1);
    log_outside(LOG_WARN, "worker.refused", "role=%s why=\"%s\"",
                session_role_name(role), why);
    session_send_error(broker, role, address, code, why);
}

static void
send_welcome(struct broker *broker, struct session *session)
{
    struct wire_welcome welcome = {
        .version = WIRE_VERSION,
        .session = session->id,
        .epoch = session->epoch,
        .ttl_ms = (uint64_t)broker->config->ttl_ms,
        .window = session->welcomed,
        .job_window = session->job_window,
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

// Returns false without memory, with nothing changed.
static bool
add_unproven(struct sessions *sessions, struct session *session)
{
    enum wire_role role = session->role;

    HASH_ADD(hh_id, sessions->by_id, id, sizeof(session->id), session);
    HASH_ADD(hh, sessions->by_address[role], address, session->address_len,
             session);
    HASH_ADD(hh_instance, sessions->by_instance[role], instance,
             sizeof(session->instance), session);
    // What was not added has no table.
    if (session->hh_id.tbl && session->hh.tbl && session->hh_instance.tbl) {
        DL_APPEND(sessions->unproven[role], session);
        sessions->unproven_len[role]++;
        return true;
    }
    if (session->hh_id.tbl)
        HASH_DELETE(hh_id, sessions->by_id, session);
    if (session->hh.tbl)
        HASH_DELETE(hh, sessions->by_address[role], session);
    if (session->hh_instance.tbl)
        HASH_DELETE(hh_instance, sessions->by_instance[role], session);
    return false;
}

static void
begin(struct broker *broker, enum wire_role role, const struct frames *frames,
      const struct wire_hello *hello)
{
    struct sessions *sessions = &broker->sessions;
    const zmq_msg_t *address = &frames->parts[0];
    struct session *session = calloc(1, sizeof(*session));

    if (!session || !take_algorithms(session, hello)) {
        free(session);
        refuse(broker, role, address, WIRE_ERROR_REFUSED,
               "the broker is out of memory");
        return;
    }
    if (sessions->unproven_len[role] == SESSIONS_UNPROVEN_MAX) {
        sessions->unproven[role]->gone_why = "too many others came meanwhile";
        session_end(broker, sessions->unproven[role]);
    }
    session->role = role;
    session->id = ++sessions->last_id;
    session->instance = hello->instance;
    session->epoch = hello->epoch;
    take_name(session, &hello->name);
    session->address_len = zmq_msg_size(address);
    memcpy(session->address, zmq_msg_data((zmq_msg_t *)address),
           session->address_len);
    (void)snprintf(session->key, sizeof(session->key), "%s",
                   access_key_of(frames));
    session->heard_ms = session->since_ms = loop_now_ms(broker->loop);
    session->capacity = hello->capacity;
    if (role == WIRE_FETCHER) {
        session->granted = session->welcomed = window_promise(broker);
        session->job_window = window_of_job(session);
    }
    if (!add_unproven(sessions, session)) {
        free(session->algorithms);
        free(session);
        refuse(broker, role, address, WIRE_ERROR_REFUSED,
               "the broker is out of memory");
        return;
    }
    send_welcome(broker, session);
    session_send_ping(broker, session);
}

// A worker that comes back by itself did not die: nothing is charged.
static void
end_older(struct broker *broker, struct session *session, const char *why)
{
    session->is_crash = false;
    session->gone_why = why;
    session_end(broker, session);
}

void
session_on_hello(struct broker *broker, enum wire_role role,
                 const struct frames *frames, const struct wire_hello *hello)
{
    struct sessions *sessions = &broker->sessions;
    const zmq_msg_t *address = &frames->parts[0];
    struct session *here = session_at(sessions, role, address);
    struct session *same = find_by_instance(sessions, role, hello->instance);
    enum wire_error code;
    const char *why;

    // Whoever has another key is another worker, and ends nobody's session.
    if (same && strcmp(same->key, access_key_of(frames)) != 0) {
        refuse(broker, role, address, WIRE_ERROR_REFUSED,
               "a worker with another key has this instance");
        return;
    }
    // It was long on its way, over a connection that the worker has left.
    if (same && hello->epoch < same->epoch) {
        refuse(broker, role, address, WIRE_ERROR_REFUSED,
               "this worker has a newer session");
        return;
    }
    // Said again because the WELCOME took long: whatever has happened in the
    // session since then stands.
    if (same && same == here && hello->epoch == same->epoch) {
        here->heard_ms = loop_now_ms(broker->loop);
        send_welcome(broker, here);
        return;
    }
    if (here && here != same)
        end_older(broker, here, "another worker has its connection");
    if (same)
        end_older(broker, same, "it began anew");
    why = check_hello(broker, role, hello, &code);
    if (why)
        refuse(broker, role, address, code, why);
    else
        begin(broker, role, frames, hello);
}

void
session_prove(struct broker *broker, struct session *session)
{
    struct sessions *sessions = &broker->sessions;
    bool is_fetcher = session->role == WIRE_FETCHER;
    struct session **list =
        is_fetcher ? &sessions->fetchers : &sessions->hashers;
    size_t *len = is_fetcher ? &sessions->fetchers_len : &sessions->hashers_len;
    const struct keyring_key *key;

    if (*len >= SESSIONS_MAX) {
        session_doom(session, WIRE_ERROR_REFUSED,
                     "too many workers of this role");
        return;
    }
    if (is_fetcher && !window_open(broker, session)) {
        session_doom(session, WIRE_ERROR_REFUSED,
                     "no room in --buffer-memory for one more fetcher");
        return;
    }
    DL_DELETE(sessions->unproven[session->role], session);
    sessions->unproven_len[session->role]--;
    DL_APPEND(*list, session);
    ++*len;
    session->is_proven = true;
    key =
        access_find(broker->access, is_fetcher ? ACCESS_FETCHER : ACCESS_HASHER,
                    session->key);
    metrics_add(&broker->stats.sessions_begun[session->role], 1);
    log_info("worker.joined",
             "role=%s worker=%s session=%" PRIu64 " capacity=%" PRIu64
             " window=%" PRIu64 " key=%s",
             session_role_name(session->role), session->label, session->id,
             session->capacity, session->granted, key ? key->label : "\"\"");
}
