// session.h - what every subcommand begins with: a ZeroMQ context, signals, a
// connection; and how a failure becomes a line and an exit code
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H
#include "client/options.h"
#include "common/curve.h"

#include <stdbool.h>
#include <stdint.h>

struct remote;
struct embed;
struct embed_config;

struct session {
    void *zmq;
    struct remote *remote;
    struct embed *embed; // NULL: the broker is another process
    struct curve curve;
    int signal_fd;
    int64_t broker_wait_ms;
    bool has_said_trouble;
};

// Opens all of it. embed_config: run the roles in this process; NULL: use
// connection->broker (or the default one). Returns 0, or the exit code after
// having said why. session_close() in either case.
int session_open(struct session *session,
                 const struct connection_options *connection,
                 struct embed_config *embed_config);
void session_close(struct session *session);

// Says once what keeps the broker from working (its disk is full, it went
// away); NULL: that it works again, if anything was said. why is printable.
void session_say_trouble(struct session *session, const char *why);

// Says why a call of remote.h failed, and returns the exit code for it. batch:
// its id for the message, or NULL.
int session_fail(struct session *session, int err, const char *batch);

// The exit code when a signal came, 0 when none did.
int session_take_signal(struct session *session);

// Says how a submission that ended too early is continued or given up.
void session_say_open(const struct connection_options *connection,
                      const char *batch, uint64_t urls);

#endif
