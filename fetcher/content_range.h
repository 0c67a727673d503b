// content_range.h - the header field Content-Range (RFC 9110, 14.4)
//
// Pure. Strict: what is not exactly of the grammar, or impossible, is refused,
// for a body that goes on at a wrong place would have a wrong digest.
#ifndef FETCHER_CONTENT_RANGE_H
#define FETCHER_CONTENT_RANGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A complete length that is not told.
#define CONTENT_RANGE_UNKNOWN UINT64_MAX

struct content_range {
    bool is_satisfied;    // false: "*/N", as a 416 has it
    uint64_t first, last; // the bytes in this answer, both included
    uint64_t total;       // of the whole; CONTENT_RANGE_UNKNOWN: "*"
};

// Reads the field's value, without blanks around it. Returns 0, or -EINVAL:
// another grammar, another unit than bytes, last before first, not below total,
// or numbers beyond what a body can have (WIRE_SIZE_MAX).
int content_range_parse(const char *value, size_t len,
                        struct content_range *out_range);

#endif
