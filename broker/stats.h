// stats.h - what /metrics and /readyz tell of the broker
//
// Loop thread only.
#ifndef BROKER_STATS_H
#define BROKER_STATS_H

struct broker;
struct http;

// Serves them at the address (--http). Returns 0 or a negative errno, which was
// logged. The caller owns *out_http and frees it before the broker.
int stats_serve(struct broker *broker, const char *address,
                struct http **out_http);

#endif
