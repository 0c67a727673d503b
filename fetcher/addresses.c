#include "fetcher/addresses.h"

#include "fetcher/address_policy.h"
#include "fetcher/resolver.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool
is_ascii(const char *text)
{
    while (*text) {
        if ((unsigned char)*text++ >= 0x80)
            return false;
    }
    return true;
}

static char *
ascii_name(CURLU *url)
{
    char *name = NULL;

#if LIBCURL_VERSION_NUM >= 0x075800
    if (curl_url_get(url, CURLUPART_HOST, &name, CURLU_PUNYCODE) != CURLUE_OK)
        return NULL;
#else
    if (curl_url_get(url, CURLUPART_HOST, &name, 0) != CURLUE_OK)
        return NULL;
#endif
    if (is_ascii(name))
        return name;
    curl_free(name);
    return NULL;
}

// RFC 6761, 6.3: localhost and all below it are loopback. libcurl sees to it.
static bool
is_localhost(const char *name)
{
    static const char local[] = "localhost";
    size_t len = strlen(name);
    size_t local_len = sizeof(local) - 1;

    if (len && name[len - 1] == '.')
        len--;
    if (len < local_len ||
        strncasecmp(name + len - local_len, local, local_len) != 0)
        return false;
    return len == local_len || name[len - local_len - 1] == '.';
}

int
host_init(struct host *host, const char *url)
{
    CURLU *parsed = curl_url();
    struct in_addr v4;
    int err = -EINVAL;

    *host = (struct host){0};
    if (!parsed)
        return -ENOMEM;
    if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_GUESS_SCHEME) !=
        CURLUE_OK)
        goto out;
    host->name = ascii_name(parsed);
    (void)curl_url_get(parsed, CURLUPART_PORT, &host->port, CURLU_DEFAULT_PORT);
    if (!host->name || !host->port)
        goto out;
    host->is_known = *host->name == '[' ||
                     inet_pton(AF_INET, host->name, &v4) == 1 ||
                     is_localhost(host->name);
    err = 0;
out:
    if (err)
        host_fini(host);
    curl_url_cleanup(parsed);
    return err;
}

void
host_fini(struct host *host)
{
    curl_free(host->name);
    curl_free(host->port);
    *host = (struct host){0};
}

static const char *
refusal_of(const struct address_policy *policy,
           const struct dns_address *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket_address = {.any.sa_family = address->family};

    if (address->family == AF_INET)
        memcpy(&socket_address.v4.sin_addr, address->bytes, 4);
    else
        memcpy(&socket_address.v6.sin6_addr, address->bytes, 16);
    return address_policy_refusal(policy, &socket_address.any);
}

int
host_addresses(const struct host *host, const struct resolver_result *result,
               const struct address_policy *policy,
               struct curl_slist **out_list, const char **out_refusal)
{
    // "+NAME:PORT:[ADDRESS],[ADDRESS],...": the + lets the entry grow old.
    size_t room = strlen(host->name) + strlen(host->port) + 4 +
                  result->len * (INET6_ADDRSTRLEN + 3);
    char *entry = malloc(room);
    const char *refusal = NULL;
    struct curl_slist *list;
    size_t at, head;

    if (!entry)
        return -ENOMEM;
    at = head =
        (size_t)snprintf(entry, room, "+%s:%s:", host->name, host->port);
    for (size_t i = 0; i < result->len; i++) {
        const struct dns_address *address = &result->addresses[i];
        const char *what = refusal_of(policy, address);
        char text[INET6_ADDRSTRLEN];
        bool is_v6 = address->family == AF_INET6;

        if (what) {
            if (!refusal)
                refusal = what;
            continue;
        }
        if (!inet_ntop(address->family, address->bytes, text, sizeof(text)))
            continue; // of these families there is none without text
        at += (size_t)snprintf(entry + at, room - at, "%s%s%s%s",
                               at == head ? "" : ",", is_v6 ? "[" : "", text,
                               is_v6 ? "]" : "");
    }
    if (at == head) {
        free(entry);
        *out_refusal = refusal;
        return -EACCES;
    }
    list = curl_slist_append(NULL, entry);
    free(entry);
    if (!list)
        return -ENOMEM;
    *out_list = list;
    return 0;
}
