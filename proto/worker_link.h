// worker_link.h - a worker's half of the dialogue; fetcher and hasher share it
//
// Owns the connection to the broker and the session on it: HELLO until WELCOME
// (with back-off and jitter), PING/PONG, giving a silent broker up after the
// TTL, HELLO anew after ERROR no_session, another connection when one broke,
// BYE when draining. What remains (JOBS, CREDIT, ABORT, HASH) goes to the
// owner. Loop thread only.
//
// States: DOWN (waits before it connects) -> GREETING (HELLO sent) -> LIVE
// (WELCOME came) -> LEFT (BYE final, of either side). A lost session falls back
// to GREETING, a lost connection to DOWN, each with the next epoch: whatever is
// left of the last one is told apart and thrown away.
#ifndef PROTO_WORKER_LINK_H
#define PROTO_WORKER_LINK_H
#include "proto/wire.h"

#include <zmq.h>

struct curve;
struct link_stats;
struct loop;
struct worker_link;

// A worker's report about itself. The items may be any number, and stay the
// owner's: they must last until the next call.
struct worker_pong {
    uint64_t load;                    // jobs in hand; a hasher: bodies begun
    const struct wire_vouched *items; // a fetcher's: the jobs it vouches for
    size_t len;
};

struct worker_link_owner {
    void *arg;
    // A session began: start from nothing with these windows.
    void (*on_welcome)(void *arg, const struct wire_welcome *welcome);
    // The session is gone: drop every job in hand; nothing may be sent for
    // them. The link is already on its way to the next session; but after
    // worker_link_bye(not final) it may be that the broker let us go, and the
    // owner should leave whatever the cause.
    void (*on_lost)(void *arg);
    // JOBS, CREDIT, ABORT or HASH of the live session. body is the raw frame of
    // HASH (NULL otherwise), its length already checked against the segments;
    // the owner may take it by zmq_msg_move, else it is closed afterwards.
    void (*on_message)(void *arg, const struct wire_message *message,
                       zmq_msg_t *body);
    // What the PONG reports that answers a PING. The list may be left out
    // unless it is due, which it is several times a TTL.
    void (*on_ping)(void *arg, bool is_list_due, struct worker_pong *out_pong);
};

struct worker_link_config {
    const char *endpoint; // resolved: role's port already added
    enum wire_role role;
    const char *name;
    uint64_t capacity;
    const char *const *algorithms; // hasher; NULL-terminated; borrowed
    const struct curve *curve;     // keys, borrowed; NULL: none
    int recv_messages_max;    // ZMQ_RCVHWM: bounds what waits in this process
    struct link_stats *stats; // borrowed; NULL: nobody asks
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

// Says BYE: not final = no new work (the broker answers by a final one, and so
// by on_lost(), once it has nothing of this worker in hand any more); final =
// gone (the session ends here).
void worker_link_bye(struct worker_link *link, bool is_final);

#endif
