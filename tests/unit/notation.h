// notation.h - msgpack frames for tests, written as text
//
//   7          unsigned number        'abc'   str of these characters
//   -7         negative number        <abc>   bin of these characters
//   [1,[2]]    array                  s500    str of 500 letters a
//   {1:2}      map                    b500    bin of 500 letters a
//   n t        nil, true              3*[1]   three such elements of an array
//
// Always the widest encoding, so that decoders see those too. Blanks are
// skipped. What cannot be read aborts the test.
#ifndef TESTS_UNIT_NOTATION_H
#define TESTS_UNIT_NOTATION_H
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct notation {
    const char *at; // what is left of the text
    unsigned char *bytes;
    size_t len, room;
};

static inline void
notation_put(struct notation *to, const void *bytes, size_t len)
{
    if (to->len + len > to->room) {
        to->room = 2 * (to->len + len);
        to->bytes = realloc(to->bytes, to->room);
        if (!to->bytes)
            abort();
    }
    if (len)
        memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static inline void
notation_put_head(struct notation *to, unsigned char first, uint64_t number,
                  size_t width)
{
    notation_put(to, &first, 1);
    for (size_t i = width; i-- > 0;) {
        unsigned char byte = (unsigned char)(number >> (8 * i));

        notation_put(to, &byte, 1);
    }
}

static inline void
notation_letters(struct notation *to, unsigned char first)
{
    unsigned long len = strtoul(to->at + 1, (char **)&to->at, 10);

    notation_put_head(to, first, len, 4);
    for (; len; len--)
        notation_put(to, "a", 1);
}

static inline void
notation_quoted(struct notation *to, unsigned char first, char end)
{
    const char *close = strchr(++to->at, end);

    if (!close)
        abort();
    notation_put_head(to, first, (size_t)(close - to->at), 4);
    notation_put(to, to->at, (size_t)(close - to->at));
    to->at = close + 1;
}

static inline void notation_value(struct notation *to);

// An array (end is ']') or a map ('}').
static inline void
notation_list(struct notation *to, char end)
{
    size_t head = to->len;
    size_t count = 0;

    notation_put_head(to, end == ']' ? 0xdd : 0xdf, 0, 4);
    to->at++;
    while (*to->at != end) {
        const char *again = to->at;
        size_t times = 1;

        if (strspn(again, "0123456789") &&
            again[strspn(again, "0123456789")] == '*')
            times = strtoul(again, (char **)&again, 10), again++;
        for (; times; times--) {
            to->at = again;
            notation_value(to);
            if (end == '}') {
                to->at++; // the colon
                notation_value(to);
            }
            count++;
        }
        if (*to->at == ',')
            to->at++;
    }
    to->at++;
    for (size_t i = 0; i < 4; i++)
        to->bytes[head + 1 + i] = (unsigned char)(count >> (8 * (3 - i)));
}

static inline void
notation_value(struct notation *to)
{
    while (*to->at == ' ')
        to->at++;
    if (isdigit((unsigned char)*to->at))
        notation_put_head(to, 0xcf, strtoull(to->at, (char **)&to->at, 10), 8);
    else if (*to->at == '-')
        notation_put_head(to, 0xd3,
                          (uint64_t)strtoll(to->at, (char **)&to->at, 10), 8);
    else if (*to->at == '\'')
        notation_quoted(to, 0xdb, '\'');
    else if (*to->at == '<')
        notation_quoted(to, 0xc6, '>');
    else if (*to->at == 's')
        notation_letters(to, 0xdb);
    else if (*to->at == 'b')
        notation_letters(to, 0xc6);
    else if (*to->at == '[' || *to->at == '{')
        notation_list(to, *to->at == '[' ? ']' : '}');
    else if (*to->at == 'n' || *to->at == 't')
        notation_put(to, *to->at++ == 'n' ? "\xc0" : "\xc3", 1);
    else {
        fprintf(stderr, "cannot read notation at: %s\n", to->at);
        abort();
    }
}

// The frame, of exactly *out_len bytes, for free().
static inline unsigned char *
notation_read(const char *text, size_t *out_len)
{
    struct notation to = {.at = text};
    unsigned char *exact;

    notation_value(&to);
    if (*to.at)
        abort();
    exact = realloc(to.bytes, to.len); // so that ASan sees one byte too many
    *out_len = to.len;
    return exact;
}

#endif
