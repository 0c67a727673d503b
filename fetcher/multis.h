// multis.h - several multis, of which an origin has one
//
// libcurl looks at all connections of a multi whenever a transfer ends: with
// thousands of them that would be most of its time. So there is one for each so
// many transfers, and an origin's hash says which is its: its requests can
// share connections. The fetcher has one such set, and each profile that keeps
// its connections apart another one. Loop thread only.
#ifndef FETCHER_MULTIS_H
#define FETCHER_MULTIS_H
#include "fetcher/multi.h"

// Transfers that one multi is for, and multis at most.
#define MULTI_TRANSFERS 256
#define MULTIS_MAX 128
// Open files that libcurl has for each.
#define MULTI_FILES 2

// What a set and its multis are made with.
struct multis_config {
    struct loop *loop;
    struct multi_sockets *sockets;
    multi_done_fn *done;
    void *arg;
    size_t len;     // 1 to MULTIS_MAX
    long kept_each; // connections that each may keep, whatever others have
};

struct multis {
    struct multis_config config;
    struct multi *items[MULTIS_MAX]; // made when first wanted
};

// How many for so many transfers.
size_t multis_len_for(size_t transfers);

void multis_init(struct multis *multis, const struct multis_config *config);
// All transfers must have ended.
void multis_fini(struct multis *multis);

// That of an origin, given its hash. NULL: no memory.
struct multi *multis_get(struct multis *multis, uint64_t origin);

// multi_turn() and multi_is_due() of all.
void multis_turn(struct multis *multis);
bool multis_are_due(const struct multis *multis);

#endif
