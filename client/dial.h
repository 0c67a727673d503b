// dial.h - one DEALER socket to one endpoint, and whether it is connected
#ifndef CLIENT_DIAL_H
#define CLIENT_DIAL_H
#include "common/curve.h"

#include <stdbool.h>

struct dial {
    void *socket;
    void *monitor; // tells of connections; NULL for inproc, which has none
    const struct curve *curve;
    enum curve_failure failure; // of the last connection that was not made
};

enum dial_event { DIAL_NOTHING, DIAL_CONNECTED, DIAL_DISCONNECTED, DIAL_OTHER };

// Makes the socket and begins to connect, with keys (borrowed) unless curve is
// NULL. inproc is connected at once. Returns 0 or a negative errno (nothing is
// open then).
int dial_open(struct dial *dial, void *zmq, const char *endpoint,
              const struct curve *curve);

// Drops everything, what waits to be sent too. Not open is fine.
void dial_close(struct dial *dial);

// What the monitor tells next; DIAL_NOTHING: no more for now.
enum dial_event dial_take_event(struct dial *dial);

// True when a message waits to be received.
bool dial_has_input(const struct dial *dial);

#endif
