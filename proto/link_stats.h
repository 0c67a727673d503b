// link_stats.h - what a worker's link to its broker has been through
//
// A link counts on its own thread; any other may read.
#ifndef PROTO_LINK_STATS_H
#define PROTO_LINK_STATS_H
#include "common/metrics.h"

// All zeros is the beginning. It outlives its link.
struct link_stats {
    struct metrics_value live;     // 1: a session is on; else 0
    struct metrics_value dials;    // connections tried
    struct metrics_value sessions; // begun
    struct metrics_value losses;   // sessions that ended without our BYE
    struct metrics_value refusals; // ERRORs of the broker
};

// Puts the families of all links of a program: item i is at links + i * stride
// bytes.
void link_stats_put(struct metrics_page *page, const struct link_stats *links,
                    size_t len, size_t stride);

#endif
