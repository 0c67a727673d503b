#include "proto/declared.h"

#include <assert.h>
#include <string.h>

static const char *const sources[DECLARED_SOURCE_COUNT] = {
#define X(symbol, name) name,
    DECLARED_SOURCES(X)
#undef X
};

static const struct {
    const char *name;
    size_t bytes;
    bool is_computed;
} algorithms[DECLARED_ALGORITHM_COUNT] = {
#define X(symbol, name, bytes, is_computed) {name, bytes, is_computed},
    DECLARED_ALGORITHMS(X)
#undef X
};

static const char other[] = "other";

const char *
declared_source_name(enum declared_source source)
{
    return sources[source];
}

const char *
declared_algorithm_name(enum declared_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

size_t
declared_algorithm_bytes(enum declared_algorithm algorithm)
{
    return algorithms[algorithm].bytes;
}

bool
declared_is_computed(enum declared_algorithm algorithm)
{
    return algorithms[algorithm].is_computed;
}

static bool
is_text(struct wire_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.at, text, bytes.len) == 0;
}

bool
declared_find_algorithm(struct wire_bytes name,
                        enum declared_algorithm *out_algorithm)
{
    for (int i = 0; i < DECLARED_ALGORITHM_COUNT; i++) {
        if (is_text(name, algorithms[i].name)) {
            *out_algorithm = (enum declared_algorithm)i;
            return true;
        }
    }
    return false;
}

// --- Writing ---

static char *
put(char *at, const char *text)
{
    size_t len = strlen(text);

    memcpy(at, text, len);
    return at + len;
}

size_t
declared_write(const struct declared *items, size_t len, char *out_text,
               size_t room)
{
    static const char hex[] = "0123456789abcdef";
    char *at = out_text;

    for (size_t i = 0; i < len; i++) {
        const struct declared *item = &items[i];
        size_t bytes = algorithms[item->algorithm].bytes;
        size_t need = strlen(sources[item->source]) + 1 +
                      strlen(algorithms[item->algorithm].name) + 1 + 2 * bytes +
                      sizeof(other) + 1;

        if (need > room - (size_t)(at - out_text))
            break;
        if (at != out_text)
            *at++ = ',';
        at = put(at, sources[item->source]);
        *at++ = ':';
        at = put(at, algorithms[item->algorithm].name);
        *at++ = ':';
        for (size_t k = 0; k < bytes; k++) {
            *at++ = hex[item->digest[k] >> 4];
            *at++ = hex[item->digest[k] & 15];
        }
        if (item->is_other) {
            *at++ = ':';
            at = put(at, other);
        }
    }
    return (size_t)(at - out_text);
}

// --- Reading ---

// Cuts off what stands before the next end (or all), and the end itself.
static struct wire_bytes
cut(struct wire_bytes *rest, char end)
{
    const char *at = rest->len ? memchr(rest->at, end, rest->len) : NULL;
    struct wire_bytes part = {rest->at,
                              at ? (size_t)(at - rest->at) : rest->len};
    size_t used = part.len + (at != NULL);

    *rest = (struct wire_bytes){rest->at + used, rest->len - used};
    return part;
}

static int
nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_hex(struct wire_bytes hex, size_t bytes, unsigned char *out_digest)
{
    if (hex.len != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        int high = nibble(hex.at[2 * i]), low = nibble(hex.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out_digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool
declared_next(struct wire_bytes *rest, struct declared *out_item)
{
    struct declared item = {0};
    struct wire_bytes text, source;
    int i = 0;

    if (!rest->len)
        return false;
    text = cut(rest, ',');
    source = cut(&text, ':');
    while (i < DECLARED_SOURCE_COUNT && !is_text(source, sources[i]))
        i++;
    if (i == DECLARED_SOURCE_COUNT)
        return false;
    item.source = (enum declared_source)i;
    if (!declared_find_algorithm(cut(&text, ':'), &item.algorithm) ||
        !read_hex(cut(&text, ':'), algorithms[item.algorithm].bytes,
                  item.digest))
        return false;
    item.is_other = text.len > 0;
    if (item.is_other && !is_text(text, other))
        return false;
    *out_item = item;
    return true;
}
