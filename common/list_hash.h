// list_hash.h - one number for a list of URLs, to notice that it is another one
//
// FNV-1a, 64 bits (draft-eastlake-fnv), over every URL followed by a line feed.
// It protects from mistakes, not from malice. Any thread.
#ifndef COMMON_LIST_HASH_H
#define COMMON_LIST_HASH_H
#include <stddef.h>
#include <stdint.h>

// The hash of no URLs.
#define LIST_HASH_EMPTY UINT64_C(0xcbf29ce484222325)

// The hash of a list that goes on with one more URL.
static inline uint64_t
list_hash_add(uint64_t hash, const char *url, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)url[i]) * UINT64_C(0x100000001b3);
    return (hash ^ '\n') * UINT64_C(0x100000001b3);
}

#endif
