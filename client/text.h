// text.h - a growing run of bytes: what is to be written next
//
// An append that finds no memory is remembered in is_broken and makes every
// later one do nothing, so a caller may look once, at the end.
#ifndef CLIENT_TEXT_H
#define CLIENT_TEXT_H
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *at; // not terminated; NULL while nothing was added
    size_t len;
    size_t capacity;
    bool is_broken;
};

// Zero-initialised ({0}) is an empty text.
void text_fini(struct text *text);

// Appends bytes, a string, one byte, or what fmt makes.
void text_add(struct text *text, const void *bytes, size_t len);
void text_puts(struct text *text, const char *string);
void text_putc(struct text *text, char c);
void text_printf(struct text *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// Appends lower-case hex, or padded base64 (RFC 4648 4).
void text_hex(struct text *text, const unsigned char *bytes, size_t len);
void text_base64(struct text *text, const unsigned char *bytes, size_t len);

// Appends bytes for a person's terminal: control bytes, backslashes and what is
// not UTF-8 become \xHH; longer than max bytes is cut, ending in "...".
void text_printable(struct text *text, const char *bytes, size_t len,
                    size_t max);

// True when all of it is UTF-8.
bool text_is_utf8(const void *bytes, size_t len);

#endif
