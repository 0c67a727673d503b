#include "fetcher/apart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
spellings_of_an_origin_are_one(void **state)
{
    static const char *const same[] = {
        "https://example.org/",           "https://example.org",
        "HTTPS://Example.ORG/a?b#c",      "https://example.org:443/x",
        "https://user:p@example.org/",    "https://example.org./",
        "https://example.org?@other.org", "https://a@b@example.org:443",
    };
    static const char *const others[] = {
        "http://example.org/",
        "https://example.org:444/",
        "https://www.example.org",
        "http://example.org:443/",
        "https://example.or/g",
        "https://[::1]:443/",
        "https://",
        "",
    };
    uint64_t key = apart_key(same[0]);

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        assert_int_equal(apart_key(same[i]), key);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_not_equal(apart_key(others[i]), key);
    assert_int_equal(apart_key("https://[::1]:443/"),
                     apart_key("https://[::1]/x"));
    assert_int_equal(apart_key("http://example.org:80"),
                     apart_key("http://example.org/"));
}

static void
the_latest_are_known(void **state)
{
    struct apart apart = {{0}};
    uint64_t key = apart_key("https://example.org/");

    (void)state;
    assert_false(apart_has(&apart, key));
    apart_add(&apart, key);
    assert_true(apart_has(&apart, key));
    assert_false(apart_has(&apart, apart_key("https://example.com/")));
    apart_add(&apart, key + APART_ORIGINS_MAX); // in its place
    assert_false(apart_has(&apart, key));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_an_origin_are_one),
        cmocka_unit_test(the_latest_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
