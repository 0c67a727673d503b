#include "proto/wire_read.h"
#include "proto/wire_rules.h"
#include "proto/wire_scan.h"

#include <errno.h>
#include <stdlib.h>

// Room for the values of 1,024 segments. msgpack_zone_clear() keeps one chunk,
// so that messages up to this size need no malloc; longer ones do.
#define ZONE_BYTES ((size_t)192 * 1024)

int
wire_decoder_new(struct wire_decoder **out_decoder)
{
    // Not zeroed: most pages of its arrays are never touched.
    struct wire_decoder *decoder = malloc(sizeof(*decoder));

    if (!decoder)
        return -ENOMEM;
    if (!msgpack_zone_init(&decoder->zone, ZONE_BYTES)) {
        free(decoder);
        return -ENOMEM;
    }
    decoder->complaint = NULL;
    *out_decoder = decoder;
    return 0;
}

void
wire_decoder_free(struct wire_decoder **decoder)
{
    if (!*decoder)
        return;
    msgpack_zone_destroy(&(*decoder)->zone);
    free(*decoder);
    *decoder = NULL;
}

const char *
wire_decoder_error(const struct wire_decoder *decoder)
{
    return decoder->complaint ? decoder->complaint : "no error";
}

static void
read_hello(struct wire_decoder *decoder, const msgpack_object *at,
           struct wire_message *message)
{
    struct wire_hello *hello = &decoder->hello;
    struct list algorithms;

    hello->version_max = read_number(decoder, &at[1], 1, WIRE_VERSION_MAX,
                                     "HELLO: version_max out of range");
    hello->version_min =
        read_number(decoder, &at[0], 1, hello->version_max,
                    "HELLO: version_min out of range or above version_max");
    hello->role = (enum wire_role)read_number(
        decoder, &at[2], WIRE_FETCHER, WIRE_HASHER, "HELLO: unknown role");
    hello->name = read_text(decoder, &at[3], "HELLO: name is no str");
    if (!wire_name_is_valid(hello->name))
        complain(decoder, "HELLO: name too short, too long or not printable");
    if (hello->role == WIRE_FETCHER) {
        hello->capacity = read_number(decoder, &at[4], 1, WIRE_CAPACITY_MAX,
                                      "HELLO: capacity out of range");
        algorithms = read_list(decoder, &at[5], 0, 0,
                               "HELLO: a fetcher's algorithms are not []");
    } else {
        hello->capacity = read_number(decoder, &at[4], 0, 0,
                                      "HELLO: a hasher's capacity is not 0");
        algorithms = read_list(decoder, &at[5], 1, WIRE_HELLO_ALGORITHMS_MAX,
                               "HELLO: too few or too many algorithms");
    }
    hello->algorithms_len = algorithms.len;
    for (size_t i = 0; i < algorithms.len; i++) {
        hello->algorithms[i] = read_text(decoder, &algorithms.at[i],
                                         "HELLO: an algorithm is no str");
        if (!wire_algorithm_is_valid(hello->algorithms[i]))
            complain(decoder, "HELLO: not an algorithm's name");
    }
    hello->instance = read_number(decoder, &at[6], 1, UINT64_MAX,
                                  "HELLO: instance is no number, or 0");
    hello->epoch = read_number(decoder, &at[7], 1, UINT64_MAX,
                               "HELLO: epoch is no number, or 0");
    message->hello = hello;
}

static void
read_welcome(struct wire_decoder *decoder, const msgpack_object *at,
             struct wire_message *message)
{
    message->welcome.version = read_number(decoder, &at[0], 1, WIRE_VERSION_MAX,
                                           "WELCOME: version out of range");
    message->welcome.session = read_number(decoder, &at[1], 0, UINT64_MAX,
                                           "WELCOME: session is no number");
    message->welcome.epoch = read_number(decoder, &at[2], 1, UINT64_MAX,
                                         "WELCOME: epoch is no number, or 0");
    message->welcome.ttl_ms = read_number(decoder, &at[3], 1, WIRE_TTL_MS_MAX,
                                          "WELCOME: ttl_ms out of range");
    message->welcome.window = read_number(decoder, &at[4], 0, WIRE_WINDOW_MAX,
                                          "WELCOME: window out of range");
    message->welcome.job_window =
        read_number(decoder, &at[5], 0, WIRE_WINDOW_MAX,
                    "WELCOME: job_window out of range");
}

static void
read_ping(struct wire_decoder *decoder, const msgpack_object *at,
          struct wire_message *message)
{
    message->ping_ttl_ms = read_number(decoder, &at[0], 1, WIRE_TTL_MS_MAX,
                                       "PING: ttl_ms out of range");
}

// Names of jobs, as PONG, PAUSE and CONNECTED have them.
static struct list
read_vouched(struct wire_decoder *decoder, const msgpack_object *at,
             size_t least, const char *no_list, const char *no_entry)
{
    struct list list = read_list(decoder, at, least, WIRE_ENTRIES_MAX, no_list);

    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 2, no_entry);

        if (!fields)
            break;
        decoder->vouched[i].job = read_job(decoder, &fields[0]);
        decoder->vouched[i].attempt = read_attempt(decoder, &fields[1]);
    }
    return list;
}

static void
read_pong(struct wire_decoder *decoder, const msgpack_object *at,
          struct wire_message *message)
{
    message->pong.load =
        read_number(decoder, &at[0], 0, UINT32_MAX, "PONG: load out of range");
    message->pong.len =
        read_vouched(decoder, &at[1], 0, "PONG: no array, or too many entries",
                     "PONG: an entry's shape")
            .len;
    message->pong.items = decoder->vouched;
}

static void
read_pause(struct wire_decoder *decoder, const msgpack_object *at,
           struct wire_message *message)
{
    message->pause.reason = (enum wire_pause)read_number(
        decoder, &at[0], 0, WIRE_PAUSE_COUNT - 1, "PAUSE: unknown reason");
    message->pause.len =
        read_vouched(decoder, &at[1], 0, "PAUSE: no array, or too many entries",
                     "PAUSE: an entry's shape")
            .len;
    message->pause.items = decoder->vouched;
}

static void
read_connected(struct wire_decoder *decoder, const msgpack_object *at,
               struct wire_message *message)
{
    message->connected.len =
        read_vouched(decoder, &at[0], 1,
                     "CONNECTED: too few or too many entries",
                     "CONNECTED: an entry's shape")
            .len;
    message->connected.items = decoder->vouched;
}

static void
read_request(struct wire_decoder *decoder, const msgpack_object *object,
             struct wire_request *request)
{
    uint64_t seen = 0;

    wire_request_init(request);
    if (object->type != MSGPACK_OBJECT_MAP) {
        complain(decoder, "request: no map");
        return;
    }
    for (size_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        uint64_t key = read_key(decoder, pair, &seen, "request: unknown key",
                                "request: a key twice");

        switch (key) {
#define X(number, field, highest)                                              \
    case number:                                                               \
        request->field = read_number(decoder, &pair->val, 0, highest,          \
                                     "request: " #field " out of range");      \
        break;
            WIRE_REQUEST_FIELDS(X)
#undef X
        default:
            complain(decoder, "request: unknown key");
        }
    }
}

static void
read_jobs(struct wire_decoder *decoder, const msgpack_object *at,
          struct wire_message *message)
{
    struct list list = read_list(decoder, &at[1], 1, WIRE_ENTRIES_MAX,
                                 "JOBS: too few or too many entries");

    read_request(decoder, &at[0], &message->jobs.request);
    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 3, "JOBS: an entry's shape");
        struct wire_job *job = &decoder->jobs[i];

        if (!fields)
            return;
        job->job = read_job(decoder, &fields[0]);
        job->attempt = read_attempt(decoder, &fields[1]);
        job->url = read_bytes(decoder, &fields[2], 1, URL_BYTES_MAX,
                              "JOBS: url is no bin or too long");
    }
    message->jobs.jobs = decoder->jobs;
    message->jobs.len = list.len;
}

// BODY without suites_len: 0; every segment has one field more in HASH.
static void
read_segments(struct wire_decoder *decoder, const msgpack_object *object,
              size_t suites_len, struct wire_message *message)
{
    struct list list = read_list(decoder, object, 1, WIRE_ENTRIES_MAX,
                                 "segments: too few or too many");
    const char *complaint;

    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields = read_fields(
            decoder, &list.at[i], suites_len ? 6 : 5, "a segment's shape");
        struct wire_segment *segment = &decoder->segments[i];

        if (!fields)
            return;
        segment->job = read_job(decoder, &fields[0]);
        segment->attempt = read_attempt(decoder, &fields[1]);
        segment->offset = read_number(decoder, &fields[2], 0, WIRE_SIZE_MAX,
                                      "segment: offset out of range");
        segment->length =
            (uint32_t)read_number(decoder, &fields[3], 0, WIRE_BODY_BYTES_MAX,
                                  "segment: length out of range");
        segment->flags = (uint8_t)read_number(decoder, &fields[4], 0, UINT8_MAX,
                                              "segment: unknown flags");
        segment->suite = 0;
        if (suites_len)
            segment->suite = (uint8_t)read_number(
                decoder, &fields[5], 0, suites_len - 1,
                "segment: suite is not an index of suites");
    }
    message->body.segments = decoder->segments;
    message->body.len = list.len;
    complaint = wire_segments_complaint(decoder->segments, list.len,
                                        &message->body.bytes);
    if (complaint)
        complain(decoder, complaint);
}

static void
read_body(struct wire_decoder *decoder, const msgpack_object *at,
          struct wire_message *message)
{
    message->body.suites = NULL;
    message->body.suites_len = 0;
    read_segments(decoder, &at[0], 0, message);
}

static void
read_hash(struct wire_decoder *decoder, const msgpack_object *at,
          struct wire_message *message)
{
    struct list suites = read_list(decoder, &at[0], 1, WIRE_SUITES_MAX,
                                   "HASH: too few or too many suites");

    for (size_t i = 0; i < suites.len; i++) {
        decoder->suites[i] =
            read_text(decoder, &suites.at[i], "HASH: a suite is no str");
        if (!wire_suite_is_valid(decoder->suites[i]))
            complain(decoder, "HASH: not a suite of algorithms");
    }
    if (!suites.len)
        return;
    message->body.suites = decoder->suites;
    message->body.suites_len = suites.len;
    read_segments(decoder, &at[1], suites.len, message);
}

static void
read_fact(struct wire_decoder *decoder, uint64_t key,
          const msgpack_object *value, struct wire_facts *facts)
{
    switch (key) {
#define X(number, field)                                                       \
    case number:                                                               \
        facts->field =                                                         \
            read_number(decoder, value, 0, wire_fact_number_max(number),       \
                        "facts: " #field " out of range");                     \
        break;
        WIRE_FACT_NUMBERS(X)
#undef X
#define X(number, field)                                                       \
    case number:                                                               \
        facts->field =                                                         \
            read_bytes(decoder, value, 0, wire_fact_string_max(number),        \
                       "facts: " #field " is no bin or too long");             \
        break;
        WIRE_FACT_STRINGS(X)
#undef X
    default:
        complain(decoder, "facts: unknown key");
    }
}

static void
read_facts(struct wire_decoder *decoder, const msgpack_object *object,
           struct wire_facts *facts)
{
    uint64_t seen = 0;

    wire_facts_init(facts);
    if (object->type != MSGPACK_OBJECT_MAP) {
        complain(decoder, "facts: no map");
        return;
    }
    for (size_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        uint64_t key = read_key(decoder, pair, &seen, "facts: unknown key",
                                "facts: a key twice");

        read_fact(decoder, key, &pair->val, facts);
    }
}

static void
read_fetched(struct wire_decoder *decoder, const msgpack_object *at,
             struct wire_message *message)
{
    struct list list = read_list(decoder, &at[0], 1, WIRE_ENTRIES_MAX,
                                 "FETCHED: too few or too many entries");

    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 5, "FETCHED: an entry's shape");
        struct wire_fetched *item = &decoder->fetched[i];

        if (!fields)
            return;
        item->job = read_job(decoder, &fields[0]);
        item->attempt = read_attempt(decoder, &fields[1]);
        item->outcome = (enum fail)read_number(
            decoder, &fields[2], 0, FAIL_COUNT - 1, "FETCHED: unknown outcome");
        item->size = read_number(decoder, &fields[3], 0, WIRE_SIZE_MAX,
                                 "FETCHED: size out of range");
        read_facts(decoder, &fields[4], &item->facts);
    }
    message->fetched.items = decoder->fetched;
    message->fetched.len = list.len;
}

static void
read_digests(struct wire_decoder *decoder, const msgpack_object *at,
             struct wire_message *message)
{
    struct list list = read_list(decoder, &at[1], 0, WIRE_ENTRIES_MAX,
                                 "DIGESTS: no array, or too many entries");

    message->digests.taken = read_number(decoder, &at[0], 0, UINT32_MAX,
                                         "DIGESTS: taken out of range");
    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 4, "DIGESTS: an entry's shape");
        struct wire_digest *item = &decoder->digests[i];
        struct list digests;

        if (!fields)
            return;
        item->job = read_job(decoder, &fields[0]);
        item->attempt = read_attempt(decoder, &fields[1]);
        item->size = read_number(decoder, &fields[2], 0, WIRE_SIZE_MAX,
                                 "DIGESTS: size out of range");
        digests = read_list(decoder, &fields[3], 1, WIRE_ALGORITHMS_MAX,
                            "DIGESTS: too few or too many digests");
        item->digests_len = digests.len;
        for (size_t k = 0; k < digests.len; k++)
            item->digests[k] =
                read_bytes(decoder, &digests.at[k], 1, WIRE_DIGEST_BYTES_MAX,
                           "DIGESTS: a digest is no bin, empty or too long");
    }
    message->digests.items = decoder->digests;
    message->digests.len = list.len;
}

static void
read_credit(struct wire_decoder *decoder, const msgpack_object *at,
            struct wire_message *message)
{
    struct list list = read_list(decoder, &at[1], 0, WIRE_ENTRIES_MAX,
                                 "CREDIT: no array, or too many entries");

    message->credit.bytes = read_number(decoder, &at[0], 0, WIRE_WINDOW_MAX,
                                        "CREDIT: bytes out of range");
    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 3, "CREDIT: an entry's shape");
        struct wire_credit *item = &decoder->credits[i];

        if (!fields)
            return;
        item->job = read_job(decoder, &fields[0]);
        item->attempt = read_attempt(decoder, &fields[1]);
        item->bytes = read_number(decoder, &fields[2], 0, WIRE_WINDOW_MAX,
                                  "CREDIT: bytes out of range");
    }
    message->credit.items = decoder->credits;
    message->credit.len = list.len;
}

static void
read_abort(struct wire_decoder *decoder, const msgpack_object *at,
           struct wire_message *message)
{
    struct list list = read_list(decoder, &at[0], 1, WIRE_ENTRIES_MAX,
                                 "ABORT: too few or too many entries");

    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 3, "ABORT: an entry's shape");
        struct wire_aborted *item = &decoder->aborted[i];

        if (!fields)
            return;
        item->job = read_job(decoder, &fields[0]);
        item->attempt = read_attempt(decoder, &fields[1]);
        item->reason = (enum wire_abort)read_number(decoder, &fields[2], 1,
                                                    WIRE_ABORT_COUNT - 1,
                                                    "ABORT: unknown reason");
    }
    message->abort.items = decoder->aborted;
    message->abort.len = list.len;
}

static void
read_suite(struct wire_decoder *decoder, const msgpack_object *at,
           struct wire_message *message)
{
    struct list list = read_list(decoder, &at[0], 1, WIRE_ENTRIES_MAX,
                                 "SUITE: too few or too many entries");

    for (size_t i = 0; i < list.len; i++) {
        const msgpack_object *fields =
            read_fields(decoder, &list.at[i], 3, "SUITE: an entry's shape");
        struct wire_suite *item = &decoder->suite[i];
        struct list algorithms;

        if (!fields)
            return;
        item->job = read_job(decoder, &fields[0]);
        item->attempt = read_attempt(decoder, &fields[1]);
        algorithms = read_list(decoder, &fields[2], 1, WIRE_ALGORITHMS_MAX,
                               "SUITE: too few or too many algorithms");
        item->algorithms_len = algorithms.len;
        for (size_t k = 0; k < algorithms.len; k++) {
            item->algorithms[k] = read_text(decoder, &algorithms.at[k],
                                            "SUITE: an algorithm is no str");
            if (!wire_algorithm_is_valid(item->algorithms[k]))
                complain(decoder, "SUITE: not an algorithm's name");
        }
    }
    message->suite.items = decoder->suite;
    message->suite.len = list.len;
}

static void
read_bye(struct wire_decoder *decoder, const msgpack_object *at,
         struct wire_message *message)
{
    message->bye_is_final =
        read_number(decoder, &at[0], 0, 1, "BYE: is_final is not 0 or 1");
}

static void
read_error(struct wire_decoder *decoder, const msgpack_object *at,
           struct wire_message *message)
{
    struct wire_bytes text =
        read_text(decoder, &at[1], "ERROR: text is no str");

    message->error.code =
        (enum wire_error)read_number(decoder, &at[0], WIRE_ERROR_NO_SESSION,
                                     WIRE_ERROR_REFUSED, "ERROR: unknown code");
    if (text.len > WIRE_TEXT_MAX || !wire_is_printable(text))
        complain(decoder, "ERROR: text too long or not printable");
    message->error.text = text;
}

// One row a kind: how many values follow its number, and who reads them.
static const struct {
    size_t fields;
    void (*read)(struct wire_decoder *decoder, const msgpack_object *at,
                 struct wire_message *message);
} readers[WIRE_KIND_COUNT] = {
    [WIRE_HELLO] = {8, read_hello},
    [WIRE_WELCOME] = {6, read_welcome},
    [WIRE_PING] = {1, read_ping},
    [WIRE_PONG] = {2, read_pong},
    [WIRE_JOBS] = {2, read_jobs},
    [WIRE_BODY] = {1, read_body},
    [WIRE_FETCHED] = {1, read_fetched},
    [WIRE_HASH] = {2, read_hash},
    [WIRE_DIGESTS] = {2, read_digests},
    [WIRE_CREDIT] = {2, read_credit},
    [WIRE_ABORT] = {1, read_abort},
    [WIRE_BYE] = {1, read_bye},
    [WIRE_ERROR] = {2, read_error},
    [WIRE_SUITE] = {1, read_suite},
    [WIRE_PROFILE] = {2, wire_read_profile},
    [WIRE_PAUSE] = {2, read_pause},
    [WIRE_CONNECTED] = {1, read_connected},
};

static void
read_message(struct wire_decoder *decoder, const msgpack_object *object,
             struct wire_message *message)
{
    struct list frame =
        read_list(decoder, object, 1, SIZE_MAX, "no array with a kind");
    uint64_t kind;

    if (!frame.len)
        return;
    kind = read_number(decoder, &frame.at[0], 1, WIRE_KIND_COUNT - 1,
                       "unknown kind");
    if (decoder->complaint)
        return;
    message->kind = (enum wire_kind)kind;
    if (frame.len != 1 + readers[kind].fields)
        complain(decoder, "not the number of fields that its kind has");
    else
        readers[kind].read(decoder, frame.at + 1, message);
}

int
wire_decode(struct wire_decoder *decoder, const void *data, size_t len,
            struct wire_message *out_message)
{
    struct wire_message message = {0};
    msgpack_object object;
    size_t offset = 0;
    msgpack_unpack_return unpacked;

    decoder->complaint = wire_scan(data, len);
    if (decoder->complaint)
        return -EPROTO;
    msgpack_zone_clear(&decoder->zone);
    unpacked = msgpack_unpack(data, len, &offset, &decoder->zone, &object);
    if (unpacked == MSGPACK_UNPACK_NOMEM_ERROR)
        return -ENOMEM;
    if (unpacked != MSGPACK_UNPACK_SUCCESS) {
        decoder->complaint = "not msgpack";
        return -EPROTO;
    }
    read_message(decoder, &object, &message);
    if (decoder->complaint)
        return -EPROTO;
    *out_message = message;
    return 0;
}
