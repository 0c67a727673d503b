// sessions_private.h - what the files of sessions share
#ifndef BROKER_SESSIONS_PRIVATE_H
#define BROKER_SESSIONS_PRIVATE_H
#include "broker/sessions.h"

// --- sessions.c ---

// "fetcher" or "hasher".
const char *session_role_name(enum wire_role role);

// The session on this connection (ZeroMQ's routing id), or NULL.
struct session *session_at(const struct sessions *sessions, enum wire_role role,
                           const zmq_msg_t *address);

// An ERROR to an address that may have no session.
void session_send_error(struct broker *broker, enum wire_role role,
                        const zmq_msg_t *address, enum wire_error code,
                        const char *text);

void session_send_ping(struct broker *broker, struct session *session);

// Ends the session and frees it: its jobs go back. Not while anybody walks its
// jobs or the lists of sessions; session_doom() is for then.
void session_end(struct broker *broker, struct session *session);

// --- sessions_join.c ---

// A HELLO, and the message that it came in: begins a session, or answers a
// repeated one, or refuses.
void session_on_hello(struct broker *broker, enum wire_role role,
                      const struct frames *frames,
                      const struct wire_hello *hello);

// The first PONG: from now on the session is a worker's, or doomed when there
// is no room for one more.
void session_prove(struct broker *broker, struct session *session);

// --- sessions_profile.c ---

// Returns the place of the batch's profile at the fetcher, which is told it if
// it does not know it.
uint64_t session_tell_profile(struct broker *broker, struct session *fetcher,
                              const struct batch *batch);

#endif
