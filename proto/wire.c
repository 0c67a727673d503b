#include "proto/wire.h"
#include "proto/wire_rules.h"

#include <assert.h>
#include <string.h>

uint64_t
wire_fact_number_max(unsigned key)
{
    return key <= 4 || key >= 11 ? WIRE_FACT_CODE_MAX : WIRE_FACT_TIME_MAX;
}

size_t
wire_fact_string_max(unsigned key)
{
    return key == 20   ? WIRE_TEXT_MAX
           : key == 21 ? URL_BYTES_MAX
                       : WIRE_FACT_MAX;
}

bool
wire_is_printable(struct wire_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    }
    return true;
}

bool
wire_name_is_valid(struct wire_bytes name)
{
    return name.len >= 1 && name.len <= WIRE_NAME_MAX &&
           wire_is_printable(name);
}

bool
wire_algorithm_is_valid(struct wire_bytes name)
{
    if (name.len < 1 || name.len > WIRE_ALGORITHM_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' ||
              c == '-'))
            return false;
    }
    return true;
}

bool
wire_suite_is_valid(struct wire_bytes suite)
{
    const char *at = suite.at;
    size_t left = suite.len;

    for (size_t count = 1; count <= WIRE_ALGORITHMS_MAX; count++) {
        const char *comma = left ? memchr(at, ',', left) : NULL;
        size_t len = comma ? (size_t)(comma - at) : left;

        if (!wire_algorithm_is_valid((struct wire_bytes){at, len}))
            return false;
        if (!comma)
            return true;
        at += len + 1;
        left -= len + 1;
    }
    return false;
}

bool
wire_segment_is_whole(const struct wire_segment *segment)
{
    return segment->offset == 0 && segment->flags == WIRE_SEGMENT_LAST;
}

const char *
wire_segments_complaint(const struct wire_segment *segments, size_t len,
                        size_t *out_bytes)
{
    bool has_part = false;
    bool has_others = false;
    size_t bytes = 0;

    for (size_t i = 0; i < len; i++) {
        const struct wire_segment *segment = &segments[i];

        if (segment->flags &
            ~(unsigned)(WIRE_SEGMENT_LAST | WIRE_SEGMENT_RESTART))
            return "segment: unknown flags";
        if (segment->length == 0 && !segment->flags)
            return "segment: no bytes, and no flag";
        if ((segment->flags & WIRE_SEGMENT_RESTART) &&
            (i > 0 || segment->offset))
            return "segment: a RESTART that is not the first, or not at 0";
        if (segment->offset > WIRE_SIZE_MAX - segment->length)
            return "segment: offset and length exceed a body's size";
        bytes += segment->length;
        has_part |= !wire_segment_is_whole(segment);
        has_others |= segment->job != segments[0].job ||
                      segment->attempt != segments[0].attempt ||
                      segment->suite != segments[0].suite;
    }
    if (bytes > WIRE_BODY_BYTES_MAX)
        return "segments: more bytes than a body frame may have";
    // So that a message can be routed as one: a stream has one hasher.
    if (has_part && has_others)
        return "segments: a part of a body beside another job's";
    *out_bytes = bytes;
    return NULL;
}

void
wire_request_init(struct wire_request *request)
{
#define X(key, field, highest) request->field = WIRE_UNSET;
    WIRE_REQUEST_FIELDS(X)
#undef X
}

void
wire_profile_init(struct wire_profile *profile)
{
    *profile = (struct wire_profile){.headers = NULL};
#define X(key, field, highest) profile->field = WIRE_UNSET;
    WIRE_PROFILE_NUMBERS(X)
#undef X
}

bool
wire_profile_is_empty(const struct wire_profile *profile)
{
    bool is_empty = true;

#define X(key, field, highest) is_empty &= profile->field == WIRE_UNSET;
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest) is_empty &= !profile->field.at;
    WIRE_PROFILE_STRINGS(X)
#undef X
#define X(key, field, longest) is_empty &= !profile->field##_len;
    WIRE_PROFILE_LISTS(X)
#undef X
    return is_empty;
}

void
wire_facts_init(struct wire_facts *facts)
{
#define X(key, field) facts->field = WIRE_UNSET;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) facts->field = (struct wire_bytes){NULL, 0};
    WIRE_FACT_STRINGS(X)
#undef X
}

const char *
wire_kind_name(uint64_t kind)
{
    static const char *const names[WIRE_KIND_COUNT] = {
#define X(number, symbol, directions) [number] = #symbol,
        WIRE_KINDS(X)
#undef X
    };

    return kind < WIRE_KIND_COUNT ? names[kind] : NULL;
}

const char *
wire_pause_meaning(enum wire_pause reason)
{
    static const char *const meanings[WIRE_PAUSE_COUNT] = {
#define X(number, symbol, meaning) [number] = meaning,
        WIRE_PAUSES(X)
#undef X
    };

    assert(reason < WIRE_PAUSE_COUNT);
    return meanings[reason];
}

const char *
wire_abort_name(enum wire_abort reason)
{
    static const char *const names[WIRE_ABORT_COUNT] = {
        [WIRE_ABORT_CANCELLED] = "cancelled",
        [WIRE_ABORT_STALE] = "stale",
        [WIRE_ABORT_GAP] = "gap",
        [WIRE_ABORT_HASHER_LOST] = "hasher_lost",
        [WIRE_ABORT_NO_ALGORITHM] = "no_algorithm",
        [WIRE_ABORT_FETCH_FAILED] = "fetch_failed",
        [WIRE_ABORT_RESOURCES] = "resources",
    };

    assert(reason > 0 && reason < WIRE_ABORT_COUNT);
    return names[reason];
}
