// validator.h - which version of a resource an answer speaks of
//
// A transfer that goes on after a cut must get bytes of the very same version.
// A strong validator proves it (RFC 9110, 8.8.1): an entity-tag that is not
// weak, or, where there is no entity-tag at all, a Last-Modified that is well
// older than the answer (8.8.2.2). Pure.
#ifndef FETCHER_VALIDATOR_H
#define FETCHER_VALIDATOR_H
#include "proto/wire.h"

#include <stdbool.h>

// Bytes of a validator. Servers' are below 100; with a longer one a transfer is
// not resumed.
#define VALIDATOR_BYTES_MAX 255

// A Last-Modified is strong when Date is so many seconds later. One second is
// what RFC 9110 asks for where both come of one clock; the minute of its
// predecessor (RFC 7232) is for servers that are several machines.
#define VALIDATOR_AGE_MIN_S 60

struct validator {
    enum { VALIDATOR_NONE, VALIDATOR_ETAG, VALIDATOR_DATE } kind;
    char text[VALIDATOR_BYTES_MAX + 1]; // as the server wrote it: for If-Range
    size_t len;
};

// The fields of an answer that matter here; at == NULL: it has none. One that
// came twice, with different values, is given as an empty one (len 0).
struct validator_fields {
    struct wire_bytes etag;
    struct wire_bytes last_modified;
    struct wire_bytes date;
};

// Makes the strong validator of an answer, or VALIDATOR_NONE.
void validator_choose(const struct validator_fields *fields,
                      struct validator *out_validator);

// True when another answer speaks of the same version for sure: it has the same
// validator. One without proves nothing.
bool validator_matches(const struct validator *validator,
                       const struct validator_fields *fields);

#endif
