#include "broker/endpoints.h"

#include "broker/access.h"
#include "broker/guard.h"
#include "broker/state.h"
#include "common/curve.h"
#include "common/endpoint.h"
#include "common/limits.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

// Requests of a client that wait to be read; the rest stays with it.
#define CLIENT_REQUESTS_WAITING_MAX 2
// Replies that wait for a client that does not read; a well-behaved one has at
// most API_UNANSWERED_MAX.
#define CLIENT_REPLIES_MAX 32
// The kernel's buffers of one client, each direction: enough for a page while
// the next one is made.
#define CLIENT_KERNEL_BYTES (256 * 1024)
// Bytes of one client inside libzmq: what waits, and one frame in the making.
#define CLIENT_HELD_MAX ((uint64_t)1024 * 1024)
// The same of somebody who is not (yet) a worker: its HELLO is some KiB.
#define WORKER_STRANGER_HELD_MAX ((uint64_t)512 * 1024)
// TCP asks so often whether an idle peer's machine is there.
#define KEEPALIVE_S 10
// Who connects has so long for ZMTP's handshake.
#define HANDSHAKE_MS 10000
// Connections that wait to be accepted: a crowd must not make the others wait.
#define BACKLOG 1024

static int
set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

// What one endpoint may cost; see README.md, Memory.
struct listener {
    enum access_role role;
    const char *bind; // as written by the user
    int port;
    char endpoint[ENDPOINT_MAX];
    int64_t frame_max; // bytes, encryption not counted
    int received_max;  // messages of one peer that wait for us; 0: see guard
    int sent_max;      // ... that wait for it; 0: bounded by its credit
    int kernel_max;    // bytes in the kernel, a direction; 0: its own choice
    struct guard_config guard;
};

static int
set_up_router(const struct broker *broker, const struct listener *listener,
              void *socket)
{
    int64_t frame_max =
        listener->frame_max + (int64_t)listener->guard.frame_more;
    int ttl_ms = (int)broker->config->ttl_ms;

    if (set_int(socket, ZMQ_LINGER, 500) ||
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1) ||
        set_int(socket, ZMQ_IPV6, endpoint_is_ipv6(listener->endpoint)) ||
        set_int(socket, ZMQ_RCVHWM, listener->received_max) ||
        set_int(socket, ZMQ_SNDHWM, listener->sent_max) ||
        // A peer whose machine is gone loses its connection, and the broker
        // what waits to be sent there. Who is stopped does as well, where
        // messages wait without a limit. Where they are limited, libzmq
        // (to 4.3.5) must not have heartbeats: it aborts when one is due on
        // a connection that ended while its input was held back.
        set_int(socket, ZMQ_TCP_KEEPALIVE, 1) ||
        set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S) ||
        set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S) ||
        set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, 3) ||
        (!listener->received_max &&
         (set_int(socket, ZMQ_HEARTBEAT_IVL, ttl_ms / 2) ||
          set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, ttl_ms))) ||
        set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) ||
        set_int(socket, ZMQ_BACKLOG, BACKLOG) ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)))
        return -1;
    if (!listener->kernel_max)
        return 0;
    return set_int(socket, ZMQ_RCVBUF, listener->kernel_max) ||
           set_int(socket, ZMQ_SNDBUF, listener->kernel_max);
}

// With keys, each endpoint has one of ZeroMQ's threads to itself: what comes
// from fetchers is decrypted beside what is encrypted for hashers.
static int
choose_thread(const struct broker *broker, void *zmq, enum access_role role,
              void *socket)
{
    int threads = zmq_ctx_get(zmq, ZMQ_IO_THREADS);
    uint64_t affinity;

    if (!broker->access || threads <= 1)
        return 0;
    affinity = UINT64_C(1) << ((int)role % threads);
    return zmq_setsockopt(socket, ZMQ_AFFINITY, &affinity, sizeof(affinity));
}

static int
bind_router(struct broker *broker, void *zmq, const struct listener *listener,
            void **out_socket, struct guard **out_guard)
{
    void *socket = zmq_socket(zmq, ZMQ_ROUTER);
    char shown[ENDPOINT_MAX * 2];
    int err;

    *out_socket = socket;
    err = socket && set_up_router(broker, listener, socket) == 0 &&
                  choose_thread(broker, zmq, listener->role, socket) == 0 &&
                  access_bind(broker->access, listener->role, socket) == 0
              ? 0
              : -1;
    // Before the first connection can be there.
    if (!err && strncmp(listener->endpoint, "inproc:", 7) != 0)
        err = guard_new(broker->loop, zmq, socket, &listener->guard, out_guard);
    if (err || zmq_bind(socket, listener->endpoint)) {
        log_error("broker.bind", "endpoint=%s error=\"%s\"",
                  log_escape(listener->endpoint, strlen(listener->endpoint),
                             shown, sizeof(shown)),
                  zmq_strerror(zmq_errno()));
        return 3;
    }
    return 0;
}

// A connection ended on which nothing was ever heard.
static void
on_unheard(void *arg, enum access_role role, bool is_wrong_proof,
           const char *address)
{
    struct broker *broker = arg;

    refusals_note(&broker->refusals, role,
                  is_wrong_proof ? REFUSAL_WRONG_PROOF : REFUSAL_NO_KEY,
                  address, NULL, NULL);
}

static void
describe(struct broker *broker, struct listener listeners[ACCESS_ROLES])
{
    const struct broker_config *config = broker->config;
    // A worker in its session has as much on its way as its credit allows; the
    // broker cannot tell more before it reads.
    const struct listener worker = {
        .frame_max = WIRE_HEAD_BYTES_MAX,
        .guard = {.stranger_max = WORKER_STRANGER_HELD_MAX,
                  .trusted_max =
                      (uint64_t)config->buffer_memory + 2 * WIRE_HEAD_BYTES_MAX,
                  .is_rated = true},
    };

    listeners[ACCESS_CLIENT] = (struct listener){
        .bind = config->client_bind,
        .port = PORT_CLIENT,
        .frame_max = REQUEST_FRAME_BYTES_MAX,
        .received_max = CLIENT_REQUESTS_WAITING_MAX,
        .sent_max = CLIENT_REPLIES_MAX,
        .kernel_max = CLIENT_KERNEL_BYTES,
        .guard = {.stranger_max = CLIENT_HELD_MAX,
                  .trusted_max = CLIENT_HELD_MAX},
    };
    listeners[ACCESS_FETCHER] = worker;
    listeners[ACCESS_FETCHER].bind = config->fetcher_bind;
    listeners[ACCESS_FETCHER].port = PORT_FETCHER;
    listeners[ACCESS_HASHER] = worker;
    listeners[ACCESS_HASHER].bind = config->hasher_bind;
    listeners[ACCESS_HASHER].port = PORT_HASHER;
    for (int i = 0; i < ACCESS_ROLES; i++) {
        listeners[i].role = listeners[i].guard.role = (enum access_role)i;
        if (!broker->access)
            continue;
        listeners[i].guard.frame_more = CURVE_FRAME_BYTES;
        listeners[i].guard.on_unheard = on_unheard;
        listeners[i].guard.arg = broker;
    }
}

int
endpoints_io_threads(const struct broker_config *config)
{
    return config->key_file && *config->key_file ? ACCESS_ROLES : 1;
}

int
endpoints_bind(struct broker *broker, void *zmq, void **out_client)
{
    struct listener listeners[ACCESS_ROLES] = {0};
    void **sockets[ACCESS_ROLES] = {out_client,
                                    &broker->sessions.fetcher_socket,
                                    &broker->sessions.hasher_socket};
    struct guard **guards[ACCESS_ROLES] = {
        &broker->client_guard, &broker->fetcher_guard, &broker->hasher_guard};
    char shown[ENDPOINT_MAX * 2];
    int code = 0;

    describe(broker, listeners);
    for (int i = 0; i < ACCESS_ROLES && !code; i++) {
        struct listener *listener = &listeners[i];

        if (endpoint_resolve(listener->bind, listener->port,
                             listener->endpoint) != 0) {
            log_error("broker.bind", "endpoint=%s error=\"" ENDPOINT_FORMS "\"",
                      log_escape(listener->bind, strlen(listener->bind), shown,
                                 sizeof(shown)));
            return 2;
        }
        code = access_check_reach(broker, listener->role, listener->endpoint);
    }
    for (int i = 0; i < ACCESS_ROLES && !code; i++)
        code = bind_router(broker, zmq, &listeners[i], sockets[i], guards[i]);
    return code;
}
