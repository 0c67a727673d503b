// suite.h - a batch's list of digest algorithms, as text and as lengths
//
// Pure; any thread.
#ifndef BROKER_SUITE_H
#define BROKER_SUITE_H
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>

struct suite {
    char text[256]; // "sha512,sha256": OpenSSL's names, lower case
    size_t len;     // algorithms
    size_t digest_bytes[WIRE_ALGORITHMS_MAX];
    size_t total_bytes; // of all digests end to end
};

// Adds an algorithm by one of OpenSSL's names; case does not matter. Returns 0,
// -EINVAL (unknown, no fixed length, or there already) or -ENOSPC.
int suite_add(struct suite *suite, const char *name, size_t len);

// The place of an algorithm, by its exact name; len when it is not there.
size_t suite_find(const struct suite *suite, const char *name);

// Reads "a,b,c". Returns as suite_add; -EINVAL for an empty list.
int suite_parse(const char *text, struct suite *out_suite);

#endif
