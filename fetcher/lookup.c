#include "fetcher/lookup.h"

#include "fetcher/addresses.h"
#include "fetcher/names.h"
#include "fetcher/profile.h"
#include "fetcher/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

// A request that is given addresses and wants some again: libcurl lost its
// connection in between, or a second has passed. Not for ever.
#define GIVEN_MAX 5
// Seconds for which libcurl takes given addresses: at once, in fact, but its
// clock may step meanwhile.
#define GIVEN_S 1L

static uint64_t
now_us(void)
{
    return uv_hrtime() / 1000;
}

static const char *
url_of(CURL *easy)
{
    const char *url = NULL;

    (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    return url ? url : "";
}

// Hosts of such URLs are the proxy's to look up, and the proxy's is libcurl's.
static bool
is_libcurls(const struct lookup *lookup, const char *url)
{
    if (lookup->profile && lookup->profile->proxy)
        return true;
    return strncasecmp(url, "https:", 6) == 0
               ? lookup->settings->has_https_proxy
               : lookup->settings->has_http_proxy;
}

// The profile says where the host is.
static bool
is_given(const struct lookup *lookup, const struct host *host,
         struct dns_address addresses[PROFILE_ADDRESSES_MAX],
         struct resolver_result *out_result)
{
    return lookup->profile &&
           profile_resolve(lookup->profile, host->name, host->port, addresses,
                           out_result);
}

// libcurl is about to look the request's host up. Not 0 ends the request.
static int
on_resolve(void *state, void *reserved, void *arg)
{
    struct lookup *lookup = arg;
    struct dns_address addresses[PROFILE_ADDRESSES_MAX];
    struct resolver_result result;
    const char *url = url_of(lookup->easy);
    struct host host;
    int err;

    (void)state, (void)reserved;
    if (is_libcurls(lookup, url))
        return 0;
    err = host_init(&host, url);
    if (err == -EINVAL || (!err && host.is_known &&
                           !is_given(lookup, &host, addresses, &result))) {
        host_fini(&host);
        return 0;
    }
    host_fini(&host); // lookup_begin() takes its own
    lookup->is_wanted = true;
    return 1;
}

// What was given is of this request alone.
static void
take_back(struct lookup *lookup)
{
    if (!lookup->list)
        return;
    (void)curl_easy_setopt(lookup->easy, CURLOPT_RESOLVE, NULL);
    (void)curl_easy_setopt(lookup->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_slist_free_all(lookup->list);
    lookup->list = NULL;
}

// Takes the list. The entry stays in the multi's cache until some transfer
// ends, but other handles find it too old: their time is 0.
static int
give(struct lookup *lookup, struct curl_slist *list)
{
    CURLcode code = CURLE_OK;

    take_back(lookup);
    lookup->list = list;
    lookup->given++;
    code |= curl_easy_setopt(lookup->easy, CURLOPT_RESOLVE, list);
    code |= curl_easy_setopt(lookup->easy, CURLOPT_DNS_CACHE_TIMEOUT, GIVEN_S);
    return code == CURLE_OK ? 0 : -ENOMEM;
}

static void
forget_host(struct lookup *lookup)
{
    if (!lookup->host)
        return;
    host_fini(lookup->host);
    free(lookup->host);
    lookup->host = NULL;
}

// -4 and -6.
static struct resolver_result
keep_family(const struct resolver_result *result, const struct profile *profile,
            struct dns_address kept[DNS_ADDRESSES_MAX])
{
    struct resolver_result wanted = *result;
    uint64_t version = profile ? profile->ip_version : 0;

    if (!version)
        return wanted;
    wanted.len = 0;
    for (size_t i = 0; i < result->len && wanted.len < DNS_ADDRESSES_MAX; i++) {
        if ((version == 4) == (result->addresses[i].family == AF_INET))
            kept[wanted.len++] = result->addresses[i];
    }
    wanted.addresses = kept;
    return wanted;
}

static enum fail
use_addresses(struct lookup *lookup, const struct resolver_result *result,
              const char **out_why)
{
    struct curl_slist *list = NULL;
    const char *refusal = "";
    struct dns_address kept[DNS_ADDRESSES_MAX];
    struct resolver_result wanted = keep_family(result, lookup->profile, kept);
    int err = host_addresses(lookup->host, &wanted, lookup->settings->policy,
                             &list, &refusal);

    if (err == -EACCES && !wanted.len && result->len) {
        *out_why = "the host has no address of the family that is asked for";
        return FAIL_DNS;
    }
    if (err == -EACCES) {
        *out_why = refusal;
        return FAIL_BLOCKED_ADDRESS;
    }
    if (err || give(lookup, list) != 0) {
        *out_why = "out of memory";
        return FAIL_INTERNAL;
    }
    return FAIL_OK;
}

static void
on_result(void *arg, const struct resolver_result *result)
{
    struct lookup *lookup = arg;
    const char *why = result->why;
    enum fail fail = FAIL_DNS;

    lookup->waited_us += now_us() - lookup->asked_us;
    if (result->verdict == RESOLVER_FOUND)
        fail = use_addresses(lookup, result, &why);
    else if (result->verdict == RESOLVER_BROKEN)
        fail = FAIL_INTERNAL;
    forget_host(lookup);
    lookup->done(lookup->arg, fail, why);
}

int
lookup_init(struct lookup *lookup, CURL *easy, struct names *names,
            const struct settings *settings, lookup_done_fn *done, void *arg)
{
    CURLcode code = CURLE_OK;

    lookup->easy = easy;
    lookup->names = names;
    lookup->settings = settings;
    lookup->done = done;
    lookup->arg = arg;
    lookup->wait.done = on_result;
    lookup->wait.arg = lookup;
    code |= curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, on_resolve);
    code |= curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, lookup);
    code |= curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    return code == CURLE_OK ? 0 : -EINVAL;
}

void
lookup_fini(struct lookup *lookup)
{
    forget_host(lookup);
    curl_slist_free_all(lookup->list);
    lookup->list = NULL;
}

void
lookup_reset(struct lookup *lookup, bool is_new_job)
{
    take_back(lookup);
    lookup->is_wanted = false;
    lookup->given = 0;
    if (is_new_job)
        lookup->waited_us = 0;
}

bool
lookup_is_wanted(const struct lookup *lookup)
{
    return lookup->is_wanted;
}

enum fail
lookup_begin(struct lookup *lookup, const char **out_why)
{
    struct dns_address addresses[PROFILE_ADDRESSES_MAX];
    struct resolver_result result;

    *out_why = "out of memory";
    lookup->is_wanted = false;
    if (lookup->given >= GIVEN_MAX) {
        *out_why = "libcurl does not take the host's addresses";
        return FAIL_INTERNAL;
    }
    lookup->host = calloc(1, sizeof(*lookup->host));
    if (!lookup->host)
        return FAIL_INTERNAL;
    lookup->asked_us = now_us();
    if (host_init(lookup->host, url_of(lookup->easy)) != 0) {
        forget_host(lookup);
        return FAIL_INTERNAL;
    }
    if (is_given(lookup, lookup->host, addresses, &result)) {
        on_result(lookup, &result);
        return FAIL_OK;
    }
    if (names_ask(lookup->names, &lookup->wait, lookup->host->name) != 0) {
        forget_host(lookup);
        return FAIL_INTERNAL;
    }
    return FAIL_OK;
}

bool
lookup_is_under_way(const struct lookup *lookup)
{
    return lookup->wait.name != NULL;
}

void
lookup_cancel(struct lookup *lookup)
{
    names_cancel(lookup->names, &lookup->wait);
    forget_host(lookup);
}
