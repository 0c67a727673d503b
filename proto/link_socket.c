#include "proto/link_socket.h"

#include "common/curve.h"
#include "common/endpoint.h"

#include <stdio.h>
#include <zmq.h>

// TCP finds a peer that is gone without a word also while there is no session,
// and so no TTL: idle, or with something unheard. ZeroMQ's heartbeats would,
// but to 4.3.5 it aborts the process when one is due on a connection that ended
// while the receive queue was full (libzmq #4364).
#define KEEPALIVE_S 3
#define UNHEARD_MS 10000
// A BYE is worth this much waiting at the end, no more.
#define LINGER_MS 500

static int
set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) ? -zmq_errno()
                                                                 : 0;
}

static int
set_options(void *socket, const struct link_socket_config *config)
{
    int err;

    if ((err = set_int(socket, ZMQ_LINGER, LINGER_MS)) ||
        (err = set_int(socket, ZMQ_RCVHWM, config->recv_messages_max)) ||
        // What may be sent is bounded by credit and jobs, not here.
        (err = set_int(socket, ZMQ_SNDHWM, 0)) ||
        // A name's families by turns: either may be the one that answers.
        (err = set_int(socket, ZMQ_IPV6,
                       config->number % 2 ||
                           endpoint_is_ipv6(config->endpoint))) ||
        // Nothing is queued for a connection that is not there.
        (err = set_int(socket, ZMQ_IMMEDIATE, 1)) ||
        (err = set_int(socket, ZMQ_TCP_KEEPALIVE, 1)) ||
        (err = set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S)) ||
        (err = set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S)) ||
        (err = set_int(socket, ZMQ_TCP_MAXRT, UNHEARD_MS)) ||
        (err = set_int(socket, ZMQ_CONNECT_TIMEOUT, LINK_DIAL_MS)) ||
        (err = set_int(socket, ZMQ_RECONNECT_IVL, -1)) ||
        (err = curve_connect(config->curve, socket)))
        return err;
    return 0;
}

// Whatever ends a connection, or keeps it from coming to be.
#define ENDINGS                                                                \
    (ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |                               \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                                    \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

int
link_socket_open(struct link_socket *it,
                 const struct link_socket_config *config)
{
    char monitor[64];
    int err;

    it->socket = zmq_socket(config->zmq, ZMQ_DEALER);
    it->monitor = zmq_socket(config->zmq, ZMQ_PAIR);
    if (!it->socket || !it->monitor)
        return -zmq_errno();
    err = set_options(it->socket, config);
    if (err)
        return err;
    (void)snprintf(monitor, sizeof(monitor), "inproc://link-monitor-%p-%u",
                   (void *)it, config->number);
    if (zmq_socket_monitor(it->socket, monitor,
                           ENDINGS | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0 ||
        zmq_connect(it->monitor, monitor) != 0 ||
        zmq_connect(it->socket, config->endpoint) != 0)
        return -zmq_errno();
    return 0;
}

void
link_socket_close(struct link_socket *it, bool is_unsent_dropped)
{
    if (it->socket) {
        (void)zmq_socket_monitor(it->socket, NULL, 0);
        if (is_unsent_dropped)
            (void)set_int(it->socket, ZMQ_LINGER, 0);
        (void)zmq_close(it->socket);
    }
    if (it->monitor)
        (void)zmq_close(it->monitor);
    *it = (struct link_socket){0};
}
