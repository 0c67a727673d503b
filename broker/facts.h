// facts.h - a transfer's facts, from the wire to a record
#ifndef BROKER_FACTS_H
#define BROKER_FACTS_H
#include "proto/wire.h"

#include <stddef.h>

// Serializes as urlsum.v1.Facts. The caller frees *out_data. Strings that are
// no UTF-8 are made so (bytes beyond ASCII become '?'), for the schema asks for
// it. Returns 0 or -ENOMEM.
int facts_encode(const struct wire_facts *facts, const char *fetcher,
                 unsigned char **out_data, size_t *out_len);

// Bytes that add the hasher's name to serialized facts when put behind them.
// Returns their number; out needs WIRE_NAME_MAX + 4.
size_t facts_encode_hasher(const char *hasher, unsigned char *out);

#endif
