#include "fetcher/credit.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1024 * 1024)
#define KIB 1024

static void
never_more_than_either_window(void **state)
{
    struct credit credit;
    struct credit_claim a, b;

    (void)state;
    credit_init(&credit, MIB, 768 * KIB);
    credit_open(&credit, &a);
    credit_open(&credit, &b);
    assert_true(credit_take(&credit, &a, 768 * KIB));
    assert_false(credit_take(&credit, &a, 1)); // its own is used up
    assert_int_equal(a.wait, CREDIT_WAITS_OWN);
    assert_true(credit_take(&credit, &b, 256 * KIB));
    assert_int_equal(credit.window, 0);
    assert_false(credit_take(&credit, &b, 1)); // the fetcher's is used up
    assert_int_equal(b.wait, CREDIT_IN_LINE);
    assert_true(credit_take(&credit, &b, 0));
}

// A small body's credit that never came to be needed, or a dropped chunk's.
static void
untaken_bytes_return_to_the_fetcher(void **state)
{
    struct credit credit;
    struct credit_claim a;

    (void)state;
    credit_init(&credit, MIB, MIB);
    credit_open(&credit, &a);
    assert_true(credit_take(&credit, &a, MIB));
    credit_untake(&credit, 5);
    assert_int_equal(credit.window, 5);
}

static void
waiters_take_turns(void **state)
{
    struct credit credit;
    struct credit_claim a, b, c;

    (void)state;
    credit_init(&credit, MIB, 4 * MIB);
    credit_open(&credit, &a);
    credit_open(&credit, &b);
    credit_open(&credit, &c);
    assert_true(credit_take(&credit, &a, MIB));
    assert_false(credit_take(&credit, &a, 100));
    assert_false(credit_take(&credit, &b, 100));
    assert_null(credit_next(&credit));
    credit_give(&credit, 100); // less than it is worth waking for
    assert_null(credit_next(&credit));
    credit_give(&credit, 256 * KIB);
    // There is enough, but others were first.
    assert_false(credit_take(&credit, &c, 100));
    assert_ptr_equal(credit_next(&credit), &a);
    assert_true(credit_take(&credit, &a, 100));
    assert_ptr_equal(credit_next(&credit), &b);
    // Its turn is over: it must queue behind c.
    assert_false(credit_take(&credit, &a, 100));
    assert_true(credit_take(&credit, &b, 100));
    credit_give(&credit, MIB);
    assert_ptr_equal(credit_next(&credit), &c);
    assert_ptr_equal(credit_next(&credit), &a);
    assert_null(credit_next(&credit));
}

static void
own_window_wakes_once_worth_it(void **state)
{
    struct credit credit;
    struct credit_claim a;

    (void)state;
    credit_init(&credit, 4 * MIB, 512 * KIB);
    credit_open(&credit, &a);
    assert_true(credit_take(&credit, &a, 512 * KIB));
    assert_false(credit_take(&credit, &a, 16 * KIB));
    credit_give_claim(&credit, &a, 128 * KIB);
    assert_null(credit_next(&credit));
    credit_give_claim(&credit, &a, 128 * KIB);
    assert_ptr_equal(credit_next(&credit), &a);
    assert_true(credit_take(&credit, &a, 16 * KIB));
}

// All that was sent comes back: whoever waits must then be able to go on, with
// the smallest windows a broker may give.
static void
small_windows_do_not_lock(void **state)
{
    struct credit credit;
    struct credit_claim a;

    (void)state;
    credit_init(&credit, 64 * KIB, 32 * KIB);
    credit_open(&credit, &a);
    assert_true(credit_take(&credit, &a, 20 * KIB));
    assert_false(credit_take(&credit, &a, 16 * KIB));
    credit_give(&credit, 20 * KIB);
    credit_give_claim(&credit, &a, 20 * KIB);
    assert_ptr_equal(credit_next(&credit), &a);
    assert_true(credit_take(&credit, &a, 16 * KIB));
}

static void
closed_claims_leave_the_line(void **state)
{
    struct credit credit;
    struct credit_claim a, b;

    (void)state;
    credit_init(&credit, MIB, MIB);
    credit_open(&credit, &a);
    credit_open(&credit, &b);
    assert_true(credit_take(&credit, &a, MIB));
    assert_false(credit_take(&credit, &b, 1));
    credit_close(&credit, &b);
    credit_close(&credit, &b);
    credit_give(&credit, MIB);
    assert_null(credit_next(&credit));
}

static void
too_much_given_does_not_wrap(void **state)
{
    struct credit credit;
    struct credit_claim a;

    (void)state;
    credit_init(&credit, MIB, MIB);
    credit_open(&credit, &a);
    credit_give(&credit, UINT64_MAX);
    credit_give_claim(&credit, &a, UINT64_MAX);
    assert_true(credit_take(&credit, &a, 2 * MIB));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_either_window),
        cmocka_unit_test(untaken_bytes_return_to_the_fetcher),
        cmocka_unit_test(waiters_take_turns),
        cmocka_unit_test(own_window_wakes_once_worth_it),
        cmocka_unit_test(small_windows_do_not_lock),
        cmocka_unit_test(closed_claims_leave_the_line),
        cmocka_unit_test(too_much_given_does_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
