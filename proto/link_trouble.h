// link_trouble.h - what the log says of a broker that cannot be reached
//
// Each cause has one line when it comes up, and again when it is another; of a
// broker that is silent there is a line ever more seldom. One thread.
#ifndef PROTO_LINK_TROUBLE_H
#define PROTO_LINK_TROUBLE_H
#include "common/curve.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct link_trouble {
    const char *label;  // the worker's, as it may stand in the log; borrowed
    char endpoint[600]; // ... and the endpoint
    enum wire_role role;
    enum curve_failure failure; // of the last connection that was not made
    uint64_t due_ms;            // of silence; the next line then
};

// As link_trouble_on_answer(), of a link whose broker has not spoken yet.
void link_trouble_init(struct link_trouble *trouble, const char *label,
                       const char *endpoint, enum wire_role role);

// No connection was made, or it broke. Returns whether it will be so until
// somebody changes a key (curve_is_final()) and was not so before.
bool link_trouble_on_failure(struct link_trouble *trouble,
                             enum curve_failure failure);

// A connection was made, and nobody has said anything yet.
void link_trouble_on_connection(struct link_trouble *trouble);

// No session, and nobody has answered for so long: the broker is down, or
// somebody has mistyped.
void link_trouble_on_silence(struct link_trouble *trouble, uint64_t for_ms);

// The broker answers.
void link_trouble_on_answer(struct link_trouble *trouble);

#endif
