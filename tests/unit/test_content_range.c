// test_content_range.c - what a Content-Range may say, and what it may not
#include "fetcher/content_range.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h> // needs those above

static struct content_range
parsed(const char *value)
{
    struct content_range range;

    if (content_range_parse(value, strlen(value), &range) != 0)
        fail_msg("refused: %s", value);
    return range;
}

static void
test_satisfied(void **state)
{
    struct content_range range = parsed("bytes 0-0/1");

    (void)state;
    assert_true(range.is_satisfied);
    assert_int_equal(range.first, 0);
    assert_int_equal(range.last, 0);
    assert_int_equal(range.total, 1);
    range = parsed("Bytes 42-1233/1234");
    assert_int_equal(range.first, 42);
    assert_int_equal(range.last, 1233);
    assert_int_equal(range.total, 1234);
    range = parsed("bytes 42-1233/*");
    assert_true(range.is_satisfied);
    assert_true(range.total == CONTENT_RANGE_UNKNOWN);
    range = parsed("bytes 4611686018427387902-4611686018427387903/"
                   "4611686018427387904");
    assert_true(range.total == UINT64_C(1) << 62);
}

static void
test_unsatisfied(void **state)
{
    struct content_range range = parsed("bytes */1234");

    (void)state;
    assert_false(range.is_satisfied);
    assert_int_equal(range.total, 1234);
    assert_int_equal(parsed("bytes */0").total, 0);
}

static void
test_refused(void **state)
{
    static const char *const values[] = {
        "",
        "bytes",
        "bytes ",
        "bytes=0-1/2",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes 0-/2",
        "bytes -1/2",
        "bytes */*",
        "bytes */",
        "bytes *",
        "bytes **/2",
        "bytes  0-1/2",
        "bytes 0 -1/2",
        "bytes 0-1/2 ",
        "bytes 0-1/2, bytes 3-4/5",
        "bytes 0-1/2x",
        "bytes 0x0-1/2",
        "bytes +0-1/2",
        "bytes 0--1/2",
        "items 0-1/2",
        "bytes 1-0/2",                                       // backwards
        "bytes 0-2/2",                                       // beyond the end
        "bytes 0-0/0",                                       // of nothing
        "bytes 0-1/4611686018427387905",                     // above 2^62
        "bytes 18446744073709551616-18446744073709551617/*", // wraps to 0-1
        "bytes 0-99999999999999999999999/*",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct content_range range = {.first = 7};

        if (content_range_parse(values[i], strlen(values[i]), &range) !=
            -EINVAL)
            fail_msg("taken: %s", values[i]);
        assert_int_equal(range.first, 7); // untouched
    }
    // The value ends where its length says.
    assert_int_equal(
        content_range_parse("bytes 0-1/23", 11, &(struct content_range){0}), 0);
    assert_int_equal(
        content_range_parse("bytes 0-1/2\0", 12, &(struct content_range){0}),
        -EINVAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_satisfied),
        cmocka_unit_test(test_unsatisfied),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
