// addresses.h - a host's addresses, put as libcurl takes them
//
// CURLOPT_RESOLVE puts addresses into libcurl's own cache, from where any
// transfer would take them for as long as they stay; how they are kept to the
// one transfer that they are for is told in transfer.c. Pure.
#ifndef FETCHER_ADDRESSES_H
#define FETCHER_ADDRESSES_H
#include <stdbool.h>
#include <stddef.h>

struct address_policy;
struct curl_slist;
struct resolver_result;

// A host as libcurl would look it up.
struct host {
    char *name; // without brackets; in ASCII
    char *port;
    bool is_known; // an address, or "localhost": there is nothing to look up
};

// The host of a URL that libcurl has taken. Returns 0, -ENOMEM, or -EINVAL when
// only libcurl itself can tell (a name in other letters than ASCII's, before
// libcurl 7.88).
int host_init(struct host *host, const char *url);
// One of zeroes is fine; it is one afterwards.
void host_fini(struct host *host);

// A list for CURLOPT_RESOLVE of those addresses that the policy allows, in
// their order. Returns 0 with *out_list the caller's, -ENOMEM, or -EACCES when
// none is allowed, with *out_refusal what the first one is.
int host_addresses(const struct host *host,
                   const struct resolver_result *result,
                   const struct address_policy *policy,
                   struct curl_slist **out_list, const char **out_refusal);

#endif
