#include "common/log_json.h"

#include "common/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// What may end an object: room for it is used for nothing else.
static const char cut_end[] = ",\"cut\":true}";
#define END_BYTES (sizeof(cut_end) - 1)

// Bytes of one character in a string, at most: a surrogate pair.
#define CHAR_BYTES_MAX 12
#define EVENT_BYTES_MAX 64

struct writer {
    char *at;
    size_t len, size; // size: without END_BYTES
    bool is_cut;
};

struct span {
    const char *at;
    size_t len;
};

static bool
has_room(const struct writer *out, size_t len)
{
    return out->size - out->len >= len;
}

static void
put(struct writer *out, const char *bytes, size_t len)
{
    memcpy(out->at + out->len, bytes, len);
    out->len += len;
}

// --- Strings ---

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that text begins with, as log_escape() has it; returns how much text
// it takes.
static size_t
unescape(struct span text, unsigned char *out_byte)
{
    *out_byte = (unsigned char)text.at[0];
    if (text.len < 4 || text.at[0] != '\\' || text.at[1] != 'x' ||
        hex_value(text.at[2]) < 0 || hex_value(text.at[3]) < 0)
        return 1;
    *out_byte =
        (unsigned char)(hex_value(text.at[2]) << 4 | hex_value(text.at[3]));
    return 4;
}

// One character as it stands in a JSON string; returns its length.
static size_t
print_char(uint32_t c, char buf[CHAR_BYTES_MAX + 1])
{
    static const char shorts[] = "\b\t\n\f\r";
    static const char names[] = "btnfr";
    const char *found = c && c < 0x20 ? strchr(shorts, (int)c) : NULL;
    int len;

    if (c == '"')
        len = snprintf(buf, CHAR_BYTES_MAX + 1, "\\\"");
    else if (found)
        len = snprintf(buf, CHAR_BYTES_MAX + 1, "\\%c", names[found - shorts]);
    else if (c >= 0x20 && c < 0x7f)
        len = snprintf(buf, CHAR_BYTES_MAX + 1, "%c", (char)c);
    else if (c < 0x10000)
        len = snprintf(buf, CHAR_BYTES_MAX + 1, "\\u%04x", (unsigned)c);
    else
        len = snprintf(buf, CHAR_BYTES_MAX + 1, "\\u%04x\\u%04x",
                       0xd800u + (unsigned)((c - 0x10000) >> 10),
                       0xdc00u + (unsigned)((c - 0x10000) & 0x3ff));
    return (size_t)len;
}

// The character that text begins with, as JSON has it; returns how much text it
// takes.
static size_t
next_char(struct span text, char buf[CHAR_BYTES_MAX + 1], size_t *out_len)
{
    unsigned char bytes[4];
    size_t ends[4]; // of each byte's text
    size_t used = 0, len = 0, step;

    while (len < 4 && used < text.len) {
        used += unescape((struct span){text.at + used, text.len - used},
                         &bytes[len]);
        ends[len++] = used;
    }
    step = utf8_len(bytes, len);
    if (step && bytes[0] != '\\') {
        *out_len = print_char(utf8_char(bytes, step), buf);
        return ends[step - 1];
    }
    *out_len = (size_t)snprintf(buf, CHAR_BYTES_MAX + 1, "\\\\x%02x", bytes[0]);
    return ends[0];
}

// A string, as much of it as there is room for.
static void
put_string(struct writer *out, struct span text)
{
    char c[CHAR_BYTES_MAX + 1];
    size_t len;

    put(out, "\"", 1);
    while (text.len && !out->is_cut) {
        size_t step = next_char(text, c, &len);

        if (has_room(out, len + 1)) // and for the quote at the end
            put(out, c, len);
        else
            out->is_cut = true;
        text.at += step;
        text.len -= step;
    }
    put(out, "\"", 1);
}

// --- Fields ---

static bool
is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// The next key of a format, and what stands behind its '='. Returns false after
// the last one.
static bool
next_key(const char **fmt, struct span *out_key)
{
    const char *at = *fmt;

    while (*at) {
        size_t len = 0;

        while (is_key_char(at[len]))
            len++;
        if (len && at[len] == '=') {
            *out_key = (struct span){at, len};
            *fmt = at + len + 1;
            return true;
        }
        // To the next blank that is not in a quoted text.
        for (bool is_quoted = false; *at && (is_quoted || *at != ' '); at++)
            is_quoted ^= *at == '"';
        if (*at == ' ')
            at++;
    }
    return false;
}

// True when a value's format is one whole number and nothing more.
static bool
is_number_format(const char *fmt)
{
    if (*fmt++ != '%')
        return false;
    fmt += strspn(fmt, "hljzt");
    return (*fmt == 'd' || *fmt == 'i' || *fmt == 'u') &&
           (fmt[1] == ' ' || !fmt[1]);
}

static bool
is_number(struct span value)
{
    size_t i = value.len && value.at[0] == '-';

    if (i == value.len || (value.at[i] == '0' && value.len > i + 1))
        return false;
    for (; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
    }
    return true;
}

static bool
begins_with_key(struct span text, struct span key)
{
    return key.at && text.len > key.len &&
           memcmp(text.at, key.at, key.len) == 0 && text.at[key.len] == '=';
}

// How much of text its first value takes. Blanks in quotes end nothing, others
// only before the next key.
static size_t
value_len(struct span text, struct span next)
{
    const char *quote = text.at;
    size_t end = 0;

    if (text.len && *text.at == '"') {
        quote = memchr(text.at + 1, '"', text.len - 1);
        if (!quote)
            return text.len; // its end was cut off
        end = (size_t)(quote - text.at) + 1;
    }
    while (end < text.len) {
        struct span rest = {text.at + end + 1, text.len - end - 1};

        if (text.at[end] == ' ' && begins_with_key(rest, next))
            break;
        end++;
    }
    return end;
}

// A value without its quotes. Of what the formatting cut off, an escape may be
// half there.
static struct span
bare_value(struct span value, bool is_torn)
{
    if (value.len && *value.at == '"') {
        value = (struct span){value.at + 1, value.len - 1};
        if (value.len && value.at[value.len - 1] == '"')
            value.len--;
    }
    for (size_t back = 1; is_torn && back < 4 && back <= value.len; back++) {
        if (value.at[value.len - back] == '\\')
            value.len -= back;
    }
    return value;
}

static void
put_field(struct writer *out, struct span key, struct span value,
          bool is_string)
{
    // With room for a number, or for a part of a string that tells something.
    size_t need = key.len + strlen(",\"\":\"") + (is_string ? 16 : value.len);

    if (!has_room(out, need)) {
        out->is_cut = true;
        return;
    }
    put(out, ",\"", 2);
    put(out, key.at, key.len);
    put(out, "\":", 2);
    if (is_string)
        put_string(out, value);
    else
        put(out, value.at, value.len);
}

static void
put_fields(struct writer *out, const struct log_json *line)
{
    const char *fmt = line->fmt;
    struct span text = {line->fields, line->fields_len};
    struct span key = {NULL, 0};

    if (!next_key(&fmt, &key) || !begins_with_key(text, key)) {
        if (text.len)
            put_field(out, (struct span){"text", 4}, text, true);
        return;
    }
    // A text that was cut off has not all of the keys.
    while (!out->is_cut && begins_with_key(text, key)) {
        const char *value_fmt = fmt;
        struct span next = {NULL, 0};
        struct span value;
        bool is_torn;

        (void)next_key(&fmt, &next);
        text = (struct span){text.at + key.len + 1, text.len - key.len - 1};
        value = (struct span){text.at, value_len(text, next)};
        text = (struct span){text.at + value.len, text.len - value.len};
        if (text.len) // the blank before the next key
            text = (struct span){text.at + 1, text.len - 1};
        is_torn = line->is_cut && !text.len;
        if (!is_number_format(value_fmt) || (!is_number(value) && !is_torn))
            put_field(out, key, bare_value(value, is_torn), true);
        else if (!is_torn) // a part of a number is another number
            put_field(out, key, value, false);
        key = next;
    }
}

size_t
log_json(const struct log_json *line, char *buf, size_t size)
{
    struct writer out = {buf, 0, size - END_BYTES, false};
    const struct span event = {line->event,
                               strnlen(line->event, EVENT_BYTES_MAX)};

    assert(size >= LOG_JSON_BYTES_MIN);
    put(&out, "{\"ts\":", 6);
    put_string(&out, (struct span){line->ts, strlen(line->ts)});
    put(&out, ",\"level\":", 9);
    put_string(&out, (struct span){line->level, strlen(line->level)});
    put(&out, ",\"event\":", 9);
    put_string(&out, event);
    put_fields(&out, line);
    if (out.is_cut || line->is_cut)
        put(&out, cut_end, sizeof(cut_end) - 1);
    else
        put(&out, "}", 1);
    return out.len;
}
