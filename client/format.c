#include "client/format.h"

#include "client/json.h"
#include "client/text.h"
#include "proto/fail.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

// Longest part of a URL or message that goes into a line on stderr.
#define SHOWN_BYTES_MAX 2048

static const char *const kind_names[] = {
    [FORMAT_SUM] = "sum", [FORMAT_TAG] = "tag", [FORMAT_JSONL] = "jsonl",
    [FORMAT_CSV] = "csv", [FORMAT_SRI] = "sri",
};

int
format_parse(const char *text, enum format_kind *out_kind)
{
    for (size_t i = 0; i < sizeof(kind_names) / sizeof(*kind_names); i++) {
        if (strcmp(text, kind_names[i]) == 0) {
            *out_kind = (enum format_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *
format_check(const struct format *format)
{
    if (format->is_zero_ended && format->kind != FORMAT_SUM &&
        format->kind != FORMAT_TAG)
        return "-z goes with the formats sum and tag only";
    for (size_t i = 0; i < format->algorithms_len; i++) {
        const char *name = format->algorithms[i];

        if (format->kind == FORMAT_SRI && strcmp(name, "sha256") != 0 &&
            strcmp(name, "sha384") != 0 && strcmp(name, "sha512") != 0)
            return "the format sri is defined for sha256, sha384 and sha512 "
                   "only";
    }
    return NULL;
}

static bool
is_ok(const Urlsum__V1__Record *record)
{
    return strcmp(record->outcome, fail_name(FAIL_OK)) == 0;
}

// --- sum, tag, sri ---

static bool
needs_escape(const ProtobufCBinaryData *url)
{
    return memchr(url->data, '\\', url->len) ||
           memchr(url->data, '\n', url->len) ||
           memchr(url->data, '\r', url->len);
}

static void
put_name(const ProtobufCBinaryData *url, bool is_escaped, struct text *out)
{
    if (!is_escaped) {
        text_add(out, url->data, url->len);
        return;
    }
    for (size_t i = 0; i < url->len; i++) {
        switch (url->data[i]) {
        case '\\':
            text_puts(out, "\\\\");
            break;
        case '\n':
            text_puts(out, "\\n");
            break;
        case '\r':
            text_puts(out, "\\r");
            break;
        default:
            text_putc(out, (char)url->data[i]);
        }
    }
}

// The name that coreutils' and OpenSSL's tag lines have for an algorithm.
static void
put_tag(const char *algorithm, struct text *out)
{
    if (strcmp(algorithm, "blake2b512") == 0) {
        text_puts(out, "BLAKE2b");
        return;
    }
    if (strcmp(algorithm, "blake2s256") == 0) {
        text_puts(out, "BLAKE2s");
        return;
    }
    for (const char *c = algorithm; *c; c++)
        text_putc(out, (char)toupper((unsigned char)*c));
}

static void
put_line(const struct format *format, const ProtobufCBinaryData *url,
         const char *algorithm, const ProtobufCBinaryData *digest,
         struct text *out)
{
    bool is_escaped = url->len && !format->is_zero_ended && needs_escape(url);

    if (is_escaped)
        text_putc(out, '\\');
    if (format->kind == FORMAT_TAG) {
        put_tag(algorithm, out);
        text_puts(out, " (");
        put_name(url, is_escaped, out);
        text_puts(out, ") = ");
        text_hex(out, digest->data, digest->len);
    } else {
        if (format->kind == FORMAT_SRI) {
            text_puts(out, algorithm);
            text_putc(out, '-');
            text_base64(out, digest->data, digest->len);
        } else {
            text_hex(out, digest->data, digest->len);
        }
        text_puts(out, "  ");
        put_name(url, is_escaped, out);
    }
    text_putc(out, format->is_zero_ended ? '\0' : '\n');
}

// --- Facts, as jsonl and csv have them ---

//    name (as in urlsum.proto)
#define FACT_STRINGS(X)                                                        \
    X(message)                                                                 \
    X(final_url)                                                               \
    X(content_type)                                                            \
    X(etag)                                                                    \
    X(last_modified)                                                           \
    X(content_encoding)                                                        \
    X(remote)                                                                  \
    X(fetcher)                                                                 \
    X(hasher)
#define FACT_NUMBERS(X)                                                        \
    X(curl_code)                                                               \
    X(http_version)                                                            \
    X(tls_version)                                                             \
    X(redirects)                                                               \
    X(dns_us)                                                                  \
    X(connect_us)                                                              \
    X(tls_us)                                                                  \
    X(first_byte_us)                                                           \
    X(total_us)                                                                \
    X(resumes)

// "true", "false", or "" where nothing could be compared.
static const char *
agreement(const Urlsum__V1__Facts *facts)
{
    if (!facts->digest_agrees_is_case)
        return "";
    return facts->digest_agrees ? "true" : "false";
}

bool
format_differs(const Urlsum__V1__Record *record)
{
    return is_ok(record) && record->facts &&
           record->facts->digest_agrees_is_case &&
           !record->facts->digest_agrees;
}

// --- jsonl ---

static void
put_declared_jsonl(const Urlsum__V1__Facts *facts, struct json *json)
{
    if (facts->digest_agrees_is_case)
        json_bool(json, "digest_agrees", facts->digest_agrees);
    if (!facts->n_declared)
        return;
    json_open_array(json, "declared");
    for (size_t i = 0; i < facts->n_declared; i++) {
        const Urlsum__V1__Declared *item = facts->declared[i];

        json_open_object(json, NULL);
        json_puts(json, "source", item->source);
        json_puts(json, "algorithm", item->algorithm);
        json_hex(json, "digest", item->digest.data, item->digest.len);
        if (item->agrees_is_case)
            json_bool(json, "agrees", item->agrees);
        if (item->computed.len)
            json_hex(json, "computed", item->computed.data, item->computed.len);
        json_close_object(json);
    }
    json_close_array(json);
}

static void
put_jsonl(const struct format *format, const Urlsum__V1__Record *record,
          struct text *out)
{
    const Urlsum__V1__Facts *facts = record->facts;
    struct json json = {out, false};

    json_open_object(&json, NULL);
    json_u64(&json, "seq", record->seq);
    if (text_is_utf8(record->url.data, record->url.len))
        json_string(&json, "url", (const char *)record->url.data,
                    record->url.len);
    else
        json_base64(&json, "url_bytes", record->url.data, record->url.len);
    json_puts(&json, "outcome", record->outcome);
    if (is_ok(record)) {
        json_u64(&json, "size", record->size);
        json_open_object(&json, "digests");
        for (size_t i = 0; i < record->n_digests && i < format->algorithms_len;
             i++)
            json_hex(&json, format->algorithms[i], record->digests[i].data,
                     record->digests[i].len);
        json_close_object(&json);
    }
    if (record->http_status)
        json_u64(&json, "http_status", record->http_status);
    json_u64(&json, "attempts", record->attempts);
    if (facts) {
#define X(name)                                                                \
    if (facts->name[0])                                                        \
        json_puts(&json, #name, facts->name);
        FACT_STRINGS(X)
#undef X
#define X(name)                                                                \
    if (facts->name)                                                           \
        json_u64(&json, #name, facts->name);
        FACT_NUMBERS(X)
#undef X
        if (facts->unframed)
            json_bool(&json, "unframed", true);
        if (facts->decoded)
            json_bool(&json, "decoded", true);
        put_declared_jsonl(facts, &json);
    }
    json_close_object(&json);
    text_putc(out, '\n');
}

// --- csv ---

static void
put_field(const void *bytes, size_t len, struct text *out)
{
    const char *at = bytes;
    bool is_quoted = false;

    for (size_t i = 0; i < len && !is_quoted; i++)
        is_quoted = at[i] == '"' || at[i] == ',' || at[i] == '\r' ||
                    at[i] == '\n' || at[i] == ' ';
    if (!is_quoted) {
        text_add(out, bytes, len);
        return;
    }
    text_putc(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '"')
            text_putc(out, '"');
        text_putc(out, at[i]);
    }
    text_putc(out, '"');
}

// "repr-digest:sha256:HEX", with a blank between each two.
static void
put_declared_csv(const Urlsum__V1__Facts *facts, struct text *out)
{
    struct text field = {0};

    for (size_t i = 0; i < facts->n_declared; i++) {
        const Urlsum__V1__Declared *item = facts->declared[i];

        text_printf(&field, "%s%s:%s:", i ? " " : "", item->source,
                    item->algorithm);
        text_hex(&field, item->digest.data, item->digest.len);
    }
    out->is_broken |= field.is_broken;
    put_field(field.at, field.len, out);
    text_fini(&field);
}

static void
put_csv(const struct format *format, const Urlsum__V1__Record *record,
        struct text *out)
{
    static const Urlsum__V1__Facts none = URLSUM__V1__FACTS__INIT;
    const Urlsum__V1__Facts *facts = record->facts ? record->facts : &none;

    text_printf(out, "%" PRIu64 ",", record->seq);
    put_field(record->url.data, record->url.len, out);
    text_printf(out, ",%s,", record->outcome);
    if (is_ok(record))
        text_printf(out, "%" PRIu64, record->size);
    text_putc(out, ',');
    if (record->http_status)
        text_printf(out, "%" PRIu32, record->http_status);
    text_printf(out, ",%" PRIu32, record->attempts);
    for (size_t i = 0; i < format->algorithms_len; i++) {
        text_putc(out, ',');
        if (i < record->n_digests)
            text_hex(out, record->digests[i].data, record->digests[i].len);
    }
#define X(name)                                                                \
    text_putc(out, ',');                                                       \
    put_field(facts->name, strlen(facts->name), out);
    FACT_STRINGS(X)
#undef X
#define X(name)                                                                \
    text_putc(out, ',');                                                       \
    if (facts->name)                                                           \
        text_printf(out, "%" PRIu64, (uint64_t)facts->name);
    FACT_NUMBERS(X)
#undef X
    text_printf(out, ",%s,%s,%s,", facts->unframed ? "true" : "",
                facts->decoded ? "true" : "", agreement(facts));
    put_declared_csv(facts, out);
    text_puts(out, "\r\n");
}

void
format_header(const struct format *format, struct text *out)
{
    if (format->kind != FORMAT_CSV)
        return;
    text_puts(out, "seq,url,outcome,size,http_status,attempts");
    for (size_t i = 0; i < format->algorithms_len; i++)
        text_printf(out, ",%s", format->algorithms[i]);
#define X(name) text_puts(out, "," #name);
    FACT_STRINGS(X)
    FACT_NUMBERS(X)
#undef X
    text_puts(out, ",unframed,decoded,digest_agrees,declared\r\n");
}

// --- All ---

void
format_record(const struct format *format, const Urlsum__V1__Record *record,
              struct text *out)
{
    switch (format->kind) {
    case FORMAT_JSONL:
        put_jsonl(format, record, out);
        return;
    case FORMAT_CSV:
        put_csv(format, record, out);
        return;
    case FORMAT_SUM:
    case FORMAT_TAG:
    case FORMAT_SRI:
        break;
    }
    if (!is_ok(record))
        return;
    for (size_t i = 0; i < record->n_digests && i < format->algorithms_len; i++)
        put_line(format, &record->url, format->algorithms[i],
                 &record->digests[i], out);
}

// The table's sentence for an outcome's name; NULL for one that a newer broker
// may have.
static const char *
find_meaning(const char *outcome)
{
    for (uint64_t i = 0; fail_is_known(i); i++) {
        if (strcmp(fail_name((enum fail)i), outcome) == 0)
            return fail_meaning((enum fail)i);
    }
    return NULL;
}

void
format_difference(const Urlsum__V1__Record *record, struct text *out)
{
    const Urlsum__V1__Facts *facts = record->facts;

    for (size_t i = 0; i < facts->n_declared; i++) {
        const Urlsum__V1__Declared *item = facts->declared[i];

        if (!item->agrees_is_case || item->agrees)
            continue;
        text_puts(out, "urlsum: ");
        text_printable(out, (const char *)record->url.data, record->url.len,
                       SHOWN_BYTES_MAX);
        text_printf(out, ": WARNING: its server declares (%s) %s ",
                    item->source, item->algorithm);
        text_hex(out, item->digest.data, item->digest.len);
        text_puts(out, ", but the body that came has ");
        text_hex(out, item->computed.data, item->computed.len);
        text_putc(out, '\n');
    }
}

// What the outcome means, for this URL.
static const char *
meaning_of(const Urlsum__V1__Record *record)
{
    const ProtobufCBinaryData *url = &record->url;
    bool is_invalid = strcmp(record->outcome, fail_name(FAIL_INVALID_URL)) == 0;

    if (is_invalid && !memmem(url->data, url->len, "://", 3))
        return "no scheme; write http:// or https:// before it";
    // At its end nobody sees it.
    if (is_invalid && memchr(url->data, ' ', url->len))
        return "a blank in it; write %20, or nothing where it is the list's";
    return find_meaning(record->outcome);
}

void
format_failure(const Urlsum__V1__Record *record, struct text *out)
{
    const Urlsum__V1__Facts *facts = record->facts;
    const char *meaning = meaning_of(record);

    text_puts(out, "urlsum: ");
    text_printable(out, (const char *)record->url.data, record->url.len,
                   SHOWN_BYTES_MAX);
    text_puts(out, ": ");
    text_printable(out, record->outcome, strlen(record->outcome),
                   SHOWN_BYTES_MAX);
    if (strcmp(record->outcome, fail_name(FAIL_HTTP)) == 0 &&
        record->http_status) {
        text_printf(out, " %" PRIu32 "\n", record->http_status);
        return;
    }
    if (facts && facts->message[0]) {
        text_puts(out, ": ");
        if (facts->curl_code)
            text_printf(out, "(%" PRIu32 ") ", facts->curl_code);
        text_printable(out, facts->message, strlen(facts->message),
                       SHOWN_BYTES_MAX);
    } else if (meaning) {
        text_printf(out, ": %s", meaning);
    }
    text_putc(out, '\n');
}
