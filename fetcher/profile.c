#include "fetcher/profile.h"

#include "common/limits.h"
#include "fetcher/tls_sessions.h"
#include "proto/profile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

static void
profile_free(struct profile *profile)
{
    if (profile->multis)
        multis_fini(profile->multis); // ends what was made with the rest
    free(profile->multis);
    tls_sessions_free(&profile->tls_sessions);
    curl_slist_free_all(profile->headers);
    free(profile->user_agent);
    free(profile->user);
    free(profile->password);
    free(profile->proxy);
    free((void *)(uintptr_t)profile->cacert.at);
    for (size_t i = 0; i < profile->resolve_len; i++)
        free(profile->resolve[i]);
    free(profile->resolve);
    free(profile);
}

// --- From the wire ---

// *out is NULL for what is absent. Returns 0 or -ENOMEM.
static int
copy_text(struct wire_bytes from, char **out)
{
    if (!from.at)
        return 0;
    *out = strndup(from.at, from.len);
    return *out ? 0 : -ENOMEM;
}

static int
copy_user(struct wire_bytes from, struct profile *profile)
{
    const char *colon;
    int err;

    if (!from.at)
        return 0;
    colon = memchr(from.at, ':', from.len); // it has one: it was checked
    err = copy_text((struct wire_bytes){from.at, (size_t)(colon - from.at)},
                    &profile->user);
    if (!err)
        err = copy_text(
            (struct wire_bytes){colon + 1,
                                from.len - 1 - (size_t)(colon - from.at)},
            &profile->password);
    return err;
}

static int
copy_headers(const struct wire_profile *wire, struct profile *profile)
{
    for (size_t i = 0; i < wire->headers_len; i++) {
        struct curl_slist *longer;
        char *line = NULL;
        int err = copy_text(wire->headers[i], &line);

        if (err)
            return err;
        longer = curl_slist_append(profile->headers, line);
        free(line);
        if (!longer)
            return -ENOMEM;
        profile->headers = longer;
    }
    return 0;
}

static int
copy_resolve(const struct wire_profile *wire, struct profile *profile)
{
    int err = 0;

    if (!wire->resolve_len)
        return 0;
    profile->resolve = calloc(wire->resolve_len, sizeof(*profile->resolve));
    if (!profile->resolve)
        return -ENOMEM;
    for (size_t i = 0; i < wire->resolve_len && !err; i++) {
        err = copy_text(wire->resolve[i], &profile->resolve[i]);
        profile->resolve_len += !err;
    }
    return err;
}

static int
copy_cacert(struct wire_bytes from, struct profile *profile)
{
    char *copy = NULL;
    int err = copy_text(from, &copy);

    if (!err && copy)
        profile->cacert = (struct wire_bytes){copy, from.len};
    return err;
}

bool
profile_is_proxy(const char *proxy)
{
    CURLU *url = curl_url();
    CURLUcode code = CURLUE_OUT_OF_MEMORY;

    if (url)
        code = curl_url_set(url, CURLUPART_URL, proxy,
                            CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME);
    curl_url_cleanup(url);
    return code == CURLUE_OK;
}

static uint64_t
number_of(uint64_t number)
{
    return number == WIRE_UNSET ? 0 : number;
}

static int
fill(struct profile *profile, const struct wire_profile *wire)
{
    int err = copy_text(wire->user_agent, &profile->user_agent);

    profile->is_insecure = number_of(wire->insecure) != 0;
    profile->is_compressed = number_of(wire->compressed) != 0;
    profile->ip_version = number_of(wire->ip_version);
    profile->http_version = number_of(wire->http_version);
    if (!err)
        err = copy_user(wire->user, profile);
    if (!err)
        err = copy_text(wire->proxy, &profile->proxy);
    profile->is_unusable = profile->proxy && !profile_is_proxy(profile->proxy);
    if (!err)
        err = copy_cacert(wire->cacert, profile);
    if (!err)
        err = copy_headers(wire, profile);
    return err ? err : copy_resolve(wire, profile);
}

static bool
is_apart(const struct profile *profile)
{
    return profile->is_insecure || profile->ip_version ||
           profile->http_version || profile->proxy || profile->cacert.at ||
           profile->resolve_len;
}

// --- Places ---

void
profiles_init(struct profiles *profiles, const struct multis_config *config)
{
    *profiles = (struct profiles){.config = *config};
}

static int
keep_apart(const struct profiles *profiles, struct profile *profile)
{
    profile->multis = malloc(sizeof(*profile->multis));
    if (!profile->multis)
        return -ENOMEM;
    multis_init(profile->multis, &profiles->config);
    return tls_sessions_new(TLS_SHARES_PROFILE_MAX, &profile->tls_sessions);
}

int
profiles_put(struct profiles *profiles, uint64_t place,
             const struct wire_profile *wire)
{
    struct profile *profile;
    int err;

    profile_unref(&profiles->places[place]);
    if (wire_profile_is_empty(wire))
        return 0;
    profile = calloc(1, sizeof(*profile));
    if (!profile)
        return -ENOMEM;
    err = fill(profile, wire);
    if (!err && is_apart(profile))
        err = keep_apart(profiles, profile);
    if (err) {
        profile_free(profile);
        return err;
    }
    profile->id = ++profiles->last_id;
    profile->refs = 1;
    if (profile->multis)
        LL_PREPEND(profiles->apart, profile);
    profiles->places[place] = profile;
    return 0;
}

void
profiles_clear(struct profiles *profiles)
{
    for (size_t i = 0; i < WIRE_PROFILES_MAX; i++)
        profile_unref(&profiles->places[i]);
}

static void
free_unused(struct profiles *profiles)
{
    struct profile *profile, *next;

    LL_FOREACH_SAFE(profiles->apart, profile, next)
    {
        if (profile->refs)
            continue;
        LL_DELETE(profiles->apart, profile);
        profile_free(profile);
    }
}

void
profiles_fini(struct profiles *profiles)
{
    profiles_clear(profiles);
    free_unused(profiles);
}

void
profiles_turn(struct profiles *profiles)
{
    struct profile *profile;

    LL_FOREACH(profiles->apart, profile)
    multis_turn(profile->multis);
    free_unused(profiles);
}

bool
profiles_is_due(const struct profiles *profiles)
{
    const struct profile *profile;

    LL_FOREACH(profiles->apart, profile)
    {
        if (multis_are_due(profile->multis))
            return true;
    }
    return false;
}

struct profile *
profile_ref(struct profile *profile)
{
    if (profile)
        profile->refs++;
    return profile;
}

void
profile_unref(struct profile **profile)
{
    struct profile *it = *profile;

    *profile = NULL;
    if (it && --it->refs == 0 && !it->multis)
        profile_free(it);
}

// --- --resolve ---

// Reads "ADDRESS,[ADDRESS],..."; those that are none are left out.
static size_t
read_addresses(const char *at, uint64_t ip_version,
               struct dns_address addresses[PROFILE_ADDRESSES_MAX])
{
    size_t len = 0;

    for (; *at && len < PROFILE_ADDRESSES_MAX; at += *at == ',') {
        size_t part = strcspn(at, ",");
        size_t from = *at == '[', end = part - (part && at[part - 1] == ']');
        char text[INET6_ADDRSTRLEN] = "";
        struct dns_address *address = &addresses[len];

        if (end > from && end - from < sizeof(text))
            memcpy(text, at + from, end - from);
        at += part;
        *address = (struct dns_address){.family = AF_INET};
        if (inet_pton(AF_INET, text, address->bytes) != 1) {
            address->family = AF_INET6;
            if (inet_pton(AF_INET6, text, address->bytes) != 1)
                continue;
        }
        if (!ip_version || (ip_version == 4) == (address->family == AF_INET))
            len++;
    }
    return len;
}

// The entry's addresses if it speaks of the host and port, or NULL.
static const char *
match(const char *entry, const char *host, const char *port)
{
    size_t host_len = strcspn(entry, ":"), port_len;

    // curl's "+": the addresses may grow old, which means nothing here.
    if (*entry == '+') {
        entry++;
        host_len--;
    }
    if (strlen(host) != host_len || strncasecmp(entry, host, host_len) != 0)
        return NULL;
    entry += host_len + 1;
    port_len = strcspn(entry, ":");
    if (strlen(port) != port_len || strncmp(entry, port, port_len) != 0)
        return NULL;
    return entry + port_len + 1;
}

bool
profile_resolve(const struct profile *profile, const char *host,
                const char *port, struct dns_address *addresses,
                struct resolver_result *out_result)
{
    const char *found = NULL, *for_all = NULL;

    // Of several the last one holds, as with curl.
    for (size_t i = 0; i < profile->resolve_len; i++) {
        const char *own = match(profile->resolve[i], host, port);
        const char *any = match(profile->resolve[i], "*", port);

        found = own ? own : found;
        for_all = any ? any : for_all;
    }
    if (!found)
        found = for_all;
    if (!found)
        return false;
    *out_result = (struct resolver_result){
        .verdict = RESOLVER_FOUND,
        .addresses = addresses,
        .len = read_addresses(found, profile->ip_version, addresses),
    };
    if (!out_result->len) {
        out_result->verdict = RESOLVER_ABSENT;
        out_result->why = "--resolve has no such address for the host";
    }
    return true;
}
