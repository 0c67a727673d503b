#include "resolver_scene.h"

static void
many_wait_for_one_question(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[50];

    for (size_t i = 0; i < 50; i++)
        want(scene, &waiters[i], "a.test");
    turn(scene);
    assert_int_equal(scene->asked_len, 1);
    assert_int_equal(metrics_get(&scene->stats.waiting), 1);
    answer(scene, DNS_FOUND, 300);
    assert_int_equal(waiters[0].told, 0); // the turn tells
    turn(scene);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(waiters[i].told, 1);
        assert_int_equal(waiters[i].verdict, RESOLVER_FOUND);
        assert_int_equal(waiters[i].addresses, 2);
        assert_int_equal(waiters[i].last_byte, 7);
    }
}

static void
answers_are_kept_for_their_time(void **state)
{
    static const struct {
        uint32_t ttl_s;
        uint64_t kept_ms;
    } rows[] = {{0, 1000}, {60, 60000}, {UINT32_MAX, 3600000}};
    struct scene *scene = *state;
    struct waiter waiter;

    for (size_t i = 0; i < 3; i++) {
        char name[16];
        size_t asked;

        (void)snprintf(name, sizeof(name), "%zu.test", i);
        want(scene, &waiter, name);
        turn(scene);
        answer(scene, DNS_FOUND, rows[i].ttl_s);
        turn(scene);
        asked = scene->asked_len;
        later(scene, rows[i].kept_ms - 1);
        want(scene, &waiter, name);
        turn(scene);
        assert_int_equal(waiter.told, 1);
        assert_int_equal(scene->asked_len, asked);
        later(scene, 1);
        want(scene, &waiter, name);
        turn(scene);
        assert_int_equal(waiter.told, 0);
        assert_int_equal(scene->asked_len, asked + 1);
        answer_turn(scene, DNS_FOUND);
    }
    assert_int_equal(metrics_get(&scene->stats.hits), 3);
}

static void
what_does_not_exist_is_kept_for_a_minute(void **state)
{
    struct scene *scene = *state;
    struct waiter waiter;

    want(scene, &waiter, "none.test");
    turn(scene);
    answer_turn(scene, DNS_ABSENT);
    assert_int_equal(waiter.verdict, RESOLVER_ABSENT);
    assert_string_equal(waiter.why, "because");
    later(scene, 59000);
    want(scene, &waiter, "none.test");
    turn(scene);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(scene->asked_len, 1);
    later(scene, 2000);
    want(scene, &waiter, "none.test");
    turn(scene);
    assert_int_equal(scene->asked_len, 2);
    answer_turn(scene, DNS_ABSENT);
}

static void
questions_under_way_are_bounded(void **state)
{
    struct scene *scene = *state;
    static struct waiter waiters[600];
    char name[16];

    for (size_t i = 0; i < 600; i++) {
        (void)snprintf(name, sizeof(name), "%zu.test", i);
        want(scene, &waiters[i], name);
    }
    turn(scene);
    assert_int_equal(scene->asked_len, 256);
    assert_false(resolver_is_due(scene->resolver));
    answer(scene, DNS_FOUND, 300);
    answer(scene, DNS_ABSENT, 0);
    assert_true(resolver_is_due(scene->resolver));
    turn(scene);
    assert_int_equal(scene->asked_len, 258);
    while (next_asked(scene))
        answer_turn(scene, DNS_FOUND);
    for (size_t i = 0; i < 600; i++)
        assert_int_equal(waiters[i].told, 1);
    assert_false(resolver_is_busy(scene->resolver));
}

// Others are told meanwhile: its third failure is final.
static void
a_broken_name_fails_alone(void **state)
{
    struct scene *scene = *state;
    struct waiter bad, good;
    char name[16];

    want(scene, &bad, "broken.test");
    turn(scene);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "good%d.test", i);
        want(scene, &good, name);
        turn(scene);
        // In which order they were asked does not matter.
        if (strcmp(next_asked(scene), "broken.test") == 0) {
            void *token = scene->asked[scene->answered].token;

            scene->asked[scene->answered].token =
                scene->asked[scene->answered + 1].token;
            scene->asked[scene->answered + 1].token = token;
        }
        answer(scene, DNS_FOUND, 300);
        answer(scene, DNS_UNTOLD, 0);
        turn(scene);
        assert_int_equal(good.told, 1);
        assert_int_equal(bad.told, i == 2);
        later(scene, 5000);
    }
    assert_int_equal(bad.verdict, RESOLVER_FAILED);
    assert_string_equal(bad.why, "because");
    assert_int_equal(scene->probes, 0);
    assert_int_equal(metrics_get(&scene->stats.outages), 0);
    assert_int_equal(metrics_get(&scene->stats.failed), 1);
}

// Nothing else is asked for: the root's servers tell whose trouble it is.
static void
a_broken_name_alone_is_doubted(void **state)
{
    struct scene *scene = *state;
    struct waiter bad;

    want(scene, &bad, "broken.test");
    turn(scene);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(next_asked(scene), "broken.test");
        answer_turn(scene, DNS_UNTOLD);
        assert_string_equal(next_asked(scene), ""); // the probe
        assert_int_equal(bad.told, 0);
        answer_turn(scene, DNS_FOUND);
        assert_int_equal(bad.told, i == 2);
        later(scene, 5000);
    }
    assert_int_equal(bad.verdict, RESOLVER_FAILED);
    assert_int_equal(metrics_get(&scene->stats.outages), 0);
}

// A doubt holds new questions back until it is over.
static void
a_doubt_holds_questions_back(void **state)
{
    struct scene *scene = *state;
    struct waiter bad, other;

    want(scene, &bad, "broken.test");
    turn(scene);
    answer_turn(scene, DNS_UNTOLD);
    want(scene, &other, "other.test");
    later(scene, 100);
    assert_int_equal(scene->asked_len, 2); // broken.test and the probe
    answer_turn(scene, DNS_ABSENT);        // tells as well as any
    turn(scene);
    assert_string_equal(next_asked(scene), "other.test");
    answer_turn(scene, DNS_FOUND);
    assert_int_equal(other.told, 1);
    resolver_cancel(scene->resolver, &bad.wait);
}

static void
begin_outage(struct scene *scene, struct waiter *waiters, size_t len)
{
    char name[32];

    for (size_t i = 0; i < len; i++) {
        (void)snprintf(name, sizeof(name), "%zu.test", i);
        want(scene, &waiters[i], name);
    }
    turn(scene);
    for (size_t i = 0; i < len; i++)
        answer(scene, DNS_UNTOLD, 0);
    turn(scene); // asks for the root's servers
    answer_turn(scene, DNS_UNTOLD);
    assert_int_equal(metrics_get(&scene->stats.is_out), 1);
    assert_int_equal(metrics_get(&scene->stats.outages), 1);
}

static void
an_outage_fails_nobody(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[20];

    begin_outage(scene, waiters, 20);
    for (int s = 0; s < 50; s++) {
        size_t asked = scene->asked_len;

        later(scene, 1000);
        assert_true(scene->asked_len <= asked + 2); // one name, and the probe
        while (next_asked(scene))
            answer_turn(scene, DNS_UNTOLD);
    }
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(waiters[i].told, 0);
    // One is told: all are asked again.
    later(scene, 1000);
    while (strcmp(next_asked(scene), "") == 0)
        answer_turn(scene, DNS_UNTOLD);
    answer_turn(scene, DNS_FOUND);
    assert_int_equal(metrics_get(&scene->stats.is_out), 0);
    while (next_asked(scene))
        answer_turn(scene, DNS_FOUND);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(waiters[i].told, 1);
        assert_int_equal(waiters[i].verdict, RESOLVER_FOUND);
    }
    assert_int_equal(metrics_get(&scene->stats.outages), 1);
    assert_int_equal(metrics_get(&scene->stats.failed), 0);
}

static void
every_name_is_tried_during_an_outage(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[5];
    size_t seen[5] = {0};

    begin_outage(scene, waiters, 5);
    for (int s = 0; s < 10; s++) {
        later(scene, 1000);
        while (next_asked(scene)) {
            if (*next_asked(scene))
                seen[next_asked(scene)[0] - '0']++;
            answer_turn(scene, DNS_UNTOLD);
        }
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(seen[i], 2);
        resolver_cancel(scene->resolver, &waiters[i].wait);
    }
}

// Nobody waits any more, and the root's servers are never told: a few names go
// on being tried, for they may be.
static void
an_outage_keeps_trying(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[20];
    size_t asked = 0;

    begin_outage(scene, waiters, 20);
    assert_true(resolver_is_out(scene->resolver));
    for (size_t i = 0; i < 20; i++)
        resolver_cancel(scene->resolver, &waiters[i].wait);
    for (int s = 0; s < 100; s++) { // beyond outage_ms_max
        const char *name;

        later(scene, 1000);
        while ((name = next_asked(scene))) {
            asked += *name != '\0';
            answer_turn(scene, DNS_UNTOLD);
        }
    }
    assert_in_range(asked, 99, 100);
    assert_true(resolver_is_busy(scene->resolver));
    later(scene, 1000);
    while (next_asked(scene)) // the name is told, then the root's servers not
        answer_turn(scene, *next_asked(scene) ? DNS_FOUND : DNS_UNTOLD);
    assert_false(resolver_is_out(scene->resolver));
}

static void
an_outage_has_an_end(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[3], late;

    begin_outage(scene, waiters, 3);
    for (int s = 0; s < 59; s++) {
        later(scene, 1000);
        while (next_asked(scene))
            answer_turn(scene, DNS_UNTOLD);
    }
    assert_int_equal(waiters[0].told, 0);
    later(scene, 2000);
    turn(scene);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(waiters[i].told, 1);
        assert_int_equal(waiters[i].verdict, RESOLVER_FAILED);
    }
    // Later ones are told as soon.
    want(scene, &late, "late.test");
    later(scene, 1000);
    assert_int_equal(late.told, 1);
}

static void
local_answers_prove_nothing(void **state)
{
    struct scene *scene = *state;
    struct waiter waiters[3], local;
    struct dns_address address = {AF_INET, {127, 0, 0, 1}};
    const struct dns_answer given = {.status = DNS_FOUND,
                                     .addresses = &address,
                                     .len = 1,
                                     .ttl_s = 0,
                                     .is_local = true};

    begin_outage(scene, waiters, 3);
    want(scene, &local, "local.test");
    for (int s = 0; s < 10 && !local.told; s++) {
        later(scene, 1000);
        while (next_asked(scene)) {
            if (strcmp(next_asked(scene), "local.test") == 0) {
                resolver_on_answer(scene->resolver,
                                   scene->asked[scene->answered++].token,
                                   &given, scene->now_ms);
                turn(scene);
            } else {
                answer_turn(scene, DNS_UNTOLD);
            }
        }
    }
    assert_int_equal(local.verdict, RESOLVER_FOUND);
    assert_int_equal(metrics_get(&scene->stats.is_out), 1);
    for (size_t i = 0; i < 3; i++)
        resolver_cancel(scene->resolver, &waiters[i].wait);
}

static void
who_cancels_is_not_told(void **state)
{
    struct scene *scene = *state;
    struct waiter first, second, third;

    want(scene, &first, "a.test");
    want(scene, &second, "a.test");
    want(scene, &third, "a.test");
    resolver_cancel(scene->resolver, &second.wait);
    resolver_cancel(scene->resolver, &second.wait); // once more is fine
    turn(scene);
    answer(scene, DNS_FOUND, 300);
    first.cancels = &third;
    turn(scene);
    assert_int_equal(first.told, 1);
    assert_int_equal(second.told, 0);
    assert_int_equal(third.told, 0);
    // One that nobody waits for is not even asked.
    want(scene, &first, "b.test");
    resolver_cancel(scene->resolver, &first.wait);
    turn(scene);
    assert_int_equal(scene->asked_len, 1);
    // But an answer under way is of use to the next.
    want(scene, &first, "c.test");
    turn(scene);
    resolver_cancel(scene->resolver, &first.wait);
    answer_turn(scene, DNS_FOUND);
    want(scene, &second, "c.test");
    turn(scene);
    assert_int_equal(second.told, 1);
    assert_int_equal(scene->asked_len, 2);
}

static void
what_is_kept_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct waiter waiter;
    char name[16];

    for (size_t i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof(name), "%zu.test", i);
        want(scene, &waiter, name);
        turn(scene);
        answer_turn(scene, DNS_FOUND);
        assert_int_equal(waiter.told, 1);
        scene->asked_len = scene->answered = 0;
    }
    want(scene, &waiter, "19999.test"); // the last are there
    turn(scene);
    assert_int_equal(waiter.told, 1);
    want(scene, &waiter, "0.test"); // the first are not
    turn(scene);
    assert_int_equal(waiter.told, 0);
    answer_turn(scene, DNS_FOUND);
}

static void
lack_of_memory_is_told(void **state)
{
    struct scene *scene = *state;
    struct waiter waiter;

    scene->is_broken = true;
    want(scene, &waiter, "a.test");
    turn(scene);
    assert_int_equal(waiter.told, 1);
    assert_int_equal(waiter.verdict, RESOLVER_BROKEN);
    scene->is_broken = false;
    want(scene, &waiter, "a.test"); // is not kept
    turn(scene);
    answer_turn(scene, DNS_FOUND);
    assert_int_equal(waiter.verdict, RESOLVER_FOUND);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(many_wait_for_one_question),
        SCENE(answers_are_kept_for_their_time),
        SCENE(what_does_not_exist_is_kept_for_a_minute),
        SCENE(questions_under_way_are_bounded),
        SCENE(a_broken_name_fails_alone),
        SCENE(a_broken_name_alone_is_doubted),
        SCENE(a_doubt_holds_questions_back),
        SCENE(an_outage_fails_nobody),
        SCENE(every_name_is_tried_during_an_outage),
        SCENE(an_outage_keeps_trying),
        SCENE(an_outage_has_an_end),
        SCENE(local_answers_prove_nothing),
        SCENE(who_cancels_is_not_told),
        SCENE(what_is_kept_is_bounded),
        SCENE(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
