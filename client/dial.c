#include "client/dial.h"

#include "common/endpoint.h"
#include "common/limits.h"
#include "common/monitor.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

// A reply above this is not one: a page is RESULTS_BYTES_MAX and a little.
#define REPLY_BYTES_MAX (16 * 1024 * 1024)
// ZeroMQ's own heartbeats find a peer that vanished without a word.
#define HEARTBEAT_MS 10000
#define HEARTBEAT_TIMEOUT_MS 30000

static int
set_option(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) ? -errno : 0;
}

// Whether only with ZMQ_IPV6 the endpoint is reached: see endpoint_is_ipv6().
static int
needs_ipv6(const char *endpoint)
{
    static const struct addrinfo of_ipv4 = {.ai_family = AF_INET};
    char host[ENDPOINT_MAX], port[6];
    struct addrinfo *found = NULL;

    if (endpoint_is_ipv6(endpoint))
        return 1;
    if (strncmp(endpoint, "tcp://", 6) != 0 ||
        endpoint_split(endpoint + 6, PORT_CLIENT, host, port) != 0 ||
        getaddrinfo(host, NULL, &of_ipv4, &found) == 0) {
        if (found)
            freeaddrinfo(found);
        return 0;
    }
    return 1;
}

static int
set_options(void *socket, const char *endpoint)
{
    int64_t reply_bytes_max = REPLY_BYTES_MAX;
    int err = 0;

    err = err ? err : set_option(socket, ZMQ_LINGER, 0);
    err = err ? err : set_option(socket, ZMQ_IPV6, needs_ipv6(endpoint));
    err = err ? err : set_option(socket, ZMQ_RECONNECT_IVL, 100);
    err = err ? err : set_option(socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    err = err ? err : set_option(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    err = err ? err
              : set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS);
    if (!err && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &reply_bytes_max,
                               sizeof(reply_bytes_max)))
        err = -errno;
    return err;
}

static int
watch_connection(struct dial *dial, void *zmq)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "inproc://client-monitor-%p",
                   dial->socket);
    if (zmq_socket_monitor(dial->socket, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED))
        return -errno;
    dial->monitor = zmq_socket(zmq, ZMQ_PAIR);
    if (!dial->monitor || zmq_connect(dial->monitor, name))
        return -errno;
    return 0;
}

int
dial_open(struct dial *dial, void *zmq, const char *endpoint,
          const struct curve *curve)
{
    int err;

    *dial = (struct dial){.socket = zmq_socket(zmq, ZMQ_DEALER),
                          .curve = curve,
                          .failure = dial->failure};
    if (!dial->socket)
        return -errno;
    err = set_options(dial->socket, endpoint);
    if (!err)
        err = curve_connect(curve, dial->socket);
    if (!err && strncmp(endpoint, "inproc://", 9) != 0)
        err = watch_connection(dial, zmq);
    if (!err && zmq_connect(dial->socket, endpoint))
        err = -errno;
    if (err)
        dial_close(dial);
    return err;
}

void
dial_close(struct dial *dial)
{
    // The monitor ends before its reader: libzmq's thread would wait for ever
    // to tell a reader that is gone.
    if (dial->socket)
        (void)zmq_socket_monitor(dial->socket, NULL, 0);
    if (dial->monitor)
        (void)zmq_close(dial->monitor); // ours, open: cannot fail
    if (dial->socket)
        (void)zmq_close(dial->socket);
    *dial = (struct dial){.failure = dial->failure};
}

enum dial_event
dial_take_event(struct dial *dial)
{
    struct monitor_event event;

    if (!dial->monitor || monitor_recv(dial->monitor, &event) != 0)
        return DIAL_NOTHING;
    if (event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        dial->failure = CURVE_FINE;
        return DIAL_CONNECTED;
    }
    if (event.event == ZMQ_EVENT_DISCONNECTED)
        return DIAL_DISCONNECTED;
    dial->failure = curve_failure_of(dial->curve, &event);
    return DIAL_OTHER;
}

bool
dial_has_input(const struct dial *dial)
{
    int events = 0;
    size_t size = sizeof(events);

    if (!dial->socket ||
        zmq_getsockopt(dial->socket, ZMQ_EVENTS, &events, &size))
        return false;
    return events & ZMQ_POLLIN;
}
