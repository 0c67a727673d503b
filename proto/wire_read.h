// wire_read.h - what reads the values of a decoded frame
//
// Private to proto/wire_decode*.c.
#ifndef PROTO_WIRE_READ_H
#define PROTO_WIRE_READ_H
#include "proto/wire.h"

#include <msgpack.h>

struct wire_decoder {
    msgpack_zone zone;
    const char *complaint; // the first one about this frame, or NULL
    struct wire_bytes suites[WIRE_SUITES_MAX];
    union { // of the message decoded last
        struct wire_hello hello;
        struct wire_job jobs[WIRE_ENTRIES_MAX];
        struct wire_segment segments[WIRE_ENTRIES_MAX];
        struct wire_fetched fetched[WIRE_ENTRIES_MAX];
        struct wire_digest digests[WIRE_ENTRIES_MAX];
        struct wire_credit credits[WIRE_ENTRIES_MAX];
        struct wire_vouched vouched[WIRE_ENTRIES_MAX];
        struct wire_aborted aborted[WIRE_ENTRIES_MAX];
        struct wire_suite suite[WIRE_ENTRIES_MAX];
        struct { // PROFILE
            struct wire_profile profile;
            struct wire_bytes headers[WIRE_PROFILE_ITEMS_MAX];
            struct wire_bytes resolve[WIRE_PROFILE_ITEMS_MAX];
        };
    };
};

// A list's elements. Empty after a complaint.
struct list {
    const msgpack_object *at;
    size_t len;
};

// The readers below note the first complaint and go on with something harmless,
// so that whoever calls several of them looks once, at the end.
static inline void
complain(struct wire_decoder *decoder, const char *why)
{
    if (!decoder->complaint)
        decoder->complaint = why;
}

static inline uint64_t
read_number(struct wire_decoder *decoder, const msgpack_object *object,
            uint64_t lowest, uint64_t highest, const char *why)
{
    if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
        object->via.u64 >= lowest && object->via.u64 <= highest)
        return object->via.u64;
    complain(decoder, why);
    return lowest;
}

static inline uint32_t
read_attempt(struct wire_decoder *decoder, const msgpack_object *object)
{
    return (uint32_t)read_number(decoder, object, 0, UINT32_MAX,
                                 "attempt: no number of 32 bits");
}

static inline uint64_t
read_job(struct wire_decoder *decoder, const msgpack_object *object)
{
    return read_number(decoder, object, 0, UINT64_MAX, "job: no number");
}

// msgpack's bin: bytes as they are.
static inline struct wire_bytes
read_bytes(struct wire_decoder *decoder, const msgpack_object *object,
           size_t shortest, size_t longest, const char *why)
{
    if (object->type == MSGPACK_OBJECT_BIN &&
        object->via.bin.size >= shortest && object->via.bin.size <= longest)
        return (struct wire_bytes){object->via.bin.ptr, object->via.bin.size};
    complain(decoder, why);
    return (struct wire_bytes){"", 0};
}

// msgpack's str. Its content is for the caller to look at.
static inline struct wire_bytes
read_text(struct wire_decoder *decoder, const msgpack_object *object,
          const char *why)
{
    if (object->type == MSGPACK_OBJECT_STR)
        return (struct wire_bytes){object->via.str.ptr, object->via.str.size};
    complain(decoder, why);
    return (struct wire_bytes){"", 0};
}

static inline struct list
read_list(struct wire_decoder *decoder, const msgpack_object *object,
          size_t shortest, size_t longest, const char *why)
{
    if (object->type == MSGPACK_OBJECT_ARRAY &&
        object->via.array.size >= shortest && object->via.array.size <= longest)
        return (struct list){object->via.array.ptr, object->via.array.size};
    complain(decoder, why);
    return (struct list){NULL, 0};
}

// The fields of one entry, or NULL: an array of exactly so many.
static inline const msgpack_object *
read_fields(struct wire_decoder *decoder, const msgpack_object *object,
            size_t count, const char *why)
{
    return read_list(decoder, object, count, count, why).at;
}

// A map's key. seen: those before it, as bits.
static inline uint64_t
read_key(struct wire_decoder *decoder, const msgpack_object_kv *pair,
         uint64_t *seen, const char *unknown, const char *twice)
{
    uint64_t key = read_number(decoder, &pair->key, 0, 63, unknown);

    if (*seen & UINT64_C(1) << key)
        complain(decoder, twice);
    *seen |= UINT64_C(1) << key;
    return key;
}

// PROFILE; in wire_decode_profile.c.
void wire_read_profile(struct wire_decoder *decoder, const msgpack_object *at,
                       struct wire_message *message);

#endif
