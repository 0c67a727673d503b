#include "fetcher/body.h"

#include "fetcher/chunk.h"
#include "fetcher/outbox.h"
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// First room of a small body whose length nobody told.
#define SMALL_ROOM_FIRST (16 * 1024)
// Small bodies under way, all transfers together: what does not fit streams.
// 256 transfers never get there; thousands at once must not hold a gigabyte.
#define COLLECTED_MAX (32 * 1024 * 1024)
// Streams that hold a chunk at once. A socket is read about once a turn, so
// those that were written first have little more to come, and hundreds of
// chunks would be tens of megabytes.
#define UNSENT_MAX 16

void
body_init(struct body *body, struct body_sink *sink, uint64_t job,
          uint32_t attempt)
{
    *body = (struct body){.sink = sink, .job = job, .attempt = attempt};
}

static bool
stays_small(const struct body *body, size_t len, uint64_t expected)
{
    // A told length decides at once, so that a large body is not copied twice;
    // but what came counts, should the told length be wrong.
    return !body->is_stream && body->size + len <= OUTBOX_WHOLE_MAX &&
           (expected == UINT64_MAX || expected <= OUTBOX_WHOLE_MAX) &&
           (body->size + len <= body->small_room ||
            body->sink->collected + OUTBOX_WHOLE_MAX <= COLLECTED_MAX);
}

uint64_t
body_need(const struct body *body, size_t len, uint64_t expected)
{
    if (stays_small(body, len, expected))
        return 0;
    return body->is_stream ? len : body->size + len;
}

static void
drop_small(struct body *body)
{
    free(body->small);
    body->small = NULL;
    body->sink->collected -= body->small_room;
    body->small_room = 0;
}

static int
write_small(struct body *body, const void *data, size_t len, uint64_t expected)
{
    size_t size = (size_t)body->size;

    if (size + len > body->small_room) {
        size_t room = OUTBOX_WHOLE_MAX;
        void *grown;

        if (expected >= size + len && expected <= OUTBOX_WHOLE_MAX)
            room = (size_t)expected;
        else if (size + len <= SMALL_ROOM_FIRST)
            room = SMALL_ROOM_FIRST;
        grown = realloc(body->small, room);
        if (!grown)
            return -ENOMEM;
        body->small = grown;
        body->sink->collected += room - body->small_room;
        body->small_room = room;
    }
    memcpy((char *)body->small + size, data, len);
    body->size += len;
    return 0;
}

static size_t
unsent_bytes(const struct body *body)
{
    return body->is_stream ? (size_t)(body->size - body->sent) : 0;
}

static void
leave_unsent(struct body *body)
{
    if (!body->is_unsent)
        return;
    DL_DELETE(body->sink->unsent, body);
    body->sink->unsent_len--;
    body->is_unsent = false;
}

static int
send_chunk(struct body *body, bool is_last)
{
    const struct wire_segment segment = {
        .job = body->job,
        .attempt = body->attempt,
        .offset = body->sent,
        .length = (uint32_t)unsent_bytes(body),
        .flags = is_last ? WIRE_SEGMENT_LAST : 0,
    };

    leave_unsent(body);
    body->sent = body->size;
    body->has_left = true;
    return outbox_take_chunk(body->sink->outbox, &segment, &body->chunk);
}

// Sends what the body waiting longest holds.
static int
send_first_unsent(struct body_sink *sink)
{
    struct body *body = sink->unsent;
    int err = send_chunk(body, false);

    // A slow stream would hold 256 KiB for its few bytes a turn.
    chunk_free(&body->chunk);
    return err;
}

static int
write_stream(struct body *body, const char *data, size_t len)
{
    while (len) {
        size_t held = unsent_bytes(body);
        size_t room = WIRE_BODY_BYTES_MAX - held;
        size_t part = len < room ? len : room;

        if (!body->chunk) {
            if (body->sink->unsent_len >= UNSENT_MAX) {
                int err = send_first_unsent(body->sink);

                if (err)
                    return err;
            }
            body->chunk = chunk_new(body->sink->pool);
            if (!body->chunk)
                return -ENOMEM;
        }
        memcpy(body->chunk->bytes + held, data, part);
        body->size += part;
        data += part;
        len -= part;
        if (part == room) {
            int err = send_chunk(body, false);

            if (err)
                return err;
        } else if (!body->is_unsent) {
            DL_APPEND(body->sink->unsent, body);
            body->sink->unsent_len++;
            body->is_unsent = true;
        }
    }
    return 0;
}

int
body_write(struct body *body, const void *data, size_t len, uint64_t expected)
{
    int err = 0;

    if (stays_small(body, len, expected))
        return write_small(body, data, len, expected);
    if (!body->is_stream) {
        size_t collected = (size_t)body->size;

        body->is_stream = true;
        body->size = 0;
        err = write_stream(body, body->small, collected);
        drop_small(body);
    }
    return err ? err : write_stream(body, data, len);
}

int
body_restart(struct body *body, uint64_t *out_unsent)
{
    const struct wire_segment segment = {
        .job = body->job,
        .attempt = body->attempt,
        .flags = WIRE_SEGMENT_RESTART,
    };

    *out_unsent = unsent_bytes(body);
    leave_unsent(body);
    body->size = body->sent = 0;
    if (!body->has_left)
        return 0; // nobody knows of it yet
    return outbox_take_chunk(body->sink->outbox, &segment, &body->chunk);
}

uint64_t
body_end_need(const struct body *body)
{
    return body->is_stream ? 0 : body->size;
}

int
body_end(struct body *body, const struct wire_fetched *outcome)
{
    int err;

    assert(outcome->outcome == FAIL_OK);
    err = outbox_add_fetched(body->sink->outbox, outcome);
    if (err)
        return err;
    if (body->is_stream)
        return send_chunk(body, true);
    return outbox_take_whole(body->sink->outbox, body->job, body->attempt,
                             &body->small, (size_t)body->size);
}

uint64_t
body_drop(struct body *body)
{
    uint64_t unsent = unsent_bytes(body);

    leave_unsent(body);
    body->sent = body->size;
    chunk_free(&body->chunk);
    drop_small(body);
    return unsent;
}

int
body_flush_streams(struct body_sink *sink)
{
    int err = 0;

    while (sink->unsent && !err)
        err = send_first_unsent(sink);
    return err;
}
