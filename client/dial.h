// dial.h - one DEALER socket to one endpoint, and whether it is connected
#ifndef CLIENT_DIAL_H
#define CLIENT_DIAL_H
#include <stdbool.h>

struct dial {
    void *socket;
    void *monitor; // tells of connections; NULL for inproc, which has none
};

enum dial_event { DIAL_NOTHING, DIAL_CONNECTED, DIAL_DISCONNECTED, DIAL_OTHER };

// Makes the socket and begins to connect. inproc is connected at once. Returns
// 0 or a negative errno (nothing is open then).
int dial_open(struct dial *dial, void *zmq, const char *endpoint);

// Drops everything, what waits to be sent too. Not open is fine.
void dial_close(struct dial *dial);

// What the monitor tells next; DIAL_NOTHING: no more for now.
enum dial_event dial_take_event(struct dial *dial);

// True when a message waits to be received.
bool dial_has_input(const struct dial *dial);

#endif
