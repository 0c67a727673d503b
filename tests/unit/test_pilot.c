// Who goes ahead to an origin, and who waits for it.
#include "fetcher/pilot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> // needs those above

// Those that were let go, in that order, and what they were told.
static struct pilot_member *gone[8];
static bool was_shared[8];
static size_t gone_len;

static void
go(struct pilot_member *member, bool is_shared)
{
    assert_int_equal(member->state, PILOT_OUT);
    was_shared[gone_len] = is_shared;
    gone[gone_len++] = member;
}

static struct pilots
fresh(void)
{
    gone_len = 0;
    return (struct pilots){.go = go};
}

static void
others_wait_for_the_first(void **state)
{
    struct pilots pilots = fresh();
    struct pilot_member a = {0}, b = {0}, c = {0};

    (void)state;
    assert_false(pilot_join(&pilots, &a, 1, &pilots));
    assert_true(pilot_join(&pilots, &b, 1, &pilots));
    assert_true(pilot_join(&pilots, &c, 1, &pilots));
    assert_ptr_equal(pilot_of(&c), &a);
    assert_ptr_equal(pilot_of(&a), &a);
    pilot_arrive(&pilots, &b, true); // it is none
    assert_int_equal(gone_len, 0);
    pilot_arrive(&pilots, &a, true);
    assert_int_equal(gone_len, 2);
    assert_ptr_equal(gone[0], &b);
    assert_ptr_equal(gone[1], &c);
    assert_true(was_shared[0] && was_shared[1]);
    pilot_leave(&pilots, &a); // a request that has arrived ends later
    assert_int_equal(gone_len, 2);
    pilots_fini(&pilots);
}

// They need not fail one after another: each tries now.
static void
all_go_when_it_fails(void **state)
{
    struct pilots pilots = fresh();
    struct pilot_member a = {0}, b = {0}, c = {0}, d = {0};

    (void)state;
    (void)pilot_join(&pilots, &a, 1, &pilots);
    (void)pilot_join(&pilots, &b, 1, &pilots);
    (void)pilot_join(&pilots, &c, 1, &pilots);
    pilot_leave(&pilots, &a);
    assert_int_equal(gone_len, 2);
    assert_false(was_shared[0] || was_shared[1]);
    assert_false(pilot_join(&pilots, &d, 1, &pilots)); // the next one
    assert_false(pilot_join(&pilots, &a, 2, &pilots));
    pilot_leave(&pilots, &a);
    pilot_leave(&pilots, &d);
    pilots_fini(&pilots);
}

static void
who_waits_can_leave(void **state)
{
    struct pilots pilots = fresh();
    struct pilot_member a = {0}, b = {0}, c = {0};

    (void)state;
    (void)pilot_join(&pilots, &a, 1, &pilots);
    (void)pilot_join(&pilots, &b, 1, &pilots);
    (void)pilot_join(&pilots, &c, 1, &pilots);
    pilot_leave(&pilots, &b);
    assert_int_equal(b.state, PILOT_OUT);
    pilot_leave(&pilots, &b); // and again
    pilot_arrive(&pilots, &a, false);
    assert_int_equal(gone_len, 1);
    assert_ptr_equal(gone[0], &c);
    pilots_fini(&pilots);
}

// Neither for other origins nor for those who have connections of their own.
static void
nobody_waits_for_strangers(void **state)
{
    struct pilots pilots = fresh();
    struct pilot_member a = {0}, b = {0}, c = {0};

    (void)state;
    assert_false(pilot_join(&pilots, &a, 1, &pilots));
    assert_false(pilot_join(&pilots, &b, 2, &pilots));
    assert_false(pilot_join(&pilots, &c, 1, &gone));
    pilot_arrive(&pilots, &a, true);
    pilot_leave(&pilots, &b);
    pilot_leave(&pilots, &c);
    assert_int_equal(gone_len, 0);
    pilots_fini(&pilots);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_wait_for_the_first),
        cmocka_unit_test(all_go_when_it_fails),
        cmocka_unit_test(who_waits_can_leave),
        cmocka_unit_test(nobody_waits_for_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
