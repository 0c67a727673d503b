#include "broker/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Keys of protobuf fields: number << 3 | wire type (0 varint, 2 bytes).
#define VARINT(number) ((number) << 3)
#define BYTES(number) ((number) << 3 | 2)
// A key and a length or number take at most this.
#define FIELD_MAX 12

void
page_fini(struct page *page)
{
    free(page->data);
    *page = (struct page){0};
}

static int
reserve(struct page *page, size_t more)
{
    size_t room = page->room ? page->room : 4096;
    unsigned char *data;

    if (page->room - page->len >= more)
        return 0;
    while (room - page->len < more)
        room *= 2;
    data = realloc(page->data, room);
    if (!data)
        return -ENOMEM;
    page->data = data;
    page->room = room;
    return 0;
}

static size_t
varint_len(uint64_t value)
{
    size_t len = 1;

    for (; value >= 0x80; value >>= 7)
        len++;
    return len;
}

static unsigned char *
put_varint(unsigned char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    return at;
}

static unsigned char *
put_number(unsigned char *at, unsigned number, uint64_t value)
{
    if (!value)
        return at; // proto3: zero is not written
    at = put_varint(at, VARINT(number));
    return put_varint(at, value);
}

static unsigned char *
put_bytes(unsigned char *at, unsigned number, const void *data, size_t len)
{
    at = put_varint(at, BYTES(number));
    at = put_varint(at, len);
    if (len)
        memcpy(at, data, len);
    return at + len;
}

int
page_add_record(struct page *page, const struct store_record *record,
                const struct suite *suite)
{
    const char *outcome = fail_name(record->outcome);
    size_t outcome_len = strlen(outcome);
    size_t most = record->url_len + outcome_len + record->digests_len +
                  record->facts_len + FIELD_MAX * (8 + WIRE_ALGORITHMS_MAX);
    unsigned char *start, *at;
    size_t len, gap;
    int err = reserve(page, most + FIELD_MAX);

    if (err)
        return err;
    // The record's length comes before it: leave the widest gap, then close it.
    start = page->data + page->len + FIELD_MAX;
    at = put_number(start, 1, record->seq);
    at = put_bytes(at, 2, record->url, record->url_len);
    at = put_bytes(at, 3, outcome, outcome_len);
    at = put_number(at, 4, record->size);
    at = put_number(at, 5, record->http_status);
    at = put_number(at, 6, record->tries);
    if (record->digests_len == suite->total_bytes) {
        const unsigned char *digest = record->digests;

        for (size_t i = 0; i < suite->len; i++) {
            at = put_bytes(at, 7, digest, suite->digest_bytes[i]);
            digest += suite->digest_bytes[i];
        }
    }
    if (record->facts_len)
        at = put_bytes(at, 8, record->facts, record->facts_len);
    len = (size_t)(at - start);
    gap = varint_len(BYTES(1)) + varint_len(len);
    memmove(page->data + page->len + gap, start, len);
    at = put_varint(page->data + page->len, BYTES(1));
    (void)put_varint(at, len);
    page->len += gap + len;
    return 0;
}

int
page_add_tail(struct page *page, uint64_t cursor, bool is_end,
              const unsigned char *batch, size_t batch_len)
{
    unsigned char *at;
    int err = reserve(page, batch_len + FIELD_MAX * 3);

    if (err)
        return err;
    at = put_number(page->data + page->len, 2, cursor);
    at = put_number(at, 3, is_end);
    at = put_bytes(at, 4, batch, batch_len);
    page->len = (size_t)(at - page->data);
    return 0;
}

int
page_wrap(struct page *page, uint64_t request_id)
{
    unsigned char head[FIELD_MAX * 2], *at = head;
    size_t head_len;
    int err;

    at = put_number(at, 1, request_id);
    at = put_varint(at, BYTES(6));
    at = put_varint(at, page->len);
    head_len = (size_t)(at - head);
    err = reserve(page, head_len);
    if (err)
        return err;
    memmove(page->data + head_len, page->data, page->len);
    memcpy(page->data, head, head_len);
    page->len += head_len;
    return 0;
}
