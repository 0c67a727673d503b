#include "fetcher/digest_fields.h"

#include "fetcher/answer.h"

#include <string.h>
#include <strings.h>

// --- Base64 (RFC 4648, 4): padded, nothing else in it ---

static int
sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

// Exactly so many bytes, or false.
static bool
read_base64(struct wire_bytes text, size_t bytes, unsigned char *out)
{
    size_t padding = (3 - bytes % 3) % 3;
    size_t len = (bytes + 2) / 3 * 4;
    unsigned held = 0;
    size_t bits = 0, done = 0;

    if (text.len != len)
        return false;
    for (size_t i = 0; i < len - padding; i++) {
        int value = sextet(text.at[i]);

        if (value < 0)
            return false;
        held = held << 6 | (unsigned)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[done++] = (unsigned char)(held >> bits & 0xff);
        }
    }
    for (size_t i = len - padding; i < len; i++) {
        if (text.at[i] != '=')
            return false;
    }
    return (held & ((1u << bits) - 1)) == 0; // unused bits are zero
}

// --- Items ---

static void
keep(struct digest_fields *fields, const struct declared *item)
{
    size_t i = 0;

    while (i < fields->len && (fields->items[i].source != item->source ||
                               fields->items[i].algorithm != item->algorithm))
        i++;
    if (i == DIGEST_FIELDS_MAX)
        return;
    fields->items[i] = *item;
    if (i == fields->len)
        fields->len++;
}

// Returns false when the digest has not the algorithm's length.
static bool
keep_base64(struct digest_fields *fields, enum declared_source source,
            enum declared_algorithm algorithm, struct wire_bytes text,
            bool is_other)
{
    struct declared item = {
        .source = source, .algorithm = algorithm, .is_other = is_other};

    if (!read_base64(text, declared_algorithm_bytes(algorithm), item.digest))
        return false;
    keep(fields, &item);
    return true;
}

// The registry of RFC 9530, which grew out of that of RFC 3230.
static bool
find_registered(struct wire_bytes name, enum declared_algorithm *out_algorithm)
{
    static const struct {
        const char *name;
        enum declared_algorithm algorithm;
    } names[] = {
        {"sha-512", DECLARED_SHA512},
        {"sha-256", DECLARED_SHA256},
        {"sha", DECLARED_SHA1},
        {"md5", DECLARED_MD5},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (answer_is(name, names[i].name)) {
            *out_algorithm = names[i].algorithm;
            return true;
        }
    }
    return false;
}

// --- Walking a value ---

static struct wire_bytes
strip(struct wire_bytes text)
{
    while (text.len && (*text.at == ' ' || *text.at == '\t'))
        text = (struct wire_bytes){text.at + 1, text.len - 1};
    while (text.len &&
           (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

// Cuts off what stands before the first end, which goes too. False: there is no
// end.
static bool
cut(struct wire_bytes *rest, char end, struct wire_bytes *out_part)
{
    const char *at = rest->len ? memchr(rest->at, end, rest->len) : NULL;

    if (!at)
        return false;
    *out_part = (struct wire_bytes){rest->at, (size_t)(at - rest->at)};
    *rest = (struct wire_bytes){at + 1, rest->len - out_part->len - 1};
    return true;
}

// A dictionary of byte sequences (RFC 8941, 3.2): name=:BASE64:;param, ...
static void
read_dictionary(struct digest_fields *fields, enum declared_source source,
                struct wire_bytes rest)
{
    while (rest.len) {
        enum declared_algorithm algorithm;
        struct wire_bytes name, digest, param;
        bool is_more;

        if (!cut(&rest, '=', &name) || !rest.len || *rest.at != ':')
            return; // not a byte sequence: none of the registry's
        rest = (struct wire_bytes){rest.at + 1, rest.len - 1};
        if (!cut(&rest, ':', &digest))
            return;
        is_more = cut(&rest, ',', &param);
        param = strip(is_more ? param : rest);
        if (param.len && (*param.at != ';' || memchr(param.at, '"', param.len)))
            return;
        if (find_registered(strip(name), &algorithm) &&
            !keep_base64(fields, source, algorithm, digest, false))
            return;
        if (!is_more)
            return;
    }
}

// name=BASE64, ...: Digest and x-goog-hash.
static void
read_list(struct digest_fields *fields, enum declared_source source,
          struct wire_bytes rest)
{
    bool is_more = true;

    while (is_more) {
        enum declared_algorithm algorithm;
        struct wire_bytes item, name;
        bool is_known;

        is_more = cut(&rest, ',', &item);
        item = strip(is_more ? item : rest);
        if (!cut(&item, '=', &name))
            continue;
        is_known = source == DECLARED_GOOG_HASH && answer_is(name, "crc32c");
        if (is_known)
            algorithm = DECLARED_CRC32C;
        else
            is_known = find_registered(name, &algorithm);
        if (is_known)
            (void)keep_base64(fields, source, algorithm, item, false);
    }
}

// x-amz-checksum-sha256: BASE64, or BASE64-N of an object in N parts.
static void
read_amz(struct digest_fields *fields, struct wire_bytes algorithm_name,
         struct wire_bytes value)
{
    const char *dash = value.len ? memchr(value.at, '-', value.len) : NULL;
    enum declared_algorithm algorithm;
    char lower[16];

    if (algorithm_name.len >= sizeof(lower))
        return;
    for (size_t i = 0; i < algorithm_name.len; i++) {
        char c = algorithm_name.at[i];

        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    if (!declared_find_algorithm((struct wire_bytes){lower, algorithm_name.len},
                                 &algorithm))
        return;
    if (dash)
        value.len = (size_t)(dash - value.at);
    (void)keep_base64(fields, DECLARED_AMZ_CHECKSUM, algorithm, value,
                      dash != NULL);
}

static const char amz[] = "x-amz-checksum-";

static bool
find_source(struct wire_bytes name, enum declared_source *out_source)
{
    // Most fields are others, and every answer's every field comes by here.
    if (!name.len || !memchr("rcdxRCDX", name.at[0], 8))
        return false;
    for (int i = 0; i < DECLARED_AMZ_CHECKSUM; i++) {
        if (answer_is(name, declared_source_name((enum declared_source)i))) {
            *out_source = (enum declared_source)i;
            return true;
        }
    }
    *out_source = DECLARED_AMZ_CHECKSUM;
    return name.len > sizeof(amz) - 1 &&
           strncasecmp(name.at, amz, sizeof(amz) - 1) == 0;
}

bool
digest_fields_is_one(struct wire_bytes name)
{
    enum declared_source source;

    return find_source(name, &source);
}

void
digest_fields_add(struct digest_fields *fields, struct wire_bytes name,
                  struct wire_bytes value, bool is_trailer)
{
    enum declared_source source;

    if (!find_source(name, &source))
        return;
    switch (source) {
    case DECLARED_REPR_DIGEST:
    case DECLARED_CONTENT_DIGEST:
        read_dictionary(fields, source, value);
        return;
    case DECLARED_DIGEST:
    case DECLARED_GOOG_HASH:
        if (!is_trailer)
            read_list(fields, source, value);
        return;
    case DECLARED_CONTENT_MD5:
        if (!is_trailer)
            (void)keep_base64(fields, source, DECLARED_MD5, value, false);
        return;
    case DECLARED_AMZ_CHECKSUM:
        if (!is_trailer)
            read_amz(fields,
                     (struct wire_bytes){name.at + sizeof(amz) - 1,
                                         name.len - sizeof(amz) + 1},
                     value);
        return;
    case DECLARED_SOURCE_COUNT:
        return;
    }
}

void
digest_fields_mark(struct digest_fields *fields, bool is_decoded,
                   bool is_transcoded)
{
    for (size_t i = 0; i < fields->len; i++) {
        struct declared *item = &fields->items[i];

        item->is_other |=
            is_decoded || (is_transcoded && item->source == DECLARED_GOOG_HASH);
    }
}
