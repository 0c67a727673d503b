// fnv.h - FNV-1a, 64 bits (draft-eastlake-fnv, 2): spread enough for a table
//
// It protects from mistakes, not from malice. The store keeps such numbers, so
// they never change. Any thread.
#ifndef COMMON_FNV_H
#define COMMON_FNV_H
#include <stddef.h>
#include <stdint.h>

// The hash of nothing.
#define FNV_EMPTY UINT64_C(0xcbf29ce484222325)

// The hash of what was hashed so far and one more byte, or len more.
static inline uint64_t
fnv_add_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

static inline uint64_t
fnv_add(uint64_t hash, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = fnv_add_byte(hash, (unsigned char)at[i]);
    return hash;
}

#endif
