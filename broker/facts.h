// facts.h - a transfer's facts, from the wire to a record
//
// Pure; any thread.
#ifndef BROKER_FACTS_H
#define BROKER_FACTS_H
#include "proto/declared.h"

#include <stddef.h>

// Serializes as urlsum.v1.Facts. The caller frees *out_data. Strings that are
// no UTF-8 are made so (bytes beyond ASCII become '?'), for the schema asks for
// it. Returns 0 or -ENOMEM.
int facts_encode(const struct wire_facts *facts, const char *fetcher,
                 unsigned char **out_data, size_t *out_len);

// Declared digests of one body: as many as WIRE_FACT_MAX bytes of text can
// name.
#define FACTS_DECLARED_MAX 48

struct facts_declared {
    struct declared said;
    struct wire_bytes computed; // at == NULL: it cannot be compared
    bool agrees;
};

// Bytes that add declared digests to serialized facts when put behind them. The
// caller frees *out_data. len is not 0. Returns 0 or -ENOMEM.
int facts_encode_declared(const struct facts_declared *items, size_t len,
                          unsigned char **out_data, size_t *out_len);

// Bytes that add the hasher's name to serialized facts when put behind them.
// Returns their number; out needs WIRE_NAME_MAX + 4.
size_t facts_encode_hasher(const char *hasher, unsigned char *out);

#endif
