#include "proto/wire.h"
#include "proto/wire_rules.h"

#include "tests/unit/notation.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h> // needs those above

#define BYTES(literal) ((struct wire_bytes){literal, sizeof(literal) - 1})

static struct wire_decoder *decoder;
static struct wire_buf *buf;

static int
set_up(void **state)
{
    (void)state;
    return wire_decoder_new(&decoder) || wire_buf_new(&buf) ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    wire_decoder_free(&decoder);
    wire_decoder_free(&decoder); // a second time is fine
    wire_buf_free(&buf);
    wire_buf_free(&buf);
    return 0;
}

static void
assert_same(struct wire_bytes one, struct wire_bytes other)
{
    assert_int_equal(one.len, other.len);
    assert_true(!one.at == !other.at);
    if (one.len)
        assert_memory_equal(one.at, other.at, one.len);
}

// What is in buf, decoded from an exact copy; every cut of it, and one byte
// more, must be refused. The copy lives until the next call.
static struct wire_message
come_back(enum wire_kind kind)
{
    static unsigned char *copy;
    size_t len = wire_buf_len(buf);
    size_t step = len < 4096 ? 1 : len / 61;
    struct wire_message message = {0};

    assert_int_equal(wire_buf_error(buf), 0);
    for (size_t cut = 0; cut < len; cut += step) {
        free(copy);
        copy = malloc(cut + !cut);
        assert_non_null(copy);
        memcpy(copy, wire_buf_data(buf), cut);
        assert_int_equal(wire_decode(decoder, copy, cut, &message), -EPROTO);
    }
    copy = realloc(copy, len + 1);
    assert_non_null(copy);
    memcpy(copy, wire_buf_data(buf), len);
    copy[len] = 0;
    assert_int_equal(wire_decode(decoder, copy, len + 1, &message), -EPROTO);
    assert_int_equal(message.kind, 0); // untouched by every refusal
    copy = realloc(copy, len);
    if (wire_decode(decoder, copy, len, &message))
        fail_msg("%s: %s", wire_kind_name(kind), wire_decoder_error(decoder));
    assert_int_equal(message.kind, kind);
    return message;
}

// --- Round trips ---

static void
test_hello(void **state)
{
    static char name[WIRE_NAME_MAX];
    static char algorithm[WIRE_ALGORITHM_NAME_MAX];
    struct wire_hello hello = {
        .version_min = 1,
        .version_max = WIRE_VERSION_MAX,
        .role = WIRE_FETCHER,
        .name = {name, sizeof(name)},
        .capacity = WIRE_CAPACITY_MAX,
        .instance = UINT64_MAX,
        .epoch = UINT64_MAX,
    };
    struct wire_message message;

    (void)state;
    memset(name, '~', sizeof(name));
    memset(algorithm, '/', sizeof(algorithm));
    wire_put_hello(buf, &hello);
    message = come_back(WIRE_HELLO);
    assert_int_equal(message.hello->version_min, 1);
    assert_int_equal(message.hello->version_max, WIRE_VERSION_MAX);
    assert_int_equal(message.hello->role, WIRE_FETCHER);
    assert_same(message.hello->name, hello.name);
    assert_int_equal(message.hello->capacity, WIRE_CAPACITY_MAX);
    assert_int_equal(message.hello->algorithms_len, 0);
    assert_true(message.hello->instance == UINT64_MAX);
    assert_true(message.hello->epoch == UINT64_MAX);

    hello.role = WIRE_HASHER;
    hello.name.len = 1;
    hello.capacity = 0;
    hello.instance = 1;
    hello.epoch = 2;
    hello.algorithms_len = WIRE_HELLO_ALGORITHMS_MAX;
    for (size_t i = 0; i < hello.algorithms_len; i++)
        hello.algorithms[i] =
            (struct wire_bytes){algorithm, 1 + i % WIRE_ALGORITHM_NAME_MAX};
    wire_put_hello(buf, &hello);
    message = come_back(WIRE_HELLO);
    assert_int_equal(message.hello->role, WIRE_HASHER);
    assert_int_equal(message.hello->capacity, 0);
    assert_int_equal(message.hello->algorithms_len, hello.algorithms_len);
    for (size_t i = 0; i < hello.algorithms_len; i++)
        assert_same(message.hello->algorithms[i], hello.algorithms[i]);
    assert_int_equal(message.hello->instance, 1);
    assert_int_equal(message.hello->epoch, 2);
}

static void
test_small_kinds(void **state)
{
    struct wire_welcome welcome = {.version = WIRE_VERSION_MAX,
                                   .session = UINT64_MAX,
                                   .epoch = UINT64_MAX,
                                   .ttl_ms = WIRE_TTL_MS_MAX,
                                   .window = WIRE_WINDOW_MAX,
                                   .job_window = WIRE_WINDOW_MAX};
    struct wire_message message;
    char text[WIRE_TEXT_MAX + 10];

    (void)state;
    wire_put_welcome(buf, &welcome);
    message = come_back(WIRE_WELCOME);
    assert_memory_equal(&message.welcome, &welcome, sizeof(welcome));
    wire_put_ping(buf, 1);
    assert_int_equal(come_back(WIRE_PING).ping_ttl_ms, 1);
    wire_put_ping(buf, WIRE_TTL_MS_MAX);
    assert_int_equal(come_back(WIRE_PING).ping_ttl_ms, WIRE_TTL_MS_MAX);
    wire_put_bye(buf, false);
    assert_int_equal(come_back(WIRE_BYE).bye_is_final, 0);
    wire_put_bye(buf, true);
    assert_int_equal(come_back(WIRE_BYE).bye_is_final, 1);
    wire_put_error(buf, WIRE_ERROR_REFUSED, "");
    message = come_back(WIRE_ERROR);
    assert_int_equal(message.error.code, WIRE_ERROR_REFUSED);
    assert_int_equal(message.error.text.len, 0);
    // An error's text may quote a stranger: made printable, and cut.
    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = 0;
    wire_put_error(buf, WIRE_ERROR_NO_SESSION, text);
    message = come_back(WIRE_ERROR);
    assert_int_equal(message.error.text.len, WIRE_TEXT_MAX);
    assert_int_equal(message.error.text.at[0], '?');
}

static void
test_pong(void **state)
{
    static struct wire_vouched items[WIRE_ENTRIES_MAX];
    struct wire_message message;

    (void)state;
    wire_put_pong(buf, 0, NULL, 0);
    message = come_back(WIRE_PONG);
    assert_int_equal(message.pong.load, 0);
    assert_int_equal(message.pong.len, 0);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++)
        items[i] = (struct wire_vouched){UINT64_MAX - i, UINT32_MAX};
    wire_put_pong(buf, UINT32_MAX, items, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_PONG);
    assert_int_equal(message.pong.load, UINT32_MAX);
    assert_int_equal(message.pong.len, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        assert_true(message.pong.items[i].job == UINT64_MAX - i);
        assert_int_equal(message.pong.items[i].attempt, UINT32_MAX);
    }
}

static void
test_connected(void **state)
{
    const struct wire_vouched items[] = {{UINT64_MAX, UINT32_MAX}, {0, 1}};
    struct wire_message message;

    (void)state;
    wire_put_connected(buf, items, 2);
    message = come_back(WIRE_CONNECTED);
    assert_int_equal(message.connected.len, 2);
    assert_true(message.connected.items[0].job == UINT64_MAX);
    assert_int_equal(message.connected.items[0].attempt, UINT32_MAX);
    assert_int_equal(message.connected.items[1].attempt, 1);
}

static void
test_pause(void **state)
{
    const struct wire_vouched items[] = {{UINT64_MAX, UINT32_MAX}, {0, 1}};
    struct wire_message message;

    (void)state;
    wire_put_pause(buf, WIRE_PAUSE_NONE, NULL, 0);
    message = come_back(WIRE_PAUSE);
    assert_int_equal(message.pause.reason, WIRE_PAUSE_NONE);
    assert_int_equal(message.pause.len, 0);
    wire_put_pause(buf, WIRE_PAUSE_NO_NAMES, items, 2);
    message = come_back(WIRE_PAUSE);
    assert_int_equal(message.pause.reason, WIRE_PAUSE_NO_NAMES);
    assert_int_equal(message.pause.len, 2);
    assert_true(message.pause.items[0].job == UINT64_MAX);
    assert_int_equal(message.pause.items[0].attempt, UINT32_MAX);
    assert_int_equal(message.pause.items[1].attempt, 1);
}

static void
test_jobs(void **state)
{
    static struct wire_job jobs[WIRE_ENTRIES_MAX];
    static char url[URL_BYTES_MAX];
    struct wire_request request;
    struct wire_message message;

    (void)state;
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++)
        jobs[i] = (struct wire_job){UINT64_MAX - i, UINT32_MAX, {url, 1 + i}};
    jobs[0].url.len = URL_BYTES_MAX; // not UTF-8, and NUL is a byte as others
    url[1] = (char)0xff;
    wire_request_init(&request);
    wire_put_jobs(buf, &request, jobs, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_JOBS);
    assert_memory_equal(&message.jobs.request, &request, sizeof(request));
    assert_int_equal(message.jobs.len, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        assert_true(message.jobs.jobs[i].job == jobs[i].job);
        assert_int_equal(message.jobs.jobs[i].attempt, UINT32_MAX);
        assert_same(message.jobs.jobs[i].url, jobs[i].url);
    }
#define X(key, field, highest) request.field = (highest);
    WIRE_REQUEST_FIELDS(X)
#undef X
    wire_put_jobs(buf, &request, jobs, 1);
    message = come_back(WIRE_JOBS);
    assert_memory_equal(&message.jobs.request, &request, sizeof(request));
    // One field alone, of value 0, which is not the same as absent.
    wire_request_init(&request);
    request.max_redirs = 0;
    wire_put_jobs(buf, &request, jobs, 1);
    message = come_back(WIRE_JOBS);
    assert_memory_equal(&message.jobs.request, &request, sizeof(request));
}

static void
assert_segments(const struct wire_message *message,
                const struct wire_segment *segments, size_t len, size_t bytes)
{
    assert_int_equal(message->body.len, len);
    assert_int_equal(message->body.bytes, bytes);
    for (size_t i = 0; i < len; i++) {
        const struct wire_segment *got = &message->body.segments[i];

        assert_true(got->job == segments[i].job);
        assert_int_equal(got->attempt, segments[i].attempt);
        assert_true(got->offset == segments[i].offset);
        assert_int_equal(got->length, segments[i].length);
        assert_int_equal(got->flags, segments[i].flags);
        assert_int_equal(got->suite, segments[i].suite);
    }
}

static void
test_body_and_hash(void **state)
{
    static struct wire_segment wholes[WIRE_ENTRIES_MAX];
    static char suite[WIRE_ALGORITHMS_MAX * (WIRE_ALGORITHM_NAME_MAX + 1)];
    struct wire_segment part = {.job = UINT64_MAX,
                                .attempt = UINT32_MAX,
                                .offset = WIRE_SIZE_MAX - WIRE_BODY_BYTES_MAX,
                                .length = WIRE_BODY_BYTES_MAX};
    struct wire_segment empty = {.job = 7, .flags = WIRE_SEGMENT_LAST};
    struct wire_bytes suites[WIRE_SUITES_MAX];
    struct wire_message message;

    (void)state;
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++)
        wholes[i] = (struct wire_segment){.job = i << 30,
                                          .attempt = (uint32_t)i << 20,
                                          .length = 256,
                                          .flags = WIRE_SEGMENT_LAST};
    wire_put_body(buf, wholes, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_BODY);
    assert_segments(&message, wholes, WIRE_ENTRIES_MAX, WIRE_BODY_BYTES_MAX);
    assert_int_equal(message.body.suites_len, 0);
    wire_put_body(buf, &part, 1);
    message = come_back(WIRE_BODY);
    assert_segments(&message, &part, 1, WIRE_BODY_BYTES_MAX);
    wire_put_body(buf, &empty, 1);
    message = come_back(WIRE_BODY);
    assert_segments(&message, &empty, 1, 0);
    assert_true(wire_segment_is_whole(&empty));
    empty.flags = WIRE_SEGMENT_RESTART;
    wire_put_body(buf, &empty, 1);
    message = come_back(WIRE_BODY);
    assert_segments(&message, &empty, 1, 0);
    empty.flags |= WIRE_SEGMENT_LAST;
    assert_false(wire_segment_is_whole(&empty));

    // The longest suite there can be, and all shorter ones of its kind.
    memset(suite, 'z', sizeof(suite));
    for (size_t i = WIRE_ALGORITHM_NAME_MAX; i < sizeof(suite);
         i += WIRE_ALGORITHM_NAME_MAX + 1)
        suite[i] = ',';
    for (size_t i = 0; i < WIRE_SUITES_MAX; i++)
        suites[i] = (struct wire_bytes){suite, i * 16 + 1};
    suites[WIRE_SUITES_MAX - 1].len = sizeof(suite) - 1;
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++)
        wholes[i].suite = (uint8_t)(i % WIRE_SUITES_MAX);
    wire_put_hash(buf, suites, WIRE_SUITES_MAX, wholes, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_HASH);
    assert_segments(&message, wholes, WIRE_ENTRIES_MAX, WIRE_BODY_BYTES_MAX);
    assert_int_equal(message.body.suites_len, WIRE_SUITES_MAX);
    for (size_t i = 0; i < WIRE_SUITES_MAX; i++)
        assert_same(message.body.suites[i], suites[i]);
}

// One FETCHED entry with every fact at its ceiling, plus over.
static struct wire_fetched
full_fetched(size_t over)
{
    static char bytes[URL_BYTES_MAX + 1];
    struct wire_fetched item = {.job = UINT64_MAX,
                                .attempt = UINT32_MAX,
                                .outcome = FAIL_COUNT - 1,
                                .size = WIRE_SIZE_MAX};

#define X(key, field) item.facts.field = wire_fact_number_max(key) + over;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field)                                                          \
    item.facts.field = (struct wire_bytes){bytes, WIRE_FACT_MAX + over};
    WIRE_FACT_STRINGS(X)
#undef X
    item.facts.message.len = WIRE_TEXT_MAX + over;
    item.facts.final_url.len = URL_BYTES_MAX + over;
    return item;
}

static void
assert_facts(const struct wire_facts *one, const struct wire_facts *other)
{
#define X(key, field) assert_true(one->field == other->field);
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) assert_same(one->field, other->field);
    WIRE_FACT_STRINGS(X)
#undef X
}

static void
test_fetched(void **state)
{
    struct wire_fetched items[3] = {full_fetched(0), {.job = 1}, {.job = 2}};
    struct wire_fetched over = full_fetched(1);
    struct wire_facts left;
    struct wire_message message;

    (void)state;
    wire_facts_init(&items[1].facts);
    wire_facts_init(&items[2].facts);
    items[2].facts.etag = BYTES(""); // there, and empty: not absent
    items[2].facts.tls_us = 0;
    wire_put_fetched(buf, items, 3);
    message = come_back(WIRE_FETCHED);
    assert_int_equal(message.fetched.len, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct wire_fetched *got = &message.fetched.items[i];

        assert_true(got->job == items[i].job);
        assert_int_equal(got->attempt, items[i].attempt);
        assert_int_equal(got->outcome, items[i].outcome);
        assert_true(got->size == items[i].size);
        assert_facts(&got->facts, &items[i].facts);
    }
    // Beyond their ceilings facts are left out, but a message is cut.
    wire_put_fetched(buf, &over, 1);
    message = come_back(WIRE_FETCHED);
    wire_facts_init(&left);
    left.message = (struct wire_bytes){over.facts.message.at, WIRE_TEXT_MAX};
    assert_facts(&message.fetched.items[0].facts, &left);
}

static void
test_fetched_bytes(void **state)
{
    struct wire_fetched many[80];

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct wire_fetched item = full_fetched(over);

        wire_put_fetched(buf, &item, 1);
        assert_true(wire_buf_len(buf) <= wire_fetched_bytes(&item) + 16);
        assert_true(wire_buf_len(buf) + 192 > wire_fetched_bytes(&item));
    }
    // Too many of them: said by the buffer, and forgotten by the next message.
    for (size_t i = 0; i < 80; i++)
        many[i] = full_fetched(0);
    wire_put_fetched(buf, many, 80);
    assert_int_equal(wire_buf_error(buf), -EMSGSIZE);
    assert_true(wire_buf_len(buf) <= WIRE_HEAD_BYTES_MAX);
    wire_put_fetched(buf, many, 50);
    assert_int_equal(wire_buf_error(buf), 0);
    assert_int_equal(come_back(WIRE_FETCHED).fetched.len, 50);
}

static void
test_digests(void **state)
{
    static struct wire_digest items[WIRE_ENTRIES_MAX];
    static char digest[WIRE_DIGEST_BYTES_MAX];
    struct wire_message message;

    (void)state;
    wire_put_digests(buf, UINT32_MAX, NULL, 0);
    message = come_back(WIRE_DIGESTS);
    assert_int_equal(message.digests.taken, UINT32_MAX);
    assert_int_equal(message.digests.len, 0);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        items[i] = (struct wire_digest){i,
                                        (uint32_t)i,
                                        WIRE_SIZE_MAX - i,
                                        1 + i % WIRE_ALGORITHMS_MAX,
                                        {{0}}};
        for (size_t k = 0; k < items[i].digests_len; k++)
            items[i].digests[k] = (struct wire_bytes){
                digest, 1 + (i + k) % WIRE_DIGEST_BYTES_MAX};
    }
    wire_put_digests(buf, 0, items, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_DIGESTS);
    assert_int_equal(message.digests.taken, 0);
    assert_int_equal(message.digests.len, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        const struct wire_digest *got = &message.digests.items[i];

        assert_true(got->job == i && got->attempt == i);
        assert_true(got->size == items[i].size);
        assert_int_equal(got->digests_len, items[i].digests_len);
        for (size_t k = 0; k < got->digests_len; k++)
            assert_same(got->digests[k], items[i].digests[k]);
    }
}

static void
test_suite(void **state)
{
    static struct wire_suite items[WIRE_ENTRIES_MAX];
    struct wire_message message;

    (void)state;
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        items[i] = (struct wire_suite){
            i << 40, (uint32_t)i, 1 + i % WIRE_ALGORITHMS_MAX, {{0}}};
        for (size_t k = 0; k < items[i].algorithms_len; k++)
            items[i].algorithms[k] =
                (struct wire_bytes){"sha512-256", 1 + (i + k) % 10};
    }
    wire_put_suite(buf, items, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_SUITE);
    assert_int_equal(message.suite.len, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        const struct wire_suite *got = &message.suite.items[i];

        assert_true(got->job == items[i].job && got->attempt == i);
        assert_int_equal(got->algorithms_len, items[i].algorithms_len);
        for (size_t k = 0; k < got->algorithms_len; k++)
            assert_same(got->algorithms[k], items[i].algorithms[k]);
    }
}

static void
test_profile(void **state)
{
    static const struct wire_bytes headers[] = {BYTES("X-A: b"), BYTES("X-C;")};
    static const struct wire_bytes resolve[] = {BYTES("h:80:::1")};
    struct wire_message message;
    struct wire_profile profile;
    const struct wire_profile *got;

    (void)state;
    wire_profile_init(&profile);
    wire_put_profile(buf, WIRE_PROFILES_MAX - 1, &profile);
    message = come_back(WIRE_PROFILE);
    assert_true(message.profile.place == WIRE_PROFILES_MAX - 1);
    assert_true(wire_profile_is_empty(message.profile.profile));
    profile = (struct wire_profile){
        .insecure = 1,
        .ip_version = 6,
        .http_version = 11,
        .compressed = 0,
        .user_agent = BYTES(""),
        .user = BYTES("me:x"),
        .proxy = BYTES("h:1"),
        .cacert = BYTES("-----BEGIN CERTIFICATE-----"),
        .headers = headers,
        .headers_len = 2,
        .resolve = resolve,
        .resolve_len = 1,
    };
    wire_put_profile(buf, 0, &profile);
    message = come_back(WIRE_PROFILE);
    got = message.profile.profile;
#define X(key, field, highest) assert_true(got->field == profile.field);
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest) assert_same(got->field, profile.field);
    WIRE_PROFILE_STRINGS(X)
#undef X
    assert_int_equal(got->headers_len, 2);
    assert_same(got->headers[0], headers[0]);
    assert_same(got->headers[1], headers[1]);
    assert_int_equal(got->resolve_len, 1);
    assert_same(got->resolve[0], resolve[0]);
}

static void
test_credit_and_abort(void **state)
{
    static struct wire_credit credits[WIRE_ENTRIES_MAX];
    static struct wire_aborted aborted[WIRE_ENTRIES_MAX];
    struct wire_message message;

    (void)state;
    wire_put_credit(buf, WIRE_WINDOW_MAX, NULL, 0);
    message = come_back(WIRE_CREDIT);
    assert_true(message.credit.bytes == WIRE_WINDOW_MAX);
    assert_int_equal(message.credit.len, 0);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        credits[i] = (struct wire_credit){i, 1, WIRE_WINDOW_MAX - i};
        aborted[i] = (struct wire_aborted){
            i, UINT32_MAX, (enum wire_abort)(1 + i % (WIRE_ABORT_COUNT - 1))};
    }
    wire_put_credit(buf, 0, credits, WIRE_ENTRIES_MAX);
    message = come_back(WIRE_CREDIT);
    assert_int_equal(message.credit.len, WIRE_ENTRIES_MAX);
    wire_put_abort(buf, aborted, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        assert_true(message.credit.items[i].job == i);
        assert_int_equal(message.credit.items[i].attempt, 1);
        assert_true(message.credit.items[i].bytes == credits[i].bytes);
    }
    message = come_back(WIRE_ABORT);
    assert_int_equal(message.abort.len, WIRE_ENTRIES_MAX);
    for (size_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
        assert_true(message.abort.items[i].job == i);
        assert_int_equal(message.abort.items[i].attempt, UINT32_MAX);
        assert_int_equal(message.abort.items[i].reason, aborted[i].reason);
    }
}

static void
test_names(void **state)
{
    static const char *const good[] = {"a", "sha512", "sha512,sha256,md5",
                                       "sha512/256", "a,b,c,d,e,f,g,h"};
    static const char *const bad[] = {"",
                                      ",",
                                      "a,",
                                      ",a",
                                      "a,,b",
                                      "SHA512",
                                      "a b",
                                      "a_b",
                                      "a,b,c,d,e,f,g,h,i",
                                      "abcdefghijklmnopqrstuvwxyz012345"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(
            wire_suite_is_valid((struct wire_bytes){good[i], strlen(good[i])}));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(
            wire_suite_is_valid((struct wire_bytes){bad[i], strlen(bad[i])}));
    assert_false(wire_suite_is_valid((struct wire_bytes){NULL, 0}));
    assert_false(wire_name_is_valid((struct wire_bytes){NULL, 0}));
    assert_false(wire_name_is_valid(BYTES("a\x7f")));
    assert_false(wire_name_is_valid(BYTES("a\xc3\xa9")));
    assert_true(wire_name_is_valid(BYTES(" ~")));
    assert_null(wire_kind_name(0));
    assert_null(wire_kind_name(WIRE_KIND_COUNT));
    assert_null(wire_kind_name(UINT64_MAX));
    assert_string_equal(wire_kind_name(WIRE_BODY), "BODY");
#define X(number, symbol, meaning)                                             \
    for (size_t i = 0; i < sizeof(#symbol); i++)                               \
        assert_int_equal(wire_abort_name(WIRE_ABORT_##symbol)[i],              \
                         tolower(#symbol[i]));
    WIRE_ABORTS(X)
#undef X
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),   cmocka_unit_test(test_small_kinds),
        cmocka_unit_test(test_jobs),    cmocka_unit_test(test_body_and_hash),
        cmocka_unit_test(test_fetched), cmocka_unit_test(test_fetched_bytes),
        cmocka_unit_test(test_digests), cmocka_unit_test(test_credit_and_abort),
        cmocka_unit_test(test_suite),   cmocka_unit_test(test_profile),
        cmocka_unit_test(test_pong),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_pause),   cmocka_unit_test(test_connected),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
