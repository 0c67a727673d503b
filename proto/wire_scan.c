#include "proto/wire_scan.h"

#include <stdbool.h>
#include <stdint.h>

// What stands in a value's head: how many bytes and values it brings.
struct head {
    size_t bytes;  // of the head itself and of what follows it directly
    size_t values; // inside: elements of an array, keys and values of a map
};

static uint64_t
read_big_endian(const unsigned char *at, size_t width)
{
    uint64_t value = 0;

    for (size_t i = 0; i < width; i++)
        value = value << 8 | at[i];
    return value;
}

// A head whose length stands in the width bytes after its first one. Returns
// false when the frame ends before them.
static bool
read_length(const unsigned char *at, size_t left, size_t width,
            uint64_t *out_length)
{
    if (left < 1 + width)
        return false;
    *out_length = read_big_endian(at + 1, width);
    return true;
}

// Numbers of the msgpack specification's table of formats. left is at least 1.
static const char *
read_head(const unsigned char *at, size_t left, struct head *out_head)
{
    static const char cut[] = "the frame ends inside a value";
    unsigned char first = at[0];
    uint64_t length = 0;

    *out_head = (struct head){.bytes = 1};
    if (first <= 0x7f)
        return NULL;
    if (first <= 0x8f) {
        out_head->values = 2 * (size_t)(first & 0x0f);
        return NULL;
    }
    if (first <= 0x9f) {
        out_head->values = first & 0x0f;
        return NULL;
    }
    if (first <= 0xbf) {
        out_head->bytes = 1 + (size_t)(first & 0x1f);
        return NULL;
    }
    switch (first) {
    case 0xcc: // uint 8, 16, 32, 64
    case 0xcd:
    case 0xce:
    case 0xcf:
        out_head->bytes = 1 + (size_t)(1 << (first - 0xcc));
        return NULL;
    case 0xd0: // int 8, 16, 32, 64: fine while not negative, seen to later
    case 0xd1:
    case 0xd2:
    case 0xd3:
        out_head->bytes = 1 + (size_t)(1 << (first - 0xd0));
        return NULL;
    case 0xc4: // bin 8, 16, 32
    case 0xc5:
    case 0xc6:
    case 0xd9: // str 8, 16, 32
    case 0xda:
    case 0xdb: {
        size_t width = (size_t)1 << (first - (first < 0xd0 ? 0xc4 : 0xd9));

        if (!read_length(at, left, width, &length))
            return cut;
        out_head->bytes = 1 + width + (size_t)length;
        return NULL;
    }
    case 0xdc: // array 16, 32
    case 0xdd:
    case 0xde: // map 16, 32
    case 0xdf: {
        size_t width = (first & 1) ? 4 : 2;

        if (!read_length(at, left, width, &length))
            return cut;
        out_head->bytes = 1 + width;
        out_head->values = (size_t)length * (first < 0xde ? 1 : 2);
        return NULL;
    }
    default: // nil, booleans, floats, extensions, negative numbers
        return "a type that the protocol does not use";
    }
}

const char *
wire_scan(const void *data, size_t len)
{
    const unsigned char *at = data;
    size_t left = len;
    size_t missing[WIRE_DEPTH_MAX]; // values still to come, one a level
    size_t depth = 0;
    size_t values = 0;

    if (len == 0)
        return "an empty frame";
    if (len > WIRE_HEAD_BYTES_MAX)
        return "a frame that is too long";
    do {
        struct head head;
        const char *complaint;

        if (left == 0)
            return "the frame ends inside a value";
        complaint = read_head(at, left, &head);
        if (complaint)
            return complaint;
        if (head.bytes > left)
            return "the frame ends inside a value";
        at += head.bytes;
        left -= head.bytes;
        values++;
        // Every value needs a byte at least, so a count beyond what is left is
        // a lie: no need to walk on to find the end missing.
        if (head.values > left || values + head.values > WIRE_VALUES_MAX)
            return "more elements than the frame can have";
        if (depth)
            missing[depth - 1]--;
        if (head.values) {
            if (depth == WIRE_DEPTH_MAX)
                return "arrays too deep inside one another";
            missing[depth++] = head.values;
        }
        while (depth && missing[depth - 1] == 0)
            depth--;
    } while (depth);
    return left ? "bytes after the end of the message" : NULL;
}
