#include "fetcher/apart.h"

#include "common/fnv.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

// Without user, the scheme's own port, and a dot at the end.
static void
find_authority(const char *url, const char **out_at, size_t *out_len)
{
    const char *at = strstr(url, "://");
    const char *end, *user;
    size_t len;

    at = at ? at + 3 : url;
    end = at + strcspn(at, "/?#\\");
    for (user = at; user < end; user++) {
        if (*user == '@')
            at = user + 1;
    }
    len = (size_t)(end - at);
    if (len > 4 && memcmp(at + len - 4, ":443", 4) == 0 &&
        strncasecmp(url, "https:", 6) == 0)
        len -= 4;
    if (len > 3 && memcmp(at + len - 3, ":80", 3) == 0 &&
        strncasecmp(url, "http:", 5) == 0)
        len -= 3;
    if (len && at[len - 1] == '.')
        len--;
    *out_at = at;
    *out_len = len;
}

static uint64_t
add_lower(uint64_t hash, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = fnv_add_byte(hash, (unsigned char)tolower((unsigned char)at[i]));
    return hash;
}

uint64_t
apart_key(const char *url)
{
    const char *authority;
    size_t len;
    uint64_t key = add_lower(FNV_EMPTY, url, strcspn(url, ":")); // the scheme

    find_authority(url, &authority, &len);
    key = add_lower(key, authority, len);
    return key ? key : 1;
}

void
apart_add(struct apart *apart, uint64_t key)
{
    apart->keys[key % APART_ORIGINS_MAX] = key;
}

void
apart_remove(struct apart *apart, uint64_t key)
{
    if (apart_has(apart, key))
        apart->keys[key % APART_ORIGINS_MAX] = 0;
}

bool
apart_has(const struct apart *apart, uint64_t key)
{
    return apart->keys[key % APART_ORIGINS_MAX] == key;
}

bool
apart_is_needed(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num < 0x080100;
}
