#include "broker/batch_options.h"

#include "proto/profile.h"

#include <errno.h>
#include <stdlib.h>

// BatchOptions.profile as protobuf begins it: field 17, with a length.
#define PROFILE_KEY (17 << 3 | 2)

static void *
noting_alloc(void *arg, size_t size)
{
    bool *out_is_full = arg;
    void *at = malloc(size);

    *out_is_full |= !at;
    return at;
}

static void
plain_free(void *arg, void *at)
{
    (void)arg;
    free(at);
}

// protobuf has no byte strings without bytes: NULL then.
static struct wire_bytes
bytes_of(const ProtobufCBinaryData *data)
{
    return (struct wire_bytes){data->len ? (const char *)data->data : "",
                               data->len};
}

static struct wire_bytes
bytes_if_any(const ProtobufCBinaryData *data)
{
    return data->len ? bytes_of(data) : (struct wire_bytes){NULL, 0};
}

// Fills wire, which borrows from the others. Returns why it cannot be, or NULL.
static const char *
fill_profile(const Urlsum__V1__BatchOptions *options,
             struct batch_profile *profile)
{
    const Urlsum__V1__Profile *from = options->profile;
    struct wire_profile *wire = &profile->wire;

    wire_profile_init(wire);
    if (options->insecure_is_case && options->insecure)
        wire->insecure = 1;
    if (options->compressed_is_case && options->compressed)
        wire->compressed = 1;
    if (options->ip_version_is_case)
        wire->ip_version = options->ip_version;
    if (options->http_version_is_case)
        wire->http_version = options->http_version;
    if (!from)
        return NULL;
    if (from->n_headers > WIRE_PROFILE_ITEMS_MAX)
        return "more than 64 headers";
    if (from->n_resolve > WIRE_PROFILE_ITEMS_MAX)
        return "more than 64 entries of --resolve";
    for (size_t i = 0; i < from->n_headers; i++)
        profile->headers[i] = bytes_of(&from->headers[i]);
    for (size_t i = 0; i < from->n_resolve; i++)
        profile->resolve[i] = bytes_of(&from->resolve[i]);
    wire->headers = profile->headers;
    wire->headers_len = from->n_headers;
    wire->resolve = profile->resolve;
    wire->resolve_len = from->n_resolve;
    if (from->user_agent_is_case)
        wire->user_agent = bytes_of(&from->user_agent);
    wire->user = bytes_if_any(&from->user);
    wire->proxy = bytes_if_any(&from->proxy);
    wire->cacert = bytes_if_any(&from->cacert);
    return NULL;
}

const char *
batch_options_complaint(const Urlsum__V1__BatchOptions *options)
{
    struct batch_profile profile;
    const char *why;

    if (!options)
        return NULL;
    if (options->weight_is_case &&
        (options->weight < 1 || options->weight > 100))
        return "weight is 1 to 100";
#define X(key, field, highest)                                                 \
    if (options->field##_is_case && (uint64_t)options->field > (highest))      \
        return #field " is above its limit";
    WIRE_BATCH_FIELDS(X)
#undef X
    why = fill_profile(options, &profile);
    return why ? why : profile_complaint(&profile.wire);
}

// Returns the bytes of a varint, or 0 for none.
static size_t
read_varint(const unsigned char *at, size_t len, uint64_t *out_number)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len && i < 10; i++) {
        number |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (!(at[i] & 0x80)) {
            *out_number = number;
            return i + 1;
        }
    }
    return 0;
}

size_t
batch_options_public_len(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    uint64_t key, value;
    size_t at = 0;

    while (at < len) {
        size_t used = read_varint(bytes + at, len - at, &key);

        if (used && key == PROFILE_KEY)
            return at;
        at += used;
        // All others are numbers.
        if (!used || (key & 7) ||
            !(used = read_varint(bytes + at, len - at, &value)))
            return len;
        at += used;
    }
    return len;
}

// Takes the message if there is something to tell.
static int
read_profile(Urlsum__V1__BatchOptions **message, size_t len,
             struct batch_profile **out_profile)
{
    struct batch_profile *profile = calloc(1, sizeof(*profile));

    if (!profile)
        return -ENOMEM;
    // What another broker let pass is not told to anybody.
    if (fill_profile(*message, profile) || profile_complaint(&profile->wire) ||
        wire_profile_is_empty(&profile->wire)) {
        free(profile);
        return 0;
    }
    profile->message = *message;
    profile->bytes = sizeof(*profile) + len;
    *message = NULL;
    *out_profile = profile;
    return 0;
}

int
batch_options_read(const void *data, size_t len,
                   struct batch_options *out_options)
{
    bool is_full = false;
    ProtobufCAllocator allocator = {
        .alloc = noting_alloc, .free = plain_free, .allocator_data = &is_full};
    Urlsum__V1__BatchOptions *message =
        urlsum__v1__batch_options__unpack(&allocator, len, data);
    struct batch_options options = {.retry = 3, .weight = 1};
    int err;

    wire_request_init(&options.request);
    if (!message && is_full)
        return -ENOMEM;
    if (!message) {
        *out_options = options;
        return 0;
    }
    if (message->retry_is_case)
        options.retry = message->retry;
    options.retries_all = message->retry_all_errors != 0;
    if (message->weight_is_case && message->weight)
        options.weight = message->weight;
#define X(key, field, highest)                                                 \
    if (message->field##_is_case)                                              \
        options.request.field = (uint64_t)message->field;
    WIRE_BATCH_FIELDS(X)
#undef X
    if (message->any_status_is_case && message->any_status)
        options.request.any_status = WIRE_ANY_STATUS_ALL;
    err = read_profile(&message, len, &options.profile);
    if (message)
        urlsum__v1__batch_options__free_unpacked(message, &allocator);
    if (!err)
        *out_options = options;
    return err;
}

void
batch_profile_free(struct batch_profile **profile)
{
    if (!*profile)
        return;
    urlsum__v1__batch_options__free_unpacked((*profile)->message, NULL);
    free(*profile);
    *profile = NULL;
}
