#include "fetcher/convoy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Members that cannot be paused just now, and how many were.
static const struct convoy_member *unready;
static int holds;

static bool
hold(struct convoy_member *member)
{
    if (member == unready)
        return false;
    holds++;
    return true;
}

static struct convoys
fresh(void)
{
    unready = NULL;
    holds = 0;
    return (struct convoys){.hold = hold};
}

static void
join(struct convoys *convoys, struct convoy_member *member, int port)
{
    assert_int_equal(convoy_join(convoys, member, (uint64_t)port), 0);
}

static void
who_waits_holds_the_others_of_its_origin(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0}, c = {0}, stranger = {0};

    (void)state;
    join(&convoys, &a, 443);
    join(&convoys, &b, 443);
    join(&convoys, &c, 443);
    join(&convoys, &stranger, 444);
    convoy_wait(&convoys, &a);
    assert_int_equal(a.state, CONVOY_WAITS);
    assert_int_equal(b.state, CONVOY_HELD);
    assert_int_equal(c.state, CONVOY_HELD);
    assert_int_equal(stranger.state, CONVOY_RUNS);
    assert_int_equal(holds, 2);
    assert_null(convoys_next(&convoys)); // a still waits

    convoy_go_on(&convoys, &a);
    assert_ptr_equal(convoys_next(&convoys), &b);
    convoy_go_on(&convoys, &b);
    convoy_wait(&convoys, &b); // what it held was more than the credit
    assert_int_equal(a.state, CONVOY_HELD);
    assert_null(convoys_next(&convoys));
    convoy_go_on(&convoys, &b);
    while (convoys_next(&convoys))
        convoy_go_on(&convoys, convoys_next(&convoys));
    assert_int_equal(a.state, CONVOY_RUNS);
    assert_int_equal(c.state, CONVOY_RUNS);
    convoy_leave(&convoys, &a);
    convoy_leave(&convoys, &b);
    convoy_leave(&convoys, &c);
    convoy_leave(&convoys, &stranger);
    convoys_fini(&convoys);
}

static void
who_ends_while_it_waits_lets_the_others_go(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0}, c = {0};

    (void)state;
    join(&convoys, &a, 443);
    join(&convoys, &b, 443);
    join(&convoys, &c, 443);
    convoy_wait(&convoys, &a);
    convoy_leave(&convoys, &b); // one that is held may end too
    assert_null(convoys_next(&convoys));
    convoy_leave(&convoys, &a);
    assert_ptr_equal(convoys_next(&convoys), &c);
    convoy_leave(&convoys, &c);
    assert_null(convoys_next(&convoys));
    convoys_fini(&convoys);
}

static void
two_wait_and_both_must_go_on(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0}, c = {0};

    (void)state;
    join(&convoys, &a, 443);
    join(&convoys, &b, 443);
    unready = &b; // it has run out as well, and libcurl calls it once more
    join(&convoys, &c, 443);
    convoy_wait(&convoys, &a);
    convoy_wait(&convoys, &b);
    convoy_wait(&convoys, &b);
    convoy_go_on(&convoys, &a);
    assert_null(convoys_next(&convoys));
    convoy_go_on(&convoys, &b);
    assert_ptr_equal(convoys_next(&convoys), &c);
    convoy_leave(&convoys, &a);
    convoy_leave(&convoys, &b);
    convoy_leave(&convoys, &c);
    convoys_fini(&convoys);
}

static void
who_was_never_alone_knows_it(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0}, c = {0};

    (void)state;
    join(&convoys, &a, 443);
    join(&convoys, &c, 444);
    assert_false(convoy_is_shared(&a));
    join(&convoys, &b, 443);
    assert_true(convoy_is_shared(&a));
    assert_true(convoy_is_shared(&b));
    convoy_leave(&convoys, &b);
    assert_true(convoy_is_shared(&a)); // it was
    assert_false(convoy_is_shared(&c));
    join(&convoys, &c, 443);
    convoy_leave(&convoys, &a);
    assert_true(convoy_is_shared(&c));
    join(&convoys, &c, 443);
    assert_false(convoy_is_shared(&c));
    convoy_leave(&convoys, &c);
    convoys_fini(&convoys);
}

// HTTP/1.1 has a connection a request.
static void
who_is_alone_neither_holds_nor_is_held(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0};

    (void)state;
    join(&convoys, &a, 443);
    join(&convoys, &b, 443);
    a.is_alone = true;
    convoy_wait(&convoys, &a);
    assert_int_equal(b.state, CONVOY_RUNS);
    convoy_wait(&convoys, &b);
    assert_int_equal(a.state, CONVOY_RUNS);
    convoy_leave(&convoys, &a);
    convoy_leave(&convoys, &b);
    convoys_fini(&convoys);
}

static void
who_comes_late_is_held_at_the_end_of_the_turn(void **state)
{
    struct convoys convoys = fresh();
    struct convoy_member a = {0}, b = {0};

    (void)state;
    join(&convoys, &a, 443);
    convoy_wait(&convoys, &a);
    join(&convoys, &b, 443);
    assert_int_equal(b.state, CONVOY_RUNS); // its request is to be sent first
    convoys_turn(&convoys);
    assert_int_equal(b.state, CONVOY_HELD);
    join(&convoys, &b, 444); // libcurl sends it again elsewhere
    convoys_turn(&convoys);
    assert_int_equal(b.state, CONVOY_RUNS);
    convoy_leave(&convoys, &a);
    convoy_leave(&convoys, &b);
    convoy_leave(&convoys, &b);
    convoys_fini(&convoys);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_holds_the_others_of_its_origin),
        cmocka_unit_test(who_was_never_alone_knows_it),
        cmocka_unit_test(who_ends_while_it_waits_lets_the_others_go),
        cmocka_unit_test(two_wait_and_both_must_go_on),
        cmocka_unit_test(who_is_alone_neither_holds_nor_is_held),
        cmocka_unit_test(who_comes_late_is_held_at_the_end_of_the_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
