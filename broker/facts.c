#include "broker/facts.h"

#include "urlsum.pb-c.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Strings of one transfer, each with its end: whatever the wire allows.
#define TEXT_MAX                                                               \
    (WIRE_TEXT_MAX + 1 + URL_BYTES_MAX + 1 + 5 * (WIRE_FACT_MAX + 1))

struct text {
    char bytes[TEXT_MAX];
    size_t used;
};

// protobuf's strings are UTF-8; header values are any bytes.
static char *
keep_text(struct text *text, const struct wire_bytes *bytes)
{
    char *start = text->bytes + text->used;

    if (!bytes->at || !bytes->len || text->used + bytes->len + 1 > TEXT_MAX)
        return (char *)protobuf_c_empty_string;
    for (size_t i = 0; i < bytes->len; i++) {
        unsigned char c = (unsigned char)bytes->at[i];

        start[i] = c >= 0x80 || c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    start[bytes->len] = '\0';
    text->used += bytes->len + 1;
    return start;
}

static uint64_t
number(uint64_t value)
{
    return value == WIRE_UNSET ? 0 : value;
}

int
facts_encode(const struct wire_facts *facts, const char *fetcher,
             unsigned char **out_data, size_t *out_len)
{
    Urlsum__V1__Facts out = URLSUM__V1__FACTS__INIT;
    struct text text; // 70 KiB that need no clearing
    unsigned char *data;

    text.used = 0;
    out.curl_code = (uint32_t)number(facts->curl_code);
    out.message = keep_text(&text, &facts->message);
    out.content_type = keep_text(&text, &facts->content_type);
    out.etag = keep_text(&text, &facts->etag);
    out.last_modified = keep_text(&text, &facts->last_modified);
    out.remote = keep_text(&text, &facts->remote);
    out.final_url = keep_text(&text, &facts->final_url);
    out.http_version = (uint32_t)number(facts->http_version);
    out.redirects = (uint32_t)number(facts->redirects);
    out.dns_us = number(facts->dns_us);
    out.connect_us = number(facts->connect_us);
    out.tls_us = number(facts->tls_us);
    out.first_byte_us = number(facts->first_byte_us);
    out.total_us = number(facts->total_us);
    out.resumes = (uint32_t)number(facts->resumes);
    out.unframed = number(facts->unframed) != 0;
    out.content_encoding = keep_text(&text, &facts->content_encoding);
    out.decoded = number(facts->decoded) != 0;
    out.tls_version = (uint32_t)number(facts->tls_version);
    out.fetcher = (char *)fetcher;
    data = malloc(urlsum__v1__facts__get_packed_size(&out) + 1);
    if (!data)
        return -ENOMEM;
    *out_len = urlsum__v1__facts__pack(&out, data);
    *out_data = data;
    return 0;
}

int
facts_encode_declared(const struct facts_declared *items, size_t len,
                      unsigned char **out_data, size_t *out_len)
{
    Urlsum__V1__Declared out[FACTS_DECLARED_MAX], *list[FACTS_DECLARED_MAX];
    Urlsum__V1__Facts facts = URLSUM__V1__FACTS__INIT;
    unsigned char *data;

    assert(len >= 1 && len <= FACTS_DECLARED_MAX);
    facts.digest_agrees = true;
    for (size_t i = 0; i < len; i++) {
        const struct facts_declared *item = &items[i];

        urlsum__v1__declared__init(&out[i]);
        out[i].source = (char *)declared_source_name(item->said.source);
        out[i].algorithm =
            (char *)declared_algorithm_name(item->said.algorithm);
        out[i].digest.data = (uint8_t *)item->said.digest;
        out[i].digest.len = declared_algorithm_bytes(item->said.algorithm);
        list[i] = &out[i];
        if (!item->computed.at)
            continue;
        out[i].agrees_is_case = URLSUM__V1__DECLARED__AGREES_IS_AGREES;
        out[i].agrees = item->agrees;
        facts.digest_agrees_is_case =
            URLSUM__V1__FACTS__DIGEST_AGREES_IS_DIGEST_AGREES;
        if (item->agrees)
            continue;
        facts.digest_agrees = false;
        out[i].computed.data = (uint8_t *)item->computed.at;
        out[i].computed.len = item->computed.len;
    }
    facts.declared = list;
    facts.n_declared = len;
    data = malloc(urlsum__v1__facts__get_packed_size(&facts) + 1);
    if (!data)
        return -ENOMEM;
    *out_len = urlsum__v1__facts__pack(&facts, data);
    *out_data = data;
    return 0;
}

size_t
facts_encode_hasher(const char *hasher, unsigned char *out)
{
    size_t len = strlen(hasher);

    // Field 16, wire type 2: the key takes two bytes, the length one.
    assert(len <= WIRE_NAME_MAX && len < 128);
    out[0] = 0x82;
    out[1] = 0x01;
    out[2] = (unsigned char)len;
    memcpy(out + 3, hasher, len);
    return len + 3;
}
