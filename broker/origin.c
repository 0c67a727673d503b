#include "broker/origin.h"

#include "common/fnv.h"
#include "common/limits.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct origin_parser {
    CURLU *handle;
    char *url; // the URL with its end, URL_BYTES_MAX + 1
    // The last authority seen and its answer: lists come sorted by host.
    char last[ORIGIN_TEXT_MAX];
    size_t last_len;
    uint64_t last_origin;
    char last_text[ORIGIN_TEXT_MAX];
};

int
origin_parser_new(struct origin_parser **out_parser)
{
    struct origin_parser *parser = calloc(1, sizeof(*parser));
    int err = -ENOMEM;

    if (!parser)
        return -ENOMEM;
    parser->handle = curl_url();
    parser->url = malloc(URL_BYTES_MAX + 1);
    if (!parser->handle || !parser->url)
        goto out;
    *out_parser = parser;
    parser = NULL; // the caller's now
    err = 0;
out:
    origin_parser_free(&parser);
    return err;
}

void
origin_parser_free(struct origin_parser **parser)
{
    if (!*parser)
        return;
    curl_url_cleanup((*parser)->handle);
    free((*parser)->url);
    free(*parser);
    *parser = NULL;
}

uint64_t
origin_hash(const char *text, size_t len)
{
    uint64_t hash = fnv_add(FNV_EMPTY, text, len);

    return hash ? hash : 1;
}

static enum fail
fail_from_curlu(CURLUcode code)
{
    if (code == CURLUE_OUT_OF_MEMORY)
        return FAIL_INTERNAL;
    return FAIL_INVALID_URL;
}

static enum fail
read_parts(CURLU *handle, char out_text[ORIGIN_TEXT_MAX])
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    enum fail fail;

    fail = fail_from_curlu(curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0));
    if (!scheme)
        goto out;
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
        fail = FAIL_SCHEME;
        goto out;
    }
    fail = fail_from_curlu(curl_url_get(handle, CURLUPART_HOST, &host, 0));
    if (!host)
        goto out;
    fail = fail_from_curlu(
        curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT));
    if (!port)
        goto out;
    (void)snprintf(out_text, ORIGIN_TEXT_MAX, "%s://%s:%s", scheme, host, port);
    // Host names do not tell upper from lower case (RFC 3986, 3.2.2).
    for (char *p = out_text; *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    fail = FAIL_OK;
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return fail;
}

// The bytes up to the end of the authority, when the URL is of the plain kind
// whose path cannot change the answer; else 0.
static size_t
plain_authority(const char *url, size_t len)
{
    size_t at;

    if (len < 8 || memcmp(url, "http", 4) != 0)
        return 0;
    at = url[4] == 's' ? 5 : 4;
    if (memcmp(url + at, "://", 3) != 0)
        return 0;
    for (at += 3; at < len && url[at] != '/'; at++) {
        unsigned char c = (unsigned char)url[at];

        if (c <= ' ' || c >= 0x7f || strchr("?#@\\%", c))
            return 0;
    }
    // libcurl takes "http:///host/" for a host all the same.
    if (at == len || at >= ORIGIN_TEXT_MAX || url[at - 1] == '/')
        return 0;
    for (size_t i = at; i < len; i++) {
        unsigned char c = (unsigned char)url[i];

        if (c <= ' ' || c >= 0x7f)
            return 0;
    }
    return at;
}

enum fail
origin_parse(struct origin_parser *parser, const char *url, size_t len,
             uint64_t *out_origin, char out_text[ORIGIN_TEXT_MAX])
{
    char text[ORIGIN_TEXT_MAX];
    size_t plain;
    CURLUcode code;
    enum fail fail;

    if (len > URL_BYTES_MAX) {
        *out_origin = ORIGIN_NONE;
        return FAIL_URL_TOO_LONG;
    }
    plain = plain_authority(url, len);
    if (plain && plain == parser->last_len &&
        memcmp(parser->last, url, plain) == 0) {
        *out_origin = parser->last_origin;
        if (out_text)
            memcpy(out_text, parser->last_text, ORIGIN_TEXT_MAX);
        return FAIL_OK;
    }
    *out_origin = ORIGIN_NONE;
    if (memchr(url, '\0', len))
        return FAIL_INVALID_URL;
    memcpy(parser->url, url, len);
    parser->url[len] = '\0';
    // A handle that holds a URL would take text without a scheme for a
    // reference relative to it.
    (void)curl_url_set(parser->handle, CURLUPART_SCHEME, NULL, 0);
    (void)curl_url_set(parser->handle, CURLUPART_HOST, NULL, 0);
    code = curl_url_set(parser->handle, CURLUPART_URL, parser->url,
                        CURLU_NON_SUPPORT_SCHEME);
    if (code != CURLUE_OK)
        return fail_from_curlu(code);
    fail = read_parts(parser->handle, text);
    if (fail != FAIL_OK)
        return fail;
    *out_origin = origin_hash(text, strlen(text));
    if (out_text)
        memcpy(out_text, text, ORIGIN_TEXT_MAX);
    if (plain) {
        memcpy(parser->last, url, plain);
        parser->last_len = plain;
        parser->last_origin = *out_origin;
        memcpy(parser->last_text, text, ORIGIN_TEXT_MAX);
    }
    return FAIL_OK;
}
