// test_rate.c - the bucket of --limit-rate
#include "fetcher/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> // needs those above

static void
test_no_limit(void **state)
{
    struct rate_claim claim = {0};
    struct rate rate;

    (void)state;
    rate_init(&rate, 0, 5);
    for (int i = 0; i < 100; i++)
        assert_true(rate_take(&rate, &claim, UINT64_C(1) << 40, 5));
    assert_true(rate_due_ms(&rate) == UINT64_MAX);
}

static void
test_debt_is_made_up_for(void **state)
{
    struct rate_claim one = {0}, two = {0};
    struct rate rate;

    (void)state;
    rate_init(&rate, 1000, 0); // 250 in the bucket
    assert_true(rate_take(&rate, &one, 1250, 0));
    assert_false(rate_take(&rate, &one, 100, 0));
    assert_false(rate_take(&rate, &two, 100, 0));
    assert_false(rate_take(&rate, &one, 100, 500)); // in line once
    assert_null(rate_next(&rate, 1000));            // the bucket is empty
    assert_int_equal(rate_due_ms(&rate), 1001);
    assert_ptr_equal(rate_next(&rate, 1001), &one);
    assert_true(rate_take(&rate, &one, 100, 1001));
    assert_null(rate_next(&rate, 1001));
    assert_ptr_equal(rate_next(&rate, 1200), &two);
    assert_false(two.waits);
    assert_true(rate_due_ms(&rate) == UINT64_MAX);
}

static void
test_paid_bytes_come_again(void **state)
{
    struct rate_claim claim = {0};
    struct rate rate;

    (void)state;
    rate_init(&rate, 1000, 0);
    assert_true(rate_take(&rate, &claim, 1000, 0));
    rate_keep(&claim, 1000);
    // Whatever the bucket holds.
    assert_true(rate_take(&rate, &claim, 1000, 0));
    assert_false(rate_take(&rate, &claim, 1, 0));
    rate_close(&rate, &claim);
    rate_keep(&claim, 600);
    assert_false(rate_take(&rate, &claim, 700, 0)); // 100 more than was paid
    assert_ptr_equal(rate_next(&rate, 800), &claim);
    assert_true(rate_take(&rate, &claim, 700, 800));
    rate_close(&rate, &claim);
    assert_null(rate.line);
}

static void
test_close_leaves_the_line(void **state)
{
    struct rate_claim one = {0}, two = {0};
    struct rate rate;

    (void)state;
    rate_init(&rate, 8, 0);
    assert_true(rate_take(&rate, &one, 3, 0));
    assert_false(rate_take(&rate, &one, 1, 0));
    assert_false(rate_take(&rate, &two, 1, 0));
    rate_close(&rate, &one);
    rate_close(&rate, &one);
    assert_ptr_equal(rate_next(&rate, 10000), &two);
    assert_null(rate_next(&rate, 10000));
}

// Over any time no more than the rate, the bucket and one delivery; and not
// much less.
static void
test_average(void **state)
{
    static const uint64_t rates[] = {1, 3, 999, 50000, UINT64_C(1) << 30};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        uint64_t taken = 0, part = rates[i] / 7 + 1, now_ms = 0;
        struct rate_claim claim = {0};
        struct rate rate;

        rate_init(&rate, rates[i], 0);
        for (; now_ms < 100000; now_ms += 7) {
            (void)rate_next(&rate, now_ms);
            while (rate_take(&rate, &claim, part, now_ms))
                taken += part;
        }
        assert_true(taken <= rates[i] * 100 + rates[i] / 4 + part + 1);
        assert_true(taken * 10 >= rates[i] * 97 * 10 / 1 - part * 10 - 100);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_debt_is_made_up_for),
        cmocka_unit_test(test_paid_bytes_come_again),
        cmocka_unit_test(test_close_leaves_the_line),
        cmocka_unit_test(test_average),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
