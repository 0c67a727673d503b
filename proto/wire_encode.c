#include "proto/profile.h"
#include "proto/wire.h"
#include "proto/wire_rules.h"

#include <assert.h>
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

struct wire_buf {
    msgpack_sbuffer bytes;
    msgpack_packer packer; // writes to this very struct
    int err;               // of the message being put together
};

// msgpack's way out. The first failure ends the message; what follows of it
// would only be noise.
static int
append(void *data, const char *bytes, size_t len)
{
    struct wire_buf *buf = data;

    if (buf->err)
        return -1;
    if (len > WIRE_HEAD_BYTES_MAX - buf->bytes.size)
        buf->err = -EMSGSIZE;
    else if (msgpack_sbuffer_write(&buf->bytes, bytes, len))
        buf->err = -ENOMEM;
    return buf->err ? -1 : 0;
}

int
wire_buf_new(struct wire_buf **out_buf)
{
    struct wire_buf *buf = calloc(1, sizeof(*buf));

    if (!buf)
        return -ENOMEM;
    msgpack_sbuffer_init(&buf->bytes);
    msgpack_packer_init(&buf->packer, buf, append);
    *out_buf = buf;
    return 0;
}

void
wire_buf_free(struct wire_buf **buf)
{
    if (!*buf)
        return;
    msgpack_sbuffer_destroy(&(*buf)->bytes);
    free(*buf);
    *buf = NULL;
}

const void *
wire_buf_data(const struct wire_buf *buf)
{
    return buf->bytes.data;
}

size_t
wire_buf_len(const struct wire_buf *buf)
{
    return buf->bytes.size;
}

int
wire_buf_error(const struct wire_buf *buf)
{
    return buf->err;
}

// The put_ functions ignore what msgpack returns: append() has noted it.
static void
put_array(struct wire_buf *buf, size_t len)
{
    (void)msgpack_pack_array(&buf->packer, len);
}

static void
put_map(struct wire_buf *buf, size_t len)
{
    (void)msgpack_pack_map(&buf->packer, len);
}

static void
put_number(struct wire_buf *buf, uint64_t number)
{
    (void)msgpack_pack_uint64(&buf->packer, number);
}

static void
put_text(struct wire_buf *buf, struct wire_bytes text)
{
    (void)msgpack_pack_str_with_body(&buf->packer, text.at, text.len);
}

static void
put_bytes(struct wire_buf *buf, struct wire_bytes bytes)
{
    (void)msgpack_pack_bin(&buf->packer, bytes.len);
    // An empty one may well be a NULL, which msgpack does not take.
    if (bytes.len)
        (void)msgpack_pack_bin_body(&buf->packer, bytes.at, bytes.len);
}

// Begins a new message of so many fields beside its kind.
static void
begin(struct wire_buf *buf, enum wire_kind kind, size_t fields)
{
    msgpack_sbuffer_clear(&buf->bytes);
    buf->err = 0;
    put_array(buf, 1 + fields);
    put_number(buf, kind);
}

void
wire_put_hello(struct wire_buf *buf, const struct wire_hello *hello)
{
    bool is_fetcher = hello->role == WIRE_FETCHER;

    assert(hello->version_min >= 1 && hello->version_max <= WIRE_VERSION_MAX &&
           hello->version_min <= hello->version_max);
    assert(wire_name_is_valid(hello->name));
    assert(is_fetcher ? hello->capacity >= 1 : hello->capacity == 0);
    assert(hello->capacity <= WIRE_CAPACITY_MAX);
    assert(is_fetcher == (hello->algorithms_len == 0));
    assert(hello->algorithms_len <= WIRE_HELLO_ALGORITHMS_MAX);
    assert(hello->instance && hello->epoch);
    begin(buf, WIRE_HELLO, 8);
    put_number(buf, hello->version_min);
    put_number(buf, hello->version_max);
    put_number(buf, is_fetcher ? WIRE_FETCHER : WIRE_HASHER);
    put_text(buf, hello->name);
    put_number(buf, hello->capacity);
    put_array(buf, hello->algorithms_len);
    for (size_t i = 0; i < hello->algorithms_len; i++) {
        assert(wire_algorithm_is_valid(hello->algorithms[i]));
        put_text(buf, hello->algorithms[i]);
    }
    put_number(buf, hello->instance);
    put_number(buf, hello->epoch);
}

void
wire_put_welcome(struct wire_buf *buf, const struct wire_welcome *welcome)
{
    assert(welcome->version >= 1 && welcome->version <= WIRE_VERSION_MAX);
    assert(welcome->epoch);
    assert(welcome->ttl_ms >= 1 && welcome->ttl_ms <= WIRE_TTL_MS_MAX);
    assert(welcome->window <= WIRE_WINDOW_MAX);
    assert(welcome->job_window <= WIRE_WINDOW_MAX);
    begin(buf, WIRE_WELCOME, 6);
    put_number(buf, welcome->version);
    put_number(buf, welcome->session);
    put_number(buf, welcome->epoch);
    put_number(buf, welcome->ttl_ms);
    put_number(buf, welcome->window);
    put_number(buf, welcome->job_window);
}

void
wire_put_ping(struct wire_buf *buf, uint64_t ttl_ms)
{
    assert(ttl_ms >= 1 && ttl_ms <= WIRE_TTL_MS_MAX);
    begin(buf, WIRE_PING, 1);
    put_number(buf, ttl_ms);
}

static void
put_vouched(struct wire_buf *buf, const struct wire_vouched *items, size_t len)
{
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        put_array(buf, 2);
        put_number(buf, items[i].job);
        put_number(buf, items[i].attempt);
    }
}

void
wire_put_pong(struct wire_buf *buf, uint64_t load,
              const struct wire_vouched *items, size_t len)
{
    assert(load <= UINT32_MAX && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_PONG, 2);
    put_number(buf, load);
    put_vouched(buf, items, len);
}

void
wire_put_pause(struct wire_buf *buf, enum wire_pause reason,
               const struct wire_vouched *items, size_t len)
{
    assert(reason < WIRE_PAUSE_COUNT && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_PAUSE, 2);
    put_number(buf, reason);
    put_vouched(buf, items, len);
}

void
wire_put_connected(struct wire_buf *buf, const struct wire_vouched *items,
                   size_t len)
{
    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_CONNECTED, 1);
    put_vouched(buf, items, len);
}

static void
put_request(struct wire_buf *buf, const struct wire_request *request)
{
    size_t present = 0;

#define X(key, field, highest) present += request->field != WIRE_UNSET;
    WIRE_REQUEST_FIELDS(X)
#undef X
    put_map(buf, present);
#define X(key, field, highest)                                                 \
    if (request->field != WIRE_UNSET) {                                        \
        assert(request->field <= (highest));                                   \
        put_number(buf, key);                                                  \
        put_number(buf, request->field);                                       \
    }
    WIRE_REQUEST_FIELDS(X)
#undef X
}

void
wire_put_jobs(struct wire_buf *buf, const struct wire_request *request,
              const struct wire_job *jobs, size_t len)
{
    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_JOBS, 2);
    put_request(buf, request);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        assert(jobs[i].url.len >= 1 && jobs[i].url.len <= URL_BYTES_MAX);
        put_array(buf, 3);
        put_number(buf, jobs[i].job);
        put_number(buf, jobs[i].attempt);
        put_bytes(buf, jobs[i].url);
    }
}

static void
put_segments(struct wire_buf *buf, const struct wire_segment *segments,
             size_t len, size_t suites_len)
{
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        put_array(buf, suites_len ? 6 : 5);
        put_number(buf, segments[i].job);
        put_number(buf, segments[i].attempt);
        put_number(buf, segments[i].offset);
        put_number(buf, segments[i].length);
        put_number(buf, segments[i].flags);
        if (suites_len) {
            assert(segments[i].suite < suites_len);
            put_number(buf, segments[i].suite);
        }
    }
}

void
wire_put_body(struct wire_buf *buf, const struct wire_segment *segments,
              size_t len)
{
    size_t bytes = 0;

    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    assert(!wire_segments_complaint(segments, len, &bytes));
    (void)bytes;
    begin(buf, WIRE_BODY, 1);
    put_segments(buf, segments, len, 0);
}

void
wire_put_hash(struct wire_buf *buf, const struct wire_bytes *suites,
              size_t suites_len, const struct wire_segment *segments,
              size_t len)
{
    size_t bytes = 0;

    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    assert(suites_len >= 1 && suites_len <= WIRE_SUITES_MAX);
    assert(!wire_segments_complaint(segments, len, &bytes));
    (void)bytes;
    begin(buf, WIRE_HASH, 2);
    put_array(buf, suites_len);
    for (size_t i = 0; i < suites_len; i++) {
        assert(wire_suite_is_valid(suites[i]));
        put_text(buf, suites[i]);
    }
    put_segments(buf, segments, len, suites_len);
}

// A server shapes its facts, so what is out of bounds is not an assertion's
// matter: it is left out, as if it had not been known.
static bool
has_number(uint64_t number, unsigned key)
{
    return number != WIRE_UNSET && number <= wire_fact_number_max(key);
}

static bool
has_string(struct wire_bytes string, unsigned key)
{
    return string.at && string.len <= wire_fact_string_max(key);
}

static void
put_facts(struct wire_buf *buf, const struct wire_facts *given)
{
    struct wire_facts facts = *given;
    size_t present = 0;

    // The message alone is still good when it has lost its end.
    if (facts.message.len > WIRE_TEXT_MAX)
        facts.message.len = WIRE_TEXT_MAX;
#define X(key, field) present += has_number(facts.field, key);
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) present += has_string(facts.field, key);
    WIRE_FACT_STRINGS(X)
#undef X
    put_map(buf, present);
#define X(key, field)                                                          \
    if (has_number(facts.field, key)) {                                        \
        put_number(buf, key);                                                  \
        put_number(buf, facts.field);                                          \
    }
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field)                                                          \
    if (has_string(facts.field, key)) {                                        \
        put_number(buf, key);                                                  \
        put_bytes(buf, facts.field);                                           \
    }
    WIRE_FACT_STRINGS(X)
#undef X
}

// Sums the longest encoding of every part: 9 bytes a number, 5 a head.
size_t
wire_fetched_bytes(const struct wire_fetched *item)
{
    size_t bytes = 64;

#define X(key, field) bytes += 10;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field)                                                          \
    bytes += has_string(item->facts.field, key) ? 6 + item->facts.field.len : 0;
    WIRE_FACT_STRINGS(X)
#undef X
    if (item->facts.message.len > WIRE_TEXT_MAX)
        bytes += 6 + WIRE_TEXT_MAX;
    return bytes;
}

void
wire_put_fetched(struct wire_buf *buf, const struct wire_fetched *items,
                 size_t len)
{
    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_FETCHED, 1);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        assert(fail_is_known(items[i].outcome));
        assert(items[i].size <= WIRE_SIZE_MAX);
        put_array(buf, 5);
        put_number(buf, items[i].job);
        put_number(buf, items[i].attempt);
        put_number(buf, items[i].outcome);
        put_number(buf, items[i].size);
        put_facts(buf, &items[i].facts);
    }
}

void
wire_put_digests(struct wire_buf *buf, uint64_t taken,
                 const struct wire_digest *items, size_t len)
{
    assert(taken <= UINT32_MAX && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_DIGESTS, 2);
    put_number(buf, taken);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        const struct wire_digest *item = &items[i];

        assert(item->size <= WIRE_SIZE_MAX);
        assert(item->digests_len >= 1 &&
               item->digests_len <= WIRE_ALGORITHMS_MAX);
        put_array(buf, 4);
        put_number(buf, item->job);
        put_number(buf, item->attempt);
        put_number(buf, item->size);
        put_array(buf, item->digests_len);
        for (size_t k = 0; k < item->digests_len; k++) {
            assert(item->digests[k].len >= 1 &&
                   item->digests[k].len <= WIRE_DIGEST_BYTES_MAX);
            put_bytes(buf, item->digests[k]);
        }
    }
}

void
wire_put_credit(struct wire_buf *buf, uint64_t bytes,
                const struct wire_credit *items, size_t len)
{
    assert(bytes <= WIRE_WINDOW_MAX && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_CREDIT, 2);
    put_number(buf, bytes);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        assert(items[i].bytes <= WIRE_WINDOW_MAX);
        put_array(buf, 3);
        put_number(buf, items[i].job);
        put_number(buf, items[i].attempt);
        put_number(buf, items[i].bytes);
    }
}

void
wire_put_abort(struct wire_buf *buf, const struct wire_aborted *items,
               size_t len)
{
    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_ABORT, 1);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        assert(items[i].reason >= 1 && items[i].reason < WIRE_ABORT_COUNT);
        put_array(buf, 3);
        put_number(buf, items[i].job);
        put_number(buf, items[i].attempt);
        put_number(buf, items[i].reason);
    }
}

void
wire_put_suite(struct wire_buf *buf, const struct wire_suite *items, size_t len)
{
    assert(len >= 1 && len <= WIRE_ENTRIES_MAX);
    begin(buf, WIRE_SUITE, 1);
    put_array(buf, len);
    for (size_t i = 0; i < len; i++) {
        const struct wire_suite *item = &items[i];

        assert(item->algorithms_len >= 1 &&
               item->algorithms_len <= WIRE_ALGORITHMS_MAX);
        put_array(buf, 3);
        put_number(buf, item->job);
        put_number(buf, item->attempt);
        put_array(buf, item->algorithms_len);
        for (size_t k = 0; k < item->algorithms_len; k++) {
            assert(wire_algorithm_is_valid(item->algorithms[k]));
            put_text(buf, item->algorithms[k]);
        }
    }
}

static void
put_list(struct wire_buf *buf, const struct wire_bytes *items, size_t len)
{
    put_array(buf, len);
    for (size_t i = 0; i < len; i++)
        put_bytes(buf, items[i]);
}

void
wire_put_profile(struct wire_buf *buf, uint64_t place,
                 const struct wire_profile *profile)
{
    size_t present = 0;

    assert(place < WIRE_PROFILES_MAX && !profile_complaint(profile));
    begin(buf, WIRE_PROFILE, 2);
    put_number(buf, place);
#define X(key, field, highest) present += profile->field != WIRE_UNSET;
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest) present += profile->field.at != NULL;
    WIRE_PROFILE_STRINGS(X)
#undef X
#define X(key, field, longest) present += profile->field##_len > 0;
    WIRE_PROFILE_LISTS(X)
#undef X
    put_map(buf, present);
#define X(key, field, highest)                                                 \
    if (profile->field != WIRE_UNSET) {                                        \
        put_number(buf, key);                                                  \
        put_number(buf, profile->field);                                       \
    }
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest)                                                 \
    if (profile->field.at) {                                                   \
        put_number(buf, key);                                                  \
        put_bytes(buf, profile->field);                                        \
    }
    WIRE_PROFILE_STRINGS(X)
#undef X
#define X(key, field, longest)                                                 \
    if (profile->field##_len) {                                                \
        put_number(buf, key);                                                  \
        put_list(buf, profile->field, profile->field##_len);                   \
    }
    WIRE_PROFILE_LISTS(X)
#undef X
}

void
wire_put_bye(struct wire_buf *buf, bool is_final)
{
    begin(buf, WIRE_BYE, 1);
    put_number(buf, is_final);
}

void
wire_put_error(struct wire_buf *buf, enum wire_error code, const char *text)
{
    char printable[WIRE_TEXT_MAX];
    size_t len = strnlen(text, sizeof(printable));

    for (size_t i = 0; i < len; i++)
        printable[i] = text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?';
    begin(buf, WIRE_ERROR, 2);
    put_number(buf, code);
    put_text(buf, (struct wire_bytes){printable, len});
}
