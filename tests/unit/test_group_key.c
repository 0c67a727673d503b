// For whose limit an origin counts.
#include "broker/group_key.h"
#include "broker/origin.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct group_keys *keys;

static uint64_t
number_of(const char *text)
{
    return origin_hash(text, strlen(text));
}

static uint64_t
key_of(const char *text)
{
    return group_key(keys, number_of(text), text);
}

static void
by(const char *word)
{
    group_keys_free(&keys);
    assert_int_equal(group_keys_new(word, &keys), 0);
}

static void
test_words(void **state)
{
    (void)state;
    assert_int_equal(group_keys_new("hosts", &keys), -EINVAL);
    assert_int_equal(group_keys_new("", &keys), -EINVAL);
    assert_null(keys);
}

static void
test_origin(void **state)
{
    (void)state;
    by("origin");
    assert_true(key_of("http://a.example:80") ==
                number_of("http://a.example:80"));
    assert_false(group_keys_learn(keys, 1, "192.0.2.1:80", 12));
}

static void
test_host(void **state)
{
    (void)state;
    by("host");
    assert_true(key_of("http://a.example:80") ==
                key_of("https://a.example:443"));
    assert_true(key_of("http://a.example:80") ==
                key_of("http://a.example.:8080"));
    assert_true(key_of("http://a.example:80") != key_of("http://b.example:80"));
    assert_true(key_of("http://[::1]:80") == key_of("https://[::1]:443"));
    assert_true(key_of("http://[::1]:80") != key_of("http://[::2]:80"));
}

static void
test_domain(void **state)
{
    static const char *const same[][2] = {
        {"http://www.example.org:80", "https://a.b.c.example.org:443"},
        {"http://www.example.org:80", "http://example.org.:80"},
        {"http://www.example.co.uk:80", "http://ftp.example.co.uk:80"},
        {"http://a.b.ck:80", "http://x.a.b.ck:80"}, // a wildcard: *.ck
        {"http://127.0.0.1:80", "http://127.0.0.1:81"},
    };
    static const char *const others[][2] = {
        {"http://a.co.uk:80", "http://b.co.uk:80"},
        {"http://a.github.io:80", "http://b.github.io:80"},
        {"http://1.2.3.4:80", "http://5.6.3.4:80"}, // no names: no domain
        {"http://[2001:db8::1]:80", "http://[2001:db8::2]:80"},
        {"http://localhost:80", "http://otherhost:80"},
        {"http://com:80", "http://org:80"},
        {"http://a.example.org:80", "http://a.example.com:80"},
    };

    (void)state;
    by("domain");
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        if (key_of(same[i][0]) != key_of(same[i][1]))
            fail_msg("%s and %s are two", same[i][0], same[i][1]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (key_of(others[i][0]) == key_of(others[i][1]))
            fail_msg("%s and %s are one", others[i][0], others[i][1]);
    }
}

static bool
learn(const char *text, const char *remote)
{
    return group_keys_learn(keys, number_of(text), remote, strlen(remote));
}

static void
test_ip(void **state)
{
    (void)state;
    by("ip");
    // Until it is learnt: the host.
    assert_true(key_of("http://a.example:80") ==
                key_of("https://a.example:443"));
    assert_true(key_of("http://a.example:80") != key_of("http://b.example:80"));
    assert_true(learn("http://a.example:80", "192.0.2.1:80"));
    assert_true(learn("http://b.example:80", "192.0.2.1:8080"));
    assert_true(key_of("http://a.example:80") == key_of("http://b.example:80"));
    assert_true(learn("http://c.example:80", "[2001:db8::1]:80"));
    assert_true(learn("http://d.example:80", "[2001:db8::2]:80"));
    assert_true(key_of("http://c.example:80") != key_of("http://d.example:80"));
    // It keeps to the first one.
    assert_false(learn("http://a.example:80", "192.0.2.99:80"));
    assert_true(key_of("http://a.example:80") == key_of("http://b.example:80"));
    // What is no address of ours.
    assert_false(learn("http://e.example:80", ""));
    assert_false(learn("http://e.example:80", ":80"));
    assert_false(learn("http://e.example:80", "192.0.2.1"));
}

// The oldest goes; memory does not grow.
static void
test_addresses_are_bounded(void **state)
{
    uint64_t first;

    (void)state;
    by("ip");
    assert_true(learn("http://first:80", "192.0.2.7:80"));
    first = key_of("http://first:80");
    for (uint64_t i = 1; i <= GROUP_ADDRESSES_MAX - 1; i++)
        assert_true(group_keys_learn(keys, i, "192.0.2.8:80", 12));
    assert_true(key_of("http://first:80") == first);
    assert_true(
        group_keys_learn(keys, GROUP_ADDRESSES_MAX, "192.0.2.8:80", 12));
    assert_true(key_of("http://first:80") != first);
    assert_true(group_key(keys, 1, "http://x:80") ==
                group_key(keys, GROUP_ADDRESSES_MAX, "http://y:80"));
}

static int
tear_down(void **state)
{
    (void)state;
    group_keys_free(&keys);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_domain),
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_addresses_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
