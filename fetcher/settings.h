// settings.h - can these settings be? Looked at once, before anything starts
#ifndef FETCHER_SETTINGS_H
#define FETCHER_SETTINGS_H
#include "common/endpoint.h"

struct fetcher_config;

// Checks what the option table cannot, raises the process's limit of open files
// to the highest it may have, and returns 0 with the broker's endpoint and how
// many connections may be kept open, idle ones included; or 2 after saying on
// stderr what is wrong.
int settings_check(const struct fetcher_config *config,
                   char out_endpoint[ENDPOINT_MAX], long *out_connections_max);

#endif
