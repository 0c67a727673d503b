// broker.h - the broker role: durable queue, scheduler, politeness, results
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H
#include "common/conf.h"
#include "common/log_conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct role;

struct broker_config {
    const char *client_bind; // as written by the user; resolved by the broker
    const char *fetcher_bind;
    const char *hasher_bind;
    const char *key_file;   // the broker's secret; NULL or "": no keys
    const char *authorized; // directory of the keys that may connect
    bool is_insecure;       // without keys strangers may reach it
    const char *store;      // file; NULL or "": a private temporary one
    bool is_ephemeral;      // the embedded run: temporary store, no fsync
    int64_t
        parallel_max_host; // transfers at once an origin, of the whole fleet
    int64_t rate;          // ... begun an hour, in thousandths; 0: any
    const char *group_by;  // for whom these two count; NULL: the origin
    int64_t give_up_ms;    // how long a host may be down; 0: for ever
    int64_t buffer_memory; // bytes of bodies on their way, all fetchers
    int64_t ttl_ms;        // silence after which a worker is lost
    int64_t grace_ms;      // for draining
    int64_t keep_ms;       // how long finished batches stay; 0: for ever
    struct log_config log; // of log_options
    const char *http;      // where /metrics and so on are served; NULL: nowhere
};

// Offsets are of struct broker_config; NULL-ended. broker_schedule_options:
// --parallel-max-host, --rate, --group-by, --give-up-host, --buffer-memory,
// what an embedded run offers as well. broker_options: the program's own:
// --client-bind, --fetcher-bind, --hasher-bind, --key-file, --authorized,
// --insecure, --store, --keep, --ttl,
// --grace, --http.
extern const struct conf_option broker_schedule_options[];
extern const struct conf_option broker_options[];

// urlsum-broker as a program; its rows fill a struct broker_config.
extern const struct conf_program broker_program;

// Binds, recovers, serves until stopped. Returns the program's exit code: 0
// after a stop, 2 for a setting that cannot be (said on stderr), 3 when the
// store cannot be opened or an endpoint not be bound, and when the store would
// not take the last records (their URLs are fetched again after the next
// start).
int broker_run(const struct broker_config *config, struct role *role);

#endif
