// fetcher.h - the fetcher role: libcurl transfers on one event loop
#ifndef FETCHER_FETCHER_H
#define FETCHER_FETCHER_H
#include "common/conf.h"
#include "common/curve.h"
#include "common/log_conf.h"

#include <stdbool.h>
#include <stdint.h>

struct role;

struct fetcher_config {
    const char *broker; // endpoint as written by the user
    const char *name;   // NULL: host/pid
    struct curve_options keys;
    int64_t parallel_max;    // transfers at once
    const char *cacert;      // PEM file; NULL: the system's
    const char *dns_servers; // ADDRESS[:PORT],...; NULL: the system's
    int64_t dns_timeout_ms;  // for one server's answer
    int64_t dns_outage_ms;   // after so long names fail; 0: never
    int64_t connect_timeout_ms;
    int64_t max_redirs;
    const char *proto_redir; // NULL: http and https, but https stays https
    int64_t speed_limit;     // bytes a second ...
    int64_t speed_time_ms;   // ... for so long: the transfer is given up
    int64_t max_time_ms;     // 0: no limit
    int64_t max_filesize;    // 0: no limit
    int64_t limit_rate;      // bytes a second, of all transfers; 0: no limit
    bool no_resume;          // a body that was cut is fetched from its start
    const char *user_agent;
    bool allows_any_address;    // an embedded run: it is the user's own
    struct conf_list allow_net; // networks to open, see address_policy.h
    bool proxy_enforces_policy;
    int64_t grace_ms;
    struct log_config log; // of log_options
    const char *http;      // where /metrics and so on are served; NULL: nowhere
};

// Offsets are of struct fetcher_config; NULL-ended. fetcher_transfer_options:
// --parallel-max, --cacert, --dns-servers, --dns-timeout, --connect-timeout,
// --max-redirs, --proto-redir, --speed-limit (-Y), --speed-time (-y),
// --max-time (-m), --max-filesize, --limit-rate, --no-resume, --user-agent
// (-A): what an embedded run offers as well. fetcher_embedded_options:
// --dns-outage, as long as a person waits. fetcher_options: the program's own
// --dns-outage, --broker, --name, --allow-net, --proxy-enforces-policy,
// --grace, --http.
extern const struct conf_option fetcher_transfer_options[];
extern const struct conf_option fetcher_embedded_options[];
extern const struct conf_option fetcher_options[];

// urlsum-fetcher as a program; its rows fill a struct fetcher_config.
extern const struct conf_program fetcher_program;

// Serves until stopped. Returns the program's exit code (0; 2 for a setting
// that cannot be, said on stderr).
int fetcher_run(const struct fetcher_config *config, struct role *role);

#endif
