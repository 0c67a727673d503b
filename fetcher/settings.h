// settings.h - what the options come to, looked at once before anything starts
//
// Before the loop runs.
#ifndef FETCHER_SETTINGS_H
#define FETCHER_SETTINGS_H
#include "common/endpoint.h"
#include "fetcher/redirect.h"

#include <stdbool.h>

struct address_policy;
struct fetcher_config;

struct settings {
    char endpoint[ENDPOINT_MAX]; // of the broker
    long connections_max;        // kept open, idle ones included
    enum redirect_rule redirect_rule;
    struct address_policy *policy; // NULL: any address
    // The environment has a proxy for these URLs, which looks hosts up, and may
    // enforce the policy in our stead.
    bool has_http_proxy, has_https_proxy;
    bool is_http_proxied, is_https_proxied;
    bool takes_proxies; // that a batch names
    // Kept open, of each profile that keeps them apart, when others need all
    // of those.
    long apart_connections_max;
};

// Checks what the option table cannot and raises the process's limit of open
// files to the highest it may have. Returns 0 with *out_settings, which the
// caller owns; or an exit code (2; 1 without memory) after saying on stderr
// what is wrong.
int settings_read(const struct fetcher_config *config,
                  struct settings *out_settings);
// One of zeroes is fine.
void settings_fini(struct settings *settings);

#endif
