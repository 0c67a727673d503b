// Lists of algorithms: names, lengths and ceilings.
#include "broker/suite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_lengths(void **state)
{
    struct suite suite;

    (void)state;
    assert_int_equal(suite_parse("sha512,sha256,md5,sha512-256", &suite), 0);
    assert_string_equal(suite.text, "sha512,sha256,md5,sha512-256");
    assert_int_equal(suite.len, 4);
    assert_int_equal(suite.digest_bytes[0], 64);
    assert_int_equal(suite.digest_bytes[1], 32);
    assert_int_equal(suite.digest_bytes[2], 16);
    assert_int_equal(suite.digest_bytes[3], 32);
    assert_int_equal(suite.total_bytes, 144);
}

static void
test_case(void **state)
{
    struct suite suite;

    (void)state;
    assert_int_equal(suite_parse("SHA512,Sha3-256", &suite), 0);
    assert_string_equal(suite.text, "sha512,sha3-256");
}

static void
test_refusals(void **state)
{
    static const char *const bad[] = {
        "",
        ",",
        "sha512,",
        ",sha512",
        "sha512,,md5",
        "md6",
        "shake128",
        "null", // no length, length 0
        "sha512 ",
        "sha 512",
        "sha512\n",
        "sh\xc3\xa4",
        "sha512=",
        "sha512,sha512",
        "md5,SHA512,sha512",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // 32 characters
    };
    struct suite suite = {.len = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (suite_parse(bad[i], &suite) != -EINVAL)
            fail_msg("taken: \"%s\"", bad[i]);
        assert_int_equal(suite.len, 77); // untouched
    }
}

// A name that is part of another one is another algorithm.
static void
test_parts_of_names(void **state)
{
    struct suite suite;

    (void)state;
    assert_int_equal(suite_parse("sha512-256,sha512,sha512-224", &suite), 0);
    assert_int_equal(suite.len, 3);
    assert_int_equal(suite_add(&suite, "sha512", 6), -EINVAL);
    assert_int_equal(suite_add(&suite, "sha512-224", 10), -EINVAL);
    assert_int_equal(suite_add(&suite, "sha3-512,x", 8), 0); // 8 bytes of it
    assert_int_equal(suite.len, 4);
    assert_int_equal(suite.total_bytes, 32 + 64 + 28 + 64);
}

static void
test_ceiling(void **state)
{
    struct suite suite, before;

    (void)state;
    assert_int_equal(suite_parse("md5,sha1,sha224,sha256,sha384,sha512,"
                                 "sha3-256,sha3-512",
                                 &suite),
                     0);
    assert_int_equal(suite.len, WIRE_ALGORITHMS_MAX);
    before = suite;
    assert_int_equal(suite_add(&suite, "sha3-384", 8), -ENOSPC);
    assert_memory_equal(&suite, &before, sizeof(suite));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_case),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_parts_of_names),
        cmocka_unit_test(test_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
