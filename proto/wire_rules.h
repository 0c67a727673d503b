// wire_rules.h - rules that the encoder keeps and the decoder enforces
//
// Private to proto/wire*.c; the public ones are in wire.h.
#ifndef PROTO_WIRE_RULES_H
#define PROTO_WIRE_RULES_H
#include "proto/wire.h"

// A fact's ceiling by its key: counts and codes come first, then times ...
uint64_t wire_fact_number_max(unsigned key);
// ... and bytes of the strings; message and final_url have their own.
size_t wire_fact_string_max(unsigned key);

// True when every byte is printable ASCII, the empty text included.
bool wire_is_printable(struct wire_bytes text);

// What segments of one message must keep to, also among one another (of a
// BODY's, every suite is 0). Returns NULL and their bytes, or a clause; static.
const char *wire_segments_complaint(const struct wire_segment *segments,
                                    size_t len, size_t *out_bytes);

#endif
