#include "fetcher/lookup.h"

#include "fetcher/addresses.h"
#include "fetcher/names.h"
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
    return strncasecmp(url, "https:", 6) == 0
               ? lookup->settings->has_https_proxy
               : lookup->settings->has_http_proxy;
}

// libcurl is about to look the request's host up. Not 0 ends the request.
static int
on_resolve(void *state, void *reserved, void *arg)
{
    struct lookup *lookup = arg;
    const char *url = url_of(lookup->easy);
    struct host host;
    int err;

    (void)state, (void)reserved;
    if (is_libcurls(lookup, url))
        return 0;
    err = host_init(&host, url);
    if (err == -EINVAL || (!err && host.is_known)) {
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

static enum fail
use_addresses(struct lookup *lookup, const struct resolver_result *result,
              const char **out_why)
{
    struct curl_slist *list = NULL;
    const char *refusal = "";
    int err = host_addresses(lookup->host, result, lookup->settings->policy,
                             &list, &refusal);

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
    if (host_init(lookup->host, url_of(lookup->easy)) != 0 ||
        names_ask(lookup->names, &lookup->wait, lookup->host->name) != 0) {
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
