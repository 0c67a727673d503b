// list_hash.h - one number for a list of URLs, to notice that it is another one
//
// That of fnv.h over every URL followed by a line feed. Any thread.
#ifndef COMMON_LIST_HASH_H
#define COMMON_LIST_HASH_H
#include "common/fnv.h"

// The hash of no URLs.
#define LIST_HASH_EMPTY FNV_EMPTY

// The hash of a list that goes on with one more URL.
static inline uint64_t
list_hash_add(uint64_t hash, const char *url, size_t len)
{
    return fnv_add_byte(fnv_add(hash, url, len), '\n');
}

#endif
