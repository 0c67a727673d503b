// fetch_stats.h - what /metrics and /readyz tell of a fetcher
//
// Loop thread only.
#ifndef FETCHER_FETCH_STATS_H
#define FETCHER_FETCH_STATS_H
#include "proto/link_stats.h"

#include <stdbool.h>

struct http;
struct loop;

// The fetcher counts here; all zeros is its beginning.
struct fetch_stats {
    struct link_stats link;
    bool is_draining;
};

// Serves them at the address (--http). Returns 0 or a negative errno, which was
// logged. The caller owns *out_http and frees it before stats.
int fetch_stats_serve(struct fetch_stats *stats, struct loop *loop,
                      const char *address, struct http **out_http);

#endif
