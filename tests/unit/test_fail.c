#include "proto/fail.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> // needs those above

static void
test_rows(void **state)
{
    (void)state;
    for (unsigned fail = 0; fail < FAIL_COUNT; fail++) {
        const char *name = fail_name((enum fail)fail);

        assert_true(fail_is_known(fail));
        assert_non_null(name);
        assert_true(strlen(fail_meaning((enum fail)fail)) > 10);
        // Users, scripts and the store read it: one lower-case word.
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(name));
        for (unsigned other = 0; other < fail; other++)
            assert_string_not_equal(name, fail_name((enum fail)other));
    }
    assert_false(fail_is_known(FAIL_COUNT));
    assert_false(fail_is_known(UINT64_MAX));
    // The low 32 bits alone would be a known one.
    assert_false(fail_is_known((UINT64_C(1) << 32) + FAIL_HTTP));
}

// Numbers and names are on wires and in stores: they never change.
static void
test_fixed(void **state)
{
    static const char *const names[] = {"ok",           "invalid_url",
                                        "url_too_long", "scheme",
                                        "dns",          "connect",
                                        "timeout",      "tls",
                                        "redirects",    "http",
                                        "cut",          "too_large",
                                        "protocol",     "blocked_address",
                                        "worker_lost",  "cancelled",
                                        "digest",       "internal"};

    (void)state;
    assert_true(FAIL_COUNT >= sizeof(names) / sizeof(*names));
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_string_equal(fail_name((enum fail)i), names[i]);
}

static void
test_soft(void **state)
{
    static const int soft_statuses[] = {408, 429, 500, 502, 503, 504};
    size_t soft = 0;

    (void)state;
    assert_true(fail_is_soft(FAIL_DNS, 0));
    assert_true(fail_is_soft(FAIL_TIMEOUT, 0));
    assert_true(fail_is_soft(FAIL_CUT, 200));
    assert_true(fail_is_soft(FAIL_INTERNAL, 0));
    assert_false(fail_is_soft(FAIL_OK, 200));
    assert_false(fail_is_soft(FAIL_INVALID_URL, 0));
    assert_false(fail_is_soft(FAIL_TLS, 0));
    assert_false(fail_is_soft(FAIL_CANCELLED, 0));
    // A status matters to FAIL_HTTP alone.
    assert_false(fail_is_soft(FAIL_REDIRECTS, 503));
    for (int status = -1; status <= 1000; status++)
        soft += fail_is_soft(FAIL_HTTP, status);
    assert_int_equal(soft, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(fail_is_soft(FAIL_HTTP, soft_statuses[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_soft),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
