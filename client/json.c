#include "client/json.h"

#include "client/text.h"
#include "common/utf8.h"

#include <inttypes.h>
#include <string.h>

static void
quote(struct text *out, const char *bytes, size_t len)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t i = 0;

    text_putc(out, '"');
    while (i < len) {
        size_t plain = i;
        size_t step = 1;

        while (plain < len && at[plain] >= 0x20 && at[plain] < 0x7f &&
               at[plain] != '"' && at[plain] != '\\')
            plain++;
        text_add(out, at + i, plain - i);
        i = plain;
        if (i == len)
            break;
        if (at[i] == '"' || at[i] == '\\') {
            text_putc(out, '\\');
            text_putc(out, (char)at[i]);
        } else if (at[i] < 0x20 || at[i] == 0x7f) {
            text_printf(out, "\\u%04x", at[i]);
        } else {
            step = utf8_len(at + i, len - i);
            if (step)
                text_add(out, at + i, step);
            else
                text_puts(out, "\xef\xbf\xbd"); // U+FFFD
        }
        i += step ? step : 1;
    }
    text_putc(out, '"');
}

static void
begin(struct json *json, const char *name)
{
    if (json->needs_comma)
        text_putc(json->out, ',');
    if (name) {
        quote(json->out, name, strlen(name));
        text_putc(json->out, ':');
    }
    json->needs_comma = true;
}

static void
open_with(struct json *json, const char *name, char c)
{
    begin(json, name);
    text_putc(json->out, c);
    json->needs_comma = false;
}

static void
close_with(struct json *json, char c)
{
    text_putc(json->out, c);
    json->needs_comma = true;
}

void
json_open_object(struct json *json, const char *name)
{
    open_with(json, name, '{');
}

void
json_close_object(struct json *json)
{
    close_with(json, '}');
}

void
json_open_array(struct json *json, const char *name)
{
    open_with(json, name, '[');
}

void
json_close_array(struct json *json)
{
    close_with(json, ']');
}

void
json_string(struct json *json, const char *name, const char *bytes, size_t len)
{
    begin(json, name);
    quote(json->out, bytes, len);
}

void
json_puts(struct json *json, const char *name, const char *string)
{
    json_string(json, name, string, strlen(string));
}

void
json_u64(struct json *json, const char *name, uint64_t value)
{
    begin(json, name);
    text_printf(json->out, "%" PRIu64, value);
}

void
json_i64(struct json *json, const char *name, int64_t value)
{
    begin(json, name);
    text_printf(json->out, "%" PRId64, value);
}

void
json_bool(struct json *json, const char *name, bool value)
{
    begin(json, name);
    text_puts(json->out, value ? "true" : "false");
}

void
json_hex(struct json *json, const char *name, const unsigned char *bytes,
         size_t len)
{
    begin(json, name);
    text_putc(json->out, '"');
    text_hex(json->out, bytes, len);
    text_putc(json->out, '"');
}

void
json_base64(struct json *json, const char *name, const unsigned char *bytes,
            size_t len)
{
    begin(json, name);
    text_putc(json->out, '"');
    text_base64(json->out, bytes, len);
    text_putc(json->out, '"');
}
