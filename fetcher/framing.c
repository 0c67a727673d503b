#include "fetcher/framing.h"

#include "fetcher/answer.h"

#include <string.h>

// The next item of a list; false: there is none.
static bool
next_item(struct wire_bytes *rest, struct wire_bytes *out_item)
{
    const char *comma;
    size_t len;

    if (!rest->at)
        return false;
    comma = memchr(rest->at, ',', rest->len);
    len = comma ? (size_t)(comma - rest->at) : rest->len;
    *out_item = (struct wire_bytes){rest->at, len};
    *rest = comma ? (struct wire_bytes){comma + 1, rest->len - len - 1}
                  : (struct wire_bytes){NULL, 0};
    while (out_item->len && strchr(" \t", out_item->at[0])) {
        out_item->at++;
        out_item->len--;
    }
    while (out_item->len && strchr(" \t", out_item->at[out_item->len - 1]))
        out_item->len--;
    return true;
}

// Decimal digits alone, and not more than any body has.
static bool
read_length(struct wire_bytes item, uint64_t *out_length)
{
    uint64_t length = 0;

    if (!item.len)
        return false;
    for (size_t i = 0; i < item.len; i++) {
        if (item.at[i] < '0' || item.at[i] > '9' || length > WIRE_SIZE_MAX / 10)
            return false;
        length = length * 10 + (uint64_t)(item.at[i] - '0');
    }
    *out_length = length;
    return length <= WIRE_SIZE_MAX;
}

static const char *
length_fault(struct wire_bytes field)
{
    struct wire_bytes item;
    uint64_t first = 0, length;

    for (bool is_first = true; next_item(&field, &item); is_first = false) {
        if (!read_length(item, &length))
            return "its Content-Length is no number, or too large a one";
        if (is_first)
            first = length;
        else if (length != first)
            return "it has several Content-Lengths";
    }
    return NULL;
}

const char *
framing_fault(const struct answer *answer)
{
    struct wire_bytes codings = answer_get(answer, ANSWER_TRANSFER_ENCODING);
    struct wire_bytes item;
    unsigned chunkeds = 0;

    while (next_item(&codings, &item))
        chunkeds += answer_is(item, "chunked");
    if (chunkeds > 1)
        return "it says that it is chunked twice";
    return length_fault(answer_get(answer, ANSWER_CONTENT_LENGTH));
}
