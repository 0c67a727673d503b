// worker_link.h - a worker's half of the dialogue; fetcher and hasher share it
//
// Owns one DEALER socket to the broker and the session on it: HELLO until
// WELCOME (with back-off and jitter), PING/PONG, giving a silent broker up
// after the TTL, HELLO anew after ERROR no_session, BYE when draining. What
// remains (JOBS, CREDIT, ABORT, HASH) goes to the owner. Loop thread only.
//
// States: IDLE (socket made, nothing said) -> GREETING (HELLO sent) -> LIVE
// (WELCOME came) -> LEAVING (BYE sent). A lost session falls back to GREETING.
#ifndef PROTO_WORKER_LINK_H
#define PROTO_WORKER_LINK_H
#include "proto/wire.h"

#include <zmq.h>

struct loop;
struct worker_link;

struct worker_link_owner {
    void *arg;
    // A session began: start from nothing with these windows.
    void (*on_welcome)(void *arg, const struct wire_welcome *welcome);
    // The session is gone: drop every job in hand; nothing may be sent for
    // them. The link is already on its way to the next session.
    void (*on_lost)(void *arg);
    // JOBS, CREDIT, ABORT or HASH of the live session. body is the raw frame of
    // HASH (NULL otherwise), its length already checked against the segments;
    // the owner may take it by zmq_msg_move, else it is closed afterwards.
    void (*on_message)(void *arg, const struct wire_message *message,
                       zmq_msg_t *body);
    // What PONG reports.
    uint64_t (*load)(void *arg);
};

struct worker_link_config {
    const char *endpoint; // resolved: role's port already added
    enum wire_role role;
    const char *name;
    uint64_t capacity;
    const char *const *algorithms; // hasher; NULL-terminated; borrowed
    int recv_messages_max; // ZMQ_RCVHWM: bounds what waits in this process
};

// Makes the socket, connects, says HELLO as soon as the loop runs. Returns 0 or
// a negative errno. The caller owns *out_link; config is copied.
int worker_link_new(struct loop *loop, void *zmq,
                    const struct worker_link_config *config,
                    const struct worker_link_owner *owner,
                    struct worker_link **out_link);
void worker_link_free(struct worker_link **link);

// True between WELCOME and loss or BYE(final).
bool worker_link_is_live(const struct worker_link *link);

// Sends what is in buf as a message of the live session; with body (may be
// NULL) as its raw frame, which is taken (*body is an empty message then).
// Without a live session the message is dropped: its jobs are gone anyway.
// Returns 0, -ENOTCONN when dropped, or -ENOMEM.
int worker_link_send(struct worker_link *link, const struct wire_buf *buf,
                     zmq_msg_t *body);

// A scratch buffer for the owner's wire_put_*(); valid until the next use.
struct wire_buf *worker_link_buf(struct worker_link *link);

// Says BYE: not final = no new work; final = gone (the session ends here).
void worker_link_bye(struct worker_link *link, bool is_final);

#endif
