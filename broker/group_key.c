#include "broker/group_key.h"

#include "broker/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpsl.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum by { BY_ORIGIN, BY_HOST, BY_DOMAIN, BY_IP, BY_COUNT };
static const char *const words[BY_COUNT] = {"origin", "host", "domain", "ip"};

struct learnt {
    uint64_t number; // of the origin
    uint64_t key;    // of its address
    UT_hash_handle hh;
};

struct group_keys {
    enum by by;
    psl_ctx_t *suffixes;
    struct learnt *learnt; // the first to be learnt is first
};

int
group_keys_new(const char *by, struct group_keys **out_keys)
{
    struct group_keys *keys = calloc(1, sizeof(*keys));
    int err = -ENOMEM;

    if (!keys)
        return -ENOMEM;
    while (keys->by < BY_COUNT && strcmp(words[keys->by], by) != 0)
        keys->by++;
    if (keys->by == BY_COUNT) {
        err = -EINVAL;
        goto out;
    }
    if (keys->by == BY_DOMAIN) {
        // The newer one of the system's list and the library's own.
        keys->suffixes = psl_latest(NULL);
        if (!keys->suffixes)
            goto out;
    }
    *out_keys = keys;
    keys = NULL; // the caller's now
    err = 0;
out:
    group_keys_free(&keys);
    return err;
}

void
group_keys_free(struct group_keys **keys)
{
    struct learnt *it, *next;

    if (!*keys)
        return;
    HASH_ITER(hh, (*keys)->learnt, it, next)
    {
        HASH_DEL((*keys)->learnt, it);
        free(it);
    }
    psl_free((*keys)->suffixes); // NULL is fine
    free(*keys);
    *keys = NULL;
}

// The host of "scheme://host:port", without the dot that may end a full name.
static void
copy_host(const char *text, char out_host[ORIGIN_TEXT_MAX])
{
    const char *from = strstr(text, "://");
    const char *end = strrchr(text, ':');
    size_t len;

    from = from ? from + 3 : text;
    len = end && end > from ? (size_t)(end - from) : strlen(from);
    if (len > 1 && from[len - 1] == '.')
        len--;
    memcpy(out_host, from, len); // text has no more than ORIGIN_TEXT_MAX
    out_host[len] = '\0';
}

static bool
is_address(const char *host)
{
    unsigned char address[sizeof(struct in_addr)];

    return host[0] == '[' || inet_pton(AF_INET, host, address) == 1;
}

uint64_t
group_key(const struct group_keys *keys, uint64_t number, const char *text)
{
    char host[ORIGIN_TEXT_MAX];
    const char *domain = NULL;
    const struct learnt *learnt;

    if (keys->by == BY_ORIGIN)
        return number;
    HASH_FIND(hh, keys->learnt, &number, sizeof(number), learnt);
    if (learnt)
        return learnt->key;
    copy_host(text, host);
    if (keys->by == BY_DOMAIN && !is_address(host))
        domain = psl_registrable_domain(keys->suffixes, host);
    // A public suffix itself, and a name without a dot, have none.
    if (!domain)
        domain = host;
    return origin_hash(domain, strlen(domain));
}

bool
group_keys_learn(struct group_keys *keys, uint64_t number, const char *remote,
                 size_t len)
{
    struct learnt *learnt;

    if (keys->by != BY_IP)
        return false;
    HASH_FIND(hh, keys->learnt, &number, sizeof(number), learnt);
    if (learnt) // a host of many addresses keeps to its first one
        return false;
    while (len && remote[len - 1] != ':')
        len--;
    if (len < 2)
        return false;
    if (HASH_COUNT(keys->learnt) >= GROUP_ADDRESSES_MAX) {
        learnt = keys->learnt;
        HASH_DEL(keys->learnt, learnt);
    } else {
        learnt = malloc(sizeof(*learnt));
        if (!learnt)
            return false; // the next answer tells it again
    }
    learnt->number = number;
    learnt->key = origin_hash(remote, len - 1);
    HASH_ADD(hh, keys->learnt, number, sizeof(learnt->number), learnt);
    if (!learnt->hh.tbl) { // not added: no memory
        free(learnt);
        return false;
    }
    return true;
}
