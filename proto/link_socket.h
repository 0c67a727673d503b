// link_socket.h - a worker's socket: one connection in its life
//
// ZeroMQ is told not to connect again by itself, so whatever comes out of a
// socket is of one connection and in its order, and nothing old can arrive
// between the words of a later session. Part of worker_link.c.
// The link's thread only.
#ifndef PROTO_LINK_SOCKET_H
#define PROTO_LINK_SOCKET_H
#include <stdbool.h>

struct curve;

// A connection that is not there by then is tried anew: a lost SYN, or a
// machine that takes connections and answers nothing.
#define LINK_DIAL_MS 3000

struct link_socket {
    void *socket;  // DEALER
    void *monitor; // PAIR of libzmq's connection events
};

struct link_socket_config {
    void *zmq;
    const char *endpoint;
    int recv_messages_max;     // ZMQ_RCVHWM
    const struct curve *curve; // NULL: no keys
    unsigned number;           // another one for each socket of this owner
};

// Connects, and has the monitor tell how that goes:
// ZMQ_EVENT_HANDSHAKE_SUCCEEDED, and whatever ends the connection or keeps it
// from coming to be. Returns 0 or a negative errno; link_socket_close() in
// either case.
int link_socket_open(struct link_socket *it,
                     const struct link_socket_config *config);

// is_unsent_dropped: what waits to be sent is worth no waiting. Closing what is
// closed is fine.
void link_socket_close(struct link_socket *it, bool is_unsent_dropped);

#endif
