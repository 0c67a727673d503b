// wire_scan.h - a first look at strangers' msgpack, before the library's
//
// msgpack-c allocates room for as many elements as an array's head declares.
// This walk comes first and costs about a nanosecond a byte: it allocates
// nothing, does not recurse, and lets pass only a frame that is exactly one
// whole value of the types the protocol uses, no deeper and with no more
// elements than the protocol's largest message.
#ifndef PROTO_WIRE_SCAN_H
#define PROTO_WIRE_SCAN_H
#include "common/limits.h"

#include <stddef.h>

// Arrays and maps inside one another: message, list, item, facts.
#define WIRE_DEPTH_MAX 4
// Values of one message, arrays and maps themselves included. The largest
// message, 1,024 FETCHED entries with every fact, has 45,059.
#define WIRE_VALUES_MAX (WIRE_ENTRIES_MAX * 64)

// Returns NULL when the frame may be given to msgpack, else one clause that
// says what is wrong with it; static.
const char *wire_scan(const void *data, size_t len);

#endif
