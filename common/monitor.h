// monitor.h - what libzmq tells about a socket's connections
#ifndef COMMON_MONITOR_H
#define COMMON_MONITOR_H
#include <stdint.h>

struct monitor_event {
    unsigned event; // ZMQ_EVENT_*
    int32_t value;  // a descriptor, an errno or a code, by the event
};

// Takes the next event from a socket that is connected to a monitor (see
// zmq_socket_monitor(3)), without waiting. Returns 0, or a negative errno when
// there is none (-EAGAIN). What cannot be understood is event 0.
int monitor_recv(void *socket, struct monitor_event *out_event);

#endif
