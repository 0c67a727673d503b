// test_batch_options.c - options from the API, and from stores of all ages
#include "broker/batch_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> // needs those above

static struct batch_options
read_bytes(const void *data, size_t len)
{
    struct batch_options options = {.retry = 99};

    assert_int_equal(batch_options_read(data, len, &options), 0);
    return options;
}

static ProtobufCBinaryData
data_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

// What was stored before there were profiles.
static void
test_of_an_older_store(void **state)
{
    // retry 5, max_redirs 2, speed_limit 300, weight 7.
    static const unsigned char old[] = {0x08, 5,    0x18, 2, 0x28,
                                        0xac, 0x02, 0x48, 7};
    struct batch_options options = read_bytes(old, sizeof(old));

    (void)state;
    assert_int_equal(options.retry, 5);
    assert_int_equal(options.request.max_redirs, 2);
    assert_int_equal(options.request.speed_limit, 300);
    assert_int_equal(options.weight, 7);
    assert_true(options.request.no_resume == WIRE_UNSET);
    assert_true(options.request.any_status == WIRE_UNSET);
    assert_null(options.profile);
    options = read_bytes("", 0); // none at all
    assert_int_equal(options.retry, 3);
    assert_int_equal(options.weight, 1);
    assert_null(options.profile);
}

static void
test_of_a_newer_store(void **state)
{
    // retry 5, and fields 60 (a number) and 61 (a text) that nobody knows.
    static const unsigned char newer[] = {0x08, 5,    0xe0, 0x03, 1,
                                          0xea, 0x03, 2,    'h',  'i'};
    struct batch_options options = read_bytes(newer, sizeof(newer));

    (void)state;
    assert_int_equal(options.retry, 5);
    assert_null(options.profile);
    options = read_bytes("\xff\xff\xff", 3); // not protobuf
    assert_int_equal(options.retry, 3);
    assert_null(options.profile);
}

static void
test_profile_comes_back(void **state)
{
    Urlsum__V1__BatchOptions message = URLSUM__V1__BATCH_OPTIONS__INIT;
    Urlsum__V1__Profile profile;
    ProtobufCBinaryData headers[] = {data_of("X-A: b"), data_of("X-B;")};
    struct batch_options options;
    unsigned char data[256];
    size_t len;

    (void)state;
    urlsum__v1__profile__init(&profile);
    profile.headers = headers;
    profile.n_headers = 2;
    profile.user = data_of("me:x");
    profile.user_agent_is_case = URLSUM__V1__PROFILE__USER_AGENT_IS_USER_AGENT;
    message.profile = &profile;
    message.ip_version_is_case = 14;
    message.ip_version = 6;
    message.any_status_is_case = 12;
    message.any_status = true;
    assert_null(batch_options_complaint(&message));
    assert_true(urlsum__v1__batch_options__get_packed_size(&message) <
                sizeof(data));
    len = urlsum__v1__batch_options__pack(&message, data);
    options = read_bytes(data, len);
    // Replies have all but the profile.
    assert_int_equal(batch_options_public_len(data, len), 4);
    assert_int_equal(batch_options_public_len(data, 4), 4);
    memset(data, 'x', sizeof(data)); // it has a copy
    assert_non_null(options.profile);
    assert_int_equal(options.request.any_status, WIRE_ANY_STATUS_ALL);
    assert_int_equal(options.profile->wire.headers_len, 2);
    assert_memory_equal(options.profile->wire.headers[1].at, "X-B;", 4);
    assert_int_equal(options.profile->wire.ip_version, 6);
    assert_int_equal(options.profile->wire.user.len, 4);
    // An empty one is something else than none.
    assert_non_null(options.profile->wire.user_agent.at);
    assert_int_equal(options.profile->wire.user_agent.len, 0);
    assert_null(options.profile->wire.proxy.at);
    assert_true(options.profile->wire.insecure == WIRE_UNSET);
    assert_true(options.profile->bytes >= len);
    batch_profile_free(&options.profile);
    batch_profile_free(&options.profile); // a second time is fine
}

// Flags alone make a profile too; without any there is none.
static void
test_flags(void **state)
{
    Urlsum__V1__BatchOptions message = URLSUM__V1__BATCH_OPTIONS__INIT;
    struct batch_options options;
    unsigned char data[64];

    (void)state;
    message.insecure_is_case = 13;
    message.insecure = true;
    message.compressed_is_case = 16;
    options = read_bytes(data, urlsum__v1__batch_options__pack(&message, data));
    assert_non_null(options.profile);
    assert_int_equal(options.profile->wire.insecure, 1);
    assert_true(options.profile->wire.compressed == WIRE_UNSET);
    batch_profile_free(&options.profile);
    message.insecure = false;
    options = read_bytes(data, urlsum__v1__batch_options__pack(&message, data));
    assert_null(options.profile);
}

static void
test_complaints(void **state)
{
    static ProtobufCBinaryData many[WIRE_PROFILE_ITEMS_MAX + 1];
    Urlsum__V1__BatchOptions message = URLSUM__V1__BATCH_OPTIONS__INIT;
    Urlsum__V1__Profile profile;
    struct batch_options options;
    unsigned char data[256];

    (void)state;
    urlsum__v1__profile__init(&profile);
    assert_null(batch_options_complaint(NULL));
    assert_null(batch_options_complaint(&message));
    message.weight_is_case = 9;
    message.weight = 101;
    assert_non_null(batch_options_complaint(&message));
    message.weight = 100;
    message.profile = &profile;
    assert_null(batch_options_complaint(&message));
    for (size_t i = 0; i <= WIRE_PROFILE_ITEMS_MAX; i++)
        many[i] = data_of("A: b");
    profile.headers = many;
    profile.n_headers = WIRE_PROFILE_ITEMS_MAX + 1;
    assert_non_null(batch_options_complaint(&message));
    profile.n_headers = 1;
    many[0] = data_of("A: b\nB: c");
    assert_non_null(batch_options_complaint(&message));
    // Whoever let it into the store: fetchers are not told.
    options = read_bytes(data, urlsum__v1__batch_options__pack(&message, data));
    assert_null(options.profile);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_an_older_store),
        cmocka_unit_test(test_of_a_newer_store),
        cmocka_unit_test(test_profile_comes_back),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_complaints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
