#include "client/text.h"

#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
text_fini(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

// Makes room for more bytes and returns where they go, or NULL.
static char *
reserve(struct text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : 1024;
    char *at;

    if (text->is_broken)
        return NULL;
    while (capacity - text->len < more)
        capacity *= 2;
    if (capacity != text->capacity) {
        at = realloc(text->at, capacity);
        if (!at) {
            text->is_broken = true;
            return NULL;
        }
        text->at = at;
        text->capacity = capacity;
    }
    return text->at + text->len;
}

void
text_add(struct text *text, const void *bytes, size_t len)
{
    char *to = reserve(text, len);

    if (!to || !len)
        return;
    memcpy(to, bytes, len);
    text->len += len;
}

void
text_puts(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void
text_putc(struct text *text, char c)
{
    text_add(text, &c, 1);
}

void
text_printf(struct text *text, const char *fmt, ...)
{
    va_list args;
    char *to;
    int len;

    va_start(args, fmt);
    len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    to = reserve(text, (size_t)len + 1);
    if (!to)
        return;
    va_start(args, fmt);
    (void)vsnprintf(to, (size_t)len + 1, fmt, args); // measured above
    va_end(args);
    text->len += (size_t)len;
}

void
text_hex(struct text *text, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *to = reserve(text, 2 * len);

    if (!to)
        return;
    for (size_t i = 0; i < len; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    text->len += 2 * len;
}

void
text_base64(struct text *text, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned a = bytes[i];
        unsigned b = left > 1 ? bytes[i + 1] : 0;
        unsigned c = left > 2 ? bytes[i + 2] : 0;
        char quad[4] = {digits[a >> 2], digits[(a & 3) << 4 | b >> 4],
                        left > 1 ? digits[(b & 15) << 2 | c >> 6] : '=',
                        left > 2 ? digits[c & 63] : '='};

        text_add(text, quad, sizeof(quad));
    }
}

bool
text_is_utf8(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t step;

    for (size_t i = 0; i < len; i += step) {
        step = utf8_len(at + i, len - i);
        if (!step)
            return false;
    }
    return true;
}

void
text_printable(struct text *text, const char *bytes, size_t len, size_t max)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t step;

    for (size_t i = 0; i < len; i += step) {
        if (i >= max) {
            text_puts(text, "...");
            return;
        }
        step = utf8_len(at + i, len - i);
        // U+0080-U+009F are control characters for terminals too.
        if (step == 0 || at[i] < 0x20 || at[i] == 0x7f || at[i] == '\\' ||
            (at[i] == 0xc2 && at[i + 1] < 0xa0)) {
            text_printf(text, "\\x%02x", at[i]);
            step = 1;
        } else {
            text_add(text, at + i, step);
        }
    }
}
