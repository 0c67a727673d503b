// A log line's fields as JSON, also where fields and format do not fit
// together. The input: a format, a line feed, a byte that says how much room
// there is and whether the fields were cut off, the fields. What comes out must
// be one object of the grammar of RFC 8259 with strings and numbers alone, in
// ASCII.
#include "common/log_json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool is_true)
{
    if (!is_true)
        abort();
}

static const char *
read_string(const char *at, const char *end)
{
    expect(at < end && *at == '"');
    for (at++; expect(at < end), *at != '"'; at++) {
        expect(*at >= 0x20 && *at < 0x7f);
        if (*at != '\\')
            continue;
        at++;
        expect(at < end && strchr("\"\\bfnrtu", *at));
        for (int i = 0; *at == 'u' && i < 4; i++)
            expect(at + 1 + i < end && isxdigit((unsigned char)at[1 + i]));
    }
    return at + 1;
}

static const char *
read_number(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    expect(at < end && isdigit((unsigned char)*at));
    if (*at == '0')
        return at + 1;
    while (at < end && isdigit((unsigned char)*at))
        at++;
    return at;
}

static void
read_object(const char *at, const char *end)
{
    static const char cut[] = ",\"cut\":true}";

    expect(at < end && *at == '{');
    do {
        at = read_string(at + 1, end);
        expect(at < end && *at == ':');
        at++;
        at = at < end && *at == '"' ? read_string(at, end)
                                    : read_number(at, end);
        if ((size_t)(end - at) == sizeof(cut) - 1 &&
            memcmp(at, cut, sizeof(cut) - 1) == 0)
            return;
        expect(at < end);
    } while (*at == ',');
    expect(*at == '}' && at + 1 == end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *feed = size ? memchr(data, '\n', size) : NULL;
    size_t fmt_len = feed ? (size_t)(feed - data) : 0;
    size_t room, used;
    char *fmt, *buf;
    struct log_json line = {.ts = "T", .level = "info", .event = "a.b"};

    if (!feed || size < fmt_len + 2)
        return 0;
    room = LOG_JSON_BYTES_MIN + (size_t)(feed[1] >> 1);
    fmt = strndup((const char *)data, fmt_len);
    buf = malloc(room);
    if (fmt && buf) {
        line.fmt = fmt;
        line.fields = (const char *)feed + 2;
        line.fields_len = size - fmt_len - 2;
        line.is_cut = feed[1] & 1;
        used = log_json(&line, buf, room);
        expect(used <= room);
        read_object(buf, buf + used);
    }
    free(fmt);
    free(buf);
    return 0;
}
