// Which transfers a fetcher vouches for.
#include "fetcher/vouch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> // needs those above

static void
test_silence_max(void **state)
{
    struct wire_request limits = {
        .connect_timeout_ms = 5000, .speed_limit = 1, .speed_time_s = 30};

    (void)state;
    assert_int_equal(vouch_silence_max_ms(&limits), 40000);
    limits.connect_timeout_ms = 60000;
    assert_int_equal(vouch_silence_max_ms(&limits), 70000);
    limits.connect_timeout_ms = 0; // libcurl's own
    assert_int_equal(vouch_silence_max_ms(&limits), 310000);
    limits.speed_limit = 0;
    assert_true(vouch_silence_max_ms(&limits) == UINT64_MAX);
    limits.speed_limit = 1;
    limits.speed_time_s = 0;
    assert_true(vouch_silence_max_ms(&limits) == UINT64_MAX);
}

// One that never moves is vouched for as long as its limits may end it.
static void
test_stuck(void **state)
{
    struct vouch vouch;

    (void)state;
    vouch_begin(&vouch, 1000);
    assert_true(vouch_look(&vouch, 0, false, 40000, 1000));
    assert_true(vouch_look(&vouch, 0, false, 40000, 41000));
    assert_false(vouch_look(&vouch, 0, false, 40000, 41001));
    assert_true(vouch_look(&vouch, 0, false, UINT64_MAX, UINT64_MAX));
}

static void
test_moves(void **state)
{
    struct vouch vouch;

    (void)state;
    vouch_begin(&vouch, 0);
    // Bytes came since the last look, however long ago that was.
    assert_true(vouch_look(&vouch, 10, false, 5, 1000));
    assert_true(vouch_look(&vouch, 10, false, 5, 1005));
    assert_false(vouch_look(&vouch, 10, false, 5, 1006));
    // After a redirect libcurl counts from nothing: a change all the same.
    assert_true(vouch_look(&vouch, 3, false, 5, 2000));
    assert_false(vouch_look(&vouch, 3, false, 5, 2006));
}

// Waiting for credit is nobody's silence, and the count begins behind it.
static void
test_waits(void **state)
{
    struct vouch vouch;

    (void)state;
    vouch_begin(&vouch, 0);
    assert_true(vouch_look(&vouch, 0, true, 5, 1000));
    assert_true(vouch_look(&vouch, 0, true, 5, 2000));
    assert_true(vouch_look(&vouch, 0, false, 5, 2005));
    assert_false(vouch_look(&vouch, 0, false, 5, 2006));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_max),
        cmocka_unit_test(test_stuck),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
