#include "hasher/streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

// Attempts whose left-over segments are ignored without a word. Those forgotten
// too early cost one more ABORT each, no more.
#define DROPPED_MAX 256

struct stream {
    uint64_t job; // the key
    uint32_t attempt;
    uint64_t bytes; // digested so far
    struct digest_run run;
    UT_hash_handle hh;
};

struct attempt {
    uint64_t job;
    uint32_t attempt;
};

struct streams {
    struct stream *by_job;
    size_t len_max;
    // A ring; the oldest is overwritten.
    struct attempt dropped[DROPPED_MAX];
    size_t dropped_len;
    size_t dropped_next;
};

int
streams_new(size_t streams_max, struct streams **out_streams)
{
    struct streams *streams = calloc(1, sizeof(*streams));

    if (!streams)
        return -ENOMEM;
    streams->len_max = streams_max;
    *out_streams = streams;
    return 0;
}

void
streams_free(struct streams **streams)
{
    if (!*streams)
        return;
    streams_clear(*streams);
    free(*streams);
    *streams = NULL;
}

size_t
streams_len(const struct streams *streams)
{
    return HASH_COUNT(streams->by_job);
}

static struct stream *
find_stream(const struct streams *streams, uint64_t job)
{
    struct stream *stream;

    HASH_FIND(hh, streams->by_job, &job, sizeof(job), stream);
    return stream;
}

bool
streams_has(const struct streams *streams, uint64_t job)
{
    // Most bodies come whole while no other is open: nothing to look up then.
    return streams->by_job && find_stream(streams, job);
}

static void
close_stream(struct streams *streams, struct stream *stream)
{
    HASH_DEL(streams->by_job, stream);
    digest_run_fini(&stream->run);
    free(stream);
}

// The place of an attempt among the dropped ones, or dropped_len.
static size_t
find_dropped(const struct streams *streams, uint64_t job, uint32_t attempt)
{
    size_t i;

    for (i = 0; i < streams->dropped_len; i++) {
        if (streams->dropped[i].job == job &&
            streams->dropped[i].attempt == attempt)
            break;
    }
    return i;
}

// Returns false when it was there already.
static bool
remember_dropped(struct streams *streams, uint64_t job, uint32_t attempt)
{
    if (find_dropped(streams, job, attempt) < streams->dropped_len)
        return false;
    streams->dropped[streams->dropped_next] =
        (struct attempt){.job = job, .attempt = attempt};
    streams->dropped_next = (streams->dropped_next + 1) % DROPPED_MAX;
    if (streams->dropped_len < DROPPED_MAX)
        streams->dropped_len++;
    return true;
}

// An attempt that begins anew may be refused anew.
static void
forget_dropped(struct streams *streams, uint64_t job, uint32_t attempt)
{
    size_t i = find_dropped(streams, job, attempt);

    // Attempts count from 1 and jobs never repeat, so this matches nothing.
    if (i < streams->dropped_len)
        streams->dropped[i] = (struct attempt){.job = UINT64_MAX};
}

bool
streams_drop(struct streams *streams, uint64_t job, uint32_t attempt)
{
    struct stream *stream = find_stream(streams, job);

    if (stream && stream->attempt == attempt)
        close_stream(streams, stream);
    return remember_dropped(streams, job, attempt);
}

void
streams_clear(struct streams *streams)
{
    struct stream *stream;
    struct stream *next;

    HASH_ITER(hh, streams->by_job, stream, next)
    close_stream(streams, stream);
    streams->dropped_len = 0;
    streams->dropped_next = 0;
}

static enum streams_step
refuse(struct streams *streams, const struct wire_segment *segment,
       enum wire_abort reason, enum wire_abort *out_reason)
{
    if (!streams_drop(streams, segment->job, segment->attempt))
        return STREAMS_IGNORED;
    *out_reason = reason;
    return STREAMS_REFUSED;
}

// Returns NULL when there is no room.
static struct stream *
open_stream(struct streams *streams, const struct digest_suite *suite,
            const struct wire_segment *segment)
{
    struct stream *stream;

    if (streams_len(streams) >= streams->len_max)
        return NULL;
    stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->job = segment->job;
    stream->attempt = segment->attempt;
    if (digest_run_init(&stream->run, suite)) {
        free(stream);
        return NULL;
    }
    HASH_ADD(hh, streams->by_job, job, sizeof(stream->job), stream);
    if (!stream->hh.tbl) { // not added: no memory
        digest_run_fini(&stream->run);
        free(stream);
        return NULL;
    }
    forget_dropped(streams, segment->job, segment->attempt);
    return stream;
}

// True when the segment is the next of this stream. A suite that changes in the
// middle would write digests the caller has no room for.
static bool
continues(const struct stream *stream, const struct digest_suite *suite,
          const struct wire_segment *segment)
{
    return segment->offset == stream->bytes &&
           suite->len == stream->run.suite.len &&
           memcmp(suite->algorithms, stream->run.suite.algorithms,
                  suite->len * sizeof(*suite->algorithms)) == 0;
}

enum streams_step
streams_push(struct streams *streams, const struct digest_suite *suite,
             const struct wire_segment *segment, const void *data,
             unsigned char *out_digests, enum wire_abort *out_reason)
{
    struct stream *stream = find_stream(streams, segment->job);

    if (stream && segment->attempt < stream->attempt)
        return refuse(streams, segment, WIRE_ABORT_STALE, out_reason);
    if (stream && segment->attempt > stream->attempt) {
        // The broker gave the job out again: the older try is history.
        (void)streams_drop(streams, stream->job, stream->attempt);
        stream = NULL;
    }
    if (stream && (segment->flags & WIRE_SEGMENT_RESTART)) {
        close_stream(streams, stream); // the wire sees to offset 0
        stream = NULL;
    }
    if (!stream) {
        if (segment->offset != 0)
            return refuse(streams, segment, WIRE_ABORT_GAP, out_reason);
        stream = open_stream(streams, suite, segment);
        if (!stream)
            return refuse(streams, segment, WIRE_ABORT_RESOURCES, out_reason);
    } else if (!continues(stream, suite, segment)) {
        return refuse(streams, segment, WIRE_ABORT_GAP, out_reason);
    }

    if (digest_run_update(&stream->run, data, segment->length))
        return refuse(streams, segment, WIRE_ABORT_RESOURCES, out_reason);
    stream->bytes += segment->length;
    if (!(segment->flags & WIRE_SEGMENT_LAST))
        return STREAMS_MORE;
    if (digest_run_final(&stream->run, out_digests))
        return refuse(streams, segment, WIRE_ABORT_RESOURCES, out_reason);
    close_stream(streams, stream);
    return STREAMS_DONE;
}
