// apart.h - origins whose requests must not share a connection
//
// libcurl before 8.1 may take the reset of an HTTP/2 stream for the end of its
// body, while another stream of the connection is paused within libcurl. Where
// a length was told the missing bytes show. An origin that tells none has its
// requests made by HTTP/1.1, one a connection, from then on: chunks have a
// certain end. Origins that have sent bytes behind an answer are remembered in
// the same way (sharing.h), and those that speak HTTP/1.1 alone. Loop thread
// only.
#ifndef FETCHER_APART_H
#define FETCHER_APART_H
#include "common/limits.h"

#include <stdbool.h>
#include <stdint.h>

// All zeroes at first. Knows the latest only: one that is forgotten costs a
// request that is made twice.
struct apart {
    uint64_t keys[APART_ORIGINS_MAX];
};

// Of a URL's origin, however its letters, its own port or a dot at its end are
// written: a hash of it, never 0. Not parsed by libcurl, for each request asks:
// an origin with more spellings (percent signs, letters beyond ASCII) has more
// keys, and shares less.
uint64_t apart_key(const char *url);

void apart_add(struct apart *apart, uint64_t key);
void apart_remove(struct apart *apart, uint64_t key);
bool apart_has(const struct apart *apart, uint64_t key);

// False: this libcurl tells ends from resets.
bool apart_is_needed(void);

#endif
