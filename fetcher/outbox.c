#include "fetcher/outbox.h"

#include "fetcher/chunk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Strings of collected outcomes. Longer than any outcome's strings together, so
// that each fits at least when nothing else waits.
#define STRINGS_BYTES (256 * 1024)
// Fewer bytes than this are copied into a message of their size: a chunk on its
// way is 256 KiB of memory, however little it carries.
#define COPY_BELOW (128 * 1024)

// A whole body from this size on leaves in a message of its own.
#define ALONE_FROM (32 * 1024)

struct whole {
    void *data;
    size_t len;
};

struct outbox {
    outbox_send_fn *send;
    void *arg;
    struct wire_buf *buf;
    // Outcomes not sent yet and what they point to.
    struct wire_fetched fetched[WIRE_ENTRIES_MAX];
    size_t fetched_len;
    size_t fetched_bytes; // at most, encoded
    char strings[STRINGS_BYTES];
    size_t strings_len;
    // Suites not sent yet: they leave before any body.
    struct wire_suite suites[WIRE_ENTRIES_MAX];
    size_t suites_len;
    // Jobs that have a connection, not told yet.
    struct wire_vouched connected[WIRE_ENTRIES_MAX];
    size_t connected_len;
    // Whole bodies not sent yet; wholes[i] belongs to segments[i].
    struct wire_segment segments[WIRE_ENTRIES_MAX];
    struct whole wholes[WIRE_ENTRIES_MAX];
    size_t wholes_len;
    size_t wholes_bytes;
};

int
outbox_new(outbox_send_fn *send, void *arg, struct outbox **out_outbox)
{
    // Large, but pages that are never touched cost nothing.
    struct outbox *outbox = calloc(1, sizeof(*outbox));

    if (!outbox)
        return -ENOMEM;
    if (wire_buf_new(&outbox->buf) != 0) {
        free(outbox);
        return -ENOMEM;
    }
    outbox->send = send;
    outbox->arg = arg;
    *out_outbox = outbox;
    return 0;
}

void
outbox_free(struct outbox **outbox)
{
    if (!*outbox)
        return;
    outbox_reset(*outbox);
    wire_buf_free(&(*outbox)->buf);
    free(*outbox);
    *outbox = NULL;
}

static void
drop_wholes(struct outbox *outbox)
{
    for (size_t i = 0; i < outbox->wholes_len; i++)
        free(outbox->wholes[i].data);
    outbox->wholes_len = 0;
    outbox->wholes_bytes = 0;
}

static void
drop_fetched(struct outbox *outbox)
{
    outbox->fetched_len = 0;
    outbox->fetched_bytes = 0;
    outbox->strings_len = 0;
}

void
outbox_reset(struct outbox *outbox)
{
    drop_fetched(outbox);
    drop_wholes(outbox);
    outbox->suites_len = 0;
    outbox->connected_len = 0;
}

// Sends what is in buf. body may be NULL.
static int
send_buf(struct outbox *outbox, zmq_msg_t *body)
{
    int err = wire_buf_error(outbox->buf);

    if (!err)
        err = outbox->send(outbox->arg, outbox->buf, body);
    if (body)
        (void)zmq_msg_close(body); // empty by now, unless nothing was sent
    // The link is on its way to the next session, which starts from nothing.
    return err == -ENOTCONN ? 0 : err;
}

static int
flush_fetched(struct outbox *outbox)
{
    int err;

    if (!outbox->fetched_len)
        return 0;
    wire_put_fetched(outbox->buf, outbox->fetched, outbox->fetched_len);
    err = send_buf(outbox, NULL);
    drop_fetched(outbox);
    return err;
}

static int
flush_suites(struct outbox *outbox)
{
    size_t len = outbox->suites_len;

    if (!len)
        return 0;
    outbox->suites_len = 0;
    wire_put_suite(outbox->buf, outbox->suites, len);
    return send_buf(outbox, NULL);
}

int
outbox_add_suite(struct outbox *outbox, const struct wire_suite *item)
{
    int err = 0;

    if (outbox->suites_len == WIRE_ENTRIES_MAX)
        err = flush_suites(outbox);
    if (!err)
        outbox->suites[outbox->suites_len++] = *item;
    return err;
}

static int
flush_connected(struct outbox *outbox)
{
    size_t len = outbox->connected_len;

    if (!len)
        return 0;
    outbox->connected_len = 0;
    wire_put_connected(outbox->buf, outbox->connected, len);
    return send_buf(outbox, NULL);
}

int
outbox_add_connected(struct outbox *outbox, uint64_t job, uint32_t attempt)
{
    int err = 0;

    if (outbox->connected_len == WIRE_ENTRIES_MAX)
        err = flush_connected(outbox);
    if (!err)
        outbox->connected[outbox->connected_len++] =
            (struct wire_vouched){.job = job, .attempt = attempt};
    return err;
}

// What must be there before a body.
static int
flush_heads(struct outbox *outbox)
{
    int err = flush_suites(outbox);

    return err ? err : flush_fetched(outbox);
}

static int
flush_wholes(struct outbox *outbox)
{
    zmq_msg_t body;
    char *at;
    int err;

    if (!outbox->wholes_len)
        return 0;
    err = flush_heads(outbox);
    if (err)
        return err;
    if (zmq_msg_init_size(&body, outbox->wholes_bytes) != 0)
        return -ENOMEM;
    at = zmq_msg_data(&body);
    for (size_t i = 0; i < outbox->wholes_len; i++) {
        const struct whole *whole = &outbox->wholes[i];

        if (whole->len)
            memcpy(at, whole->data, whole->len);
        at += whole->len;
    }
    wire_put_body(outbox->buf, outbox->segments, outbox->wholes_len);
    drop_wholes(outbox);
    return send_buf(outbox, &body);
}

int
outbox_flush(struct outbox *outbox)
{
    int err = flush_connected(outbox);

    if (!err)
        err = flush_heads(outbox);
    return err ? err : flush_wholes(outbox);
}

static size_t
strings_bytes(const struct wire_facts *facts)
{
    size_t bytes = 0;

#define X(key, field) bytes += facts->field.at ? facts->field.len : 0;
    WIRE_FACT_STRINGS(X)
#undef X
    return bytes;
}

static void
copy_string(struct outbox *outbox, struct wire_bytes *string)
{
    char *copy = outbox->strings + outbox->strings_len;

    if (!string->at)
        return;
    memcpy(copy, string->at, string->len);
    string->at = copy;
    outbox->strings_len += string->len;
}

int
outbox_add_fetched(struct outbox *outbox, const struct wire_fetched *item)
{
    size_t strings = strings_bytes(&item->facts);
    size_t bytes = wire_fetched_bytes(item);
    struct wire_fetched *mine;

    assert(strings <= STRINGS_BYTES); // our own cuts see to it
    if (outbox->fetched_len == WIRE_ENTRIES_MAX ||
        outbox->strings_len + strings > STRINGS_BYTES ||
        outbox->fetched_bytes + bytes > WIRE_HEAD_BYTES_MAX / 2) {
        // Whole bodies wait for nothing but this: they go along.
        int err = outbox_flush(outbox);

        if (err)
            return err;
    }
    mine = &outbox->fetched[outbox->fetched_len++];
    *mine = *item;
    outbox->fetched_bytes += bytes;
#define X(key, field) copy_string(outbox, &mine->facts.field);
    WIRE_FACT_STRINGS(X)
#undef X
    return 0;
}

static void
free_data(void *data, void *hint)
{
    (void)hint;
    free(data);
}

// A message of its own around the caller's memory: the copy that sharing a
// message would need costs more than a message does.
static int
send_alone(struct outbox *outbox, const struct wire_segment *segment,
           void **data)
{
    zmq_msg_t body;
    int err = flush_heads(outbox); // its outcome is among these

    if (err)
        return err;
    if (zmq_msg_init_data(&body, *data, segment->length, free_data, NULL) != 0)
        return -ENOMEM;
    *data = NULL; // the message's now
    wire_put_body(outbox->buf, segment, 1);
    return send_buf(outbox, &body);
}

int
outbox_take_whole(struct outbox *outbox, uint64_t job, uint32_t attempt,
                  void **data, size_t len)
{
    const struct wire_segment segment = {
        .job = job,
        .attempt = attempt,
        .length = (uint32_t)len,
        .flags = WIRE_SEGMENT_LAST,
    };
    int err;

    assert(len <= OUTBOX_WHOLE_MAX);
    if (len >= ALONE_FROM)
        return send_alone(outbox, &segment, data);
    if (outbox->wholes_len == WIRE_ENTRIES_MAX ||
        outbox->wholes_bytes + len > WIRE_BODY_BYTES_MAX) {
        err = flush_wholes(outbox);
        if (err)
            return err;
    }
    outbox->segments[outbox->wholes_len] = segment;
    outbox->wholes[outbox->wholes_len] = (struct whole){*data, len};
    *data = NULL;
    outbox->wholes_len++;
    outbox->wholes_bytes += len;
    return 0;
}

int
outbox_take_chunk(struct outbox *outbox, const struct wire_segment *segment,
                  struct chunk **chunk)
{
    zmq_msg_t body;
    int err;

    assert(segment->length <= WIRE_BODY_BYTES_MAX);
    err = segment->flags & WIRE_SEGMENT_LAST ? flush_heads(outbox)
                                             : flush_suites(outbox);
    if (err)
        return err;
    if (segment->length >= COPY_BELOW) {
        err = chunk_take_to_msg(chunk, segment->length, &body);
        if (err)
            return err;
    } else {
        if (zmq_msg_init_size(&body, segment->length) != 0)
            return -ENOMEM;
        if (segment->length)
            memcpy(zmq_msg_data(&body), (*chunk)->bytes, segment->length);
    }
    wire_put_body(outbox->buf, segment, 1);
    return send_buf(outbox, &body);
}
