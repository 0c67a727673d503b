// fuzz_api.c - requests of the client API, and records of the store, from
// strangers
//
// Neither may do harm to whoever unpacks or packs them; what was packed once
// stays as it is. (Not as it came: unknown fields move to the end.)
#include "urlsum.pb-c.h"

#include <stdlib.h>
#include <string.h>

// libFuzzer knows it by its name.
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static size_t
pack(const ProtobufCMessage *message, unsigned char **out_bytes)
{
    size_t len = protobuf_c_message_get_packed_size(message);

    *out_bytes = malloc(len + 1);
    if (!*out_bytes || protobuf_c_message_pack(message, *out_bytes) != len)
        abort();
    return len;
}

static void
try_as(const ProtobufCMessageDescriptor *type, const unsigned char *data,
       size_t len)
{
    ProtobufCMessage *first, *second;
    unsigned char *one, *two;
    size_t one_len, two_len;

    first = protobuf_c_message_unpack(type, NULL, len, data);
    if (!first)
        return;
    one_len = pack(first, &one);
    // It may be NULL: protobuf-c accepts an unknown field of number 0 when that
    // is written in two bytes, writes it in one, and does not accept that.
    second = protobuf_c_message_unpack(type, NULL, one_len, one);
    if (second) {
        two_len = pack(second, &two);
        if (one_len != two_len || memcmp(one, two, one_len) != 0)
            abort();
        protobuf_c_message_free_unpacked(second, NULL);
        free(two);
    }
    protobuf_c_message_free_unpacked(first, NULL);
    free(one);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    try_as(&urlsum__v1__request__descriptor, data, len);
    try_as(&urlsum__v1__reply__descriptor, data, len); // a client's stranger
    try_as(&urlsum__v1__batch_options__descriptor, data, len); // the store's
    try_as(&urlsum__v1__facts__descriptor, data, len);
    return 0;
}
