#include "broker/suite.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

// Bytes of the digest, or 0 when OpenSSL has no such algorithm or it has no
// fixed length of ours.
static size_t
digest_bytes(const char *name)
{
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    int bytes = 0;

    if (md && !(EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF))
        bytes = EVP_MD_get_size(md);
    EVP_MD_free(md);
    return bytes > 0 && bytes <= WIRE_DIGEST_BYTES_MAX ? (size_t)bytes : 0;
}

size_t
suite_find(const struct suite *suite, const char *name)
{
    const char *at = suite->text;
    size_t len = strlen(name), place = 0;

    for (; place < suite->len; place++) {
        size_t own = strcspn(at, ",");

        if (own == len && memcmp(at, name, len) == 0)
            break;
        at += own + 1;
    }
    return place;
}

int
suite_add(struct suite *suite, const char *name, size_t len)
{
    char lower[WIRE_ALGORITHM_NAME_MAX + 1];
    size_t used = strlen(suite->text);
    size_t bytes;

    if (len == 0 || len > WIRE_ALGORITHM_NAME_MAX)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        if (!isalnum(c) && c != '-' && c != '/')
            return -EINVAL;
        lower[i] = (char)tolower(c);
    }
    lower[len] = '\0';
    if (suite_find(suite, lower) < suite->len)
        return -EINVAL;
    bytes = digest_bytes(lower);
    if (!bytes)
        return -EINVAL;
    if (suite->len == WIRE_ALGORITHMS_MAX ||
        used + 1 + len + 1 > sizeof(suite->text))
        return -ENOSPC;
    if (used)
        suite->text[used++] = ',';
    memcpy(suite->text + used, lower, len + 1);
    suite->digest_bytes[suite->len++] = bytes;
    suite->total_bytes += bytes;
    return 0;
}

int
suite_parse(const char *text, struct suite *out_suite)
{
    struct suite suite = {0};

    for (;;) {
        size_t len = strcspn(text, ",");
        int err = suite_add(&suite, text, len);

        if (err)
            return err;
        if (!text[len])
            break;
        text += len + 1;
    }
    *out_suite = suite;
    return 0;
}
