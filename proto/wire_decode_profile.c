// wire_decode_profile.c - PROFILE, the one message with a batch's own texts
#include "proto/profile.h"
#include "proto/wire_read.h"

// An empty list is as good as none.
static size_t
read_items(struct wire_decoder *decoder, const msgpack_object *object,
           size_t longest, struct wire_bytes *out_items)
{
    struct list list = read_list(decoder, object, 0, WIRE_PROFILE_ITEMS_MAX,
                                 "profile: no array, or too many items");

    for (size_t i = 0; i < list.len; i++)
        out_items[i] = read_bytes(decoder, &list.at[i], 1, longest,
                                  "profile: an item is no bin or too long");
    return list.len;
}

static void
read_option(struct wire_decoder *decoder, uint64_t key,
            const msgpack_object *value, struct wire_profile *profile)
{
    switch (key) {
#define X(number, field, highest)                                              \
    case number:                                                               \
        profile->field = read_number(decoder, value, 0, highest,               \
                                     "profile: " #field " out of range");      \
        break;
        WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(number, field, longest)                                              \
    case number:                                                               \
        profile->field =                                                       \
            read_bytes(decoder, value, 0, longest,                             \
                       "profile: " #field " is no bin or too long");           \
        break;
        WIRE_PROFILE_STRINGS(X)
#undef X
#define X(number, field, longest)                                              \
    case number:                                                               \
        profile->field = decoder->field;                                       \
        profile->field##_len =                                                 \
            read_items(decoder, value, longest, decoder->field);               \
        break;
        WIRE_PROFILE_LISTS(X)
#undef X
    default:
        complain(decoder, "profile: unknown key");
    }
}

void
wire_read_profile(struct wire_decoder *decoder, const msgpack_object *at,
                  struct wire_message *message)
{
    struct wire_profile *profile = &decoder->profile;
    const msgpack_object *map = &at[1];
    const char *complaint;
    uint64_t seen = 0;

    message->profile.place =
        read_number(decoder, &at[0], 0, WIRE_PROFILES_MAX - 1,
                    "PROFILE: place out of range");
    wire_profile_init(profile);
    if (map->type != MSGPACK_OBJECT_MAP) {
        complain(decoder, "profile: no map");
        return;
    }
    for (size_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        uint64_t key = read_key(decoder, pair, &seen, "profile: unknown key",
                                "profile: a key twice");

        read_option(decoder, key, &pair->val, profile);
    }
    if (decoder->complaint)
        return;
    complaint = profile_complaint(profile);
    if (complaint)
        complain(decoder, complaint);
    message->profile.profile = profile;
}
