// How an origin wants to be treated, rule by rule; time is an argument.
#include "broker/politeness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NONE UINT64_MAX
#define START (1000 * HOUR)
#define GIVE_UP (2 * MINUTE)

static unsigned seed = 7;

// An answer to a request of this very moment.
static enum politeness_change
answer(struct politeness *politeness, int status, uint64_t retry_after_s,
       uint64_t begun_ms, uint64_t now_ms)
{
    const struct politeness_news news = {.begun_ms = begun_ms,
                                         .http_status = status,
                                         .retry_after_s = retry_after_s,
                                         .outcome =
                                             status < 300 ? FAIL_OK : FAIL_HTTP,
                                         .is_connected = true};

    return politeness_note(politeness, &news, now_ms, &seed);
}

static enum politeness_change
fail_with(struct politeness *politeness, enum fail outcome, bool is_connected,
          uint64_t begun_ms, uint64_t now_ms)
{
    const struct politeness_news news = {.begun_ms = begun_ms,
                                         .retry_after_s = NONE,
                                         .outcome = outcome,
                                         .is_connected = is_connected};

    return politeness_note(politeness, &news, now_ms, &seed);
}

static enum politeness_state
state_at(const struct politeness *politeness, uint64_t now_ms)
{
    uint64_t until_ms;
    enum politeness_state at =
        politeness_state(politeness, 0, GIVE_UP, now_ms, &until_ms);

    // What changes by itself changes later, and to something else.
    assert_true(until_ms > now_ms);
    return at;
}

// --- Closed ---

static void
test_retry_after_closes(void **state)
{
    struct politeness it = {0};

    (void)state;
    assert_int_equal(state_at(&it, START), POLITENESS_OPEN);
    assert_int_equal(answer(&it, 429, 30, START, START), POLITENESS_SHUT);
    assert_true(it.is_told);
    assert_int_equal(state_at(&it, START + 30 * SECOND - 1), POLITENESS_CLOSED);
    // To the millisecond: a deadline of the server has no jitter. One goes
    // first.
    assert_int_equal(state_at(&it, START + 30 * SECOND), POLITENESS_PROBE);
    assert_true(politeness_begin(&it));
    assert_int_equal(state_at(&it, START + 31 * SECOND), POLITENESS_WAIT);
    assert_int_equal(
        answer(&it, 200, NONE, START + 30 * SECOND, START + 31 * SECOND),
        POLITENESS_BACK);
    politeness_end_probe(&it);
    assert_int_equal(state_at(&it, START + 31 * SECOND), POLITENESS_OPEN);
    assert_false(politeness_begin(&it));
}

static void
test_retry_after_ends(void **state)
{
    struct politeness it = {0};

    (void)state;
    (void)answer(&it, 503, 7 * 86400, START, START);
    assert_int_equal(it.closed_until_ms, START + DAY); // its cap
    it = (struct politeness){0};
    (void)answer(&it, 503, NONE - 1, START, START);
    assert_int_equal(it.closed_until_ms, START + DAY);
    it = (struct politeness){0};
    (void)answer(&it, 503, 0, START, START);
    assert_int_equal(it.closed_until_ms, START + SECOND);
    // Answers of the same wave: the latest time told holds.
    (void)answer(&it, 503, 60, START, START + 10);
    assert_int_equal(it.closed_until_ms, START + 10 + MINUTE);
    assert_int_equal(answer(&it, 503, 5, START, START + 20),
                     POLITENESS_NOTHING);
    assert_int_equal(it.closed_until_ms, START + 10 + MINUTE);
    // Told incidents do not count up.
    assert_int_equal(it.incidents, 0);
}

static void
check_incident(struct politeness *it, uint64_t at_ms, uint64_t pause_ms)
{
    assert_int_equal(answer(it, 429, NONE, at_ms, at_ms), POLITENESS_SHUT);
    assert_in_range(it->closed_until_ms, at_ms + pause_ms,
                    at_ms + pause_ms + pause_ms / 10);
}

static void
test_incidents_double(void **state)
{
    struct politeness it = {0};
    uint64_t pause_ms = MINUTE, at_ms = START;

    (void)state;
    for (int i = 0; i < 20; i++) {
        check_incident(&it, at_ms, pause_ms);
        at_ms = it.closed_until_ms + MINUTE;
        pause_ms = pause_ms * 2 < DAY ? pause_ms * 2 : DAY;
    }
    assert_int_equal(pause_ms, DAY);
    // Quiet for 30 minutes after it opened: forgiven.
    at_ms = it.closed_until_ms + 30 * MINUTE - 1;
    check_incident(&it, at_ms, DAY);
    at_ms = it.closed_until_ms + 30 * MINUTE;
    check_incident(&it, at_ms, MINUTE);
}

// Eight transfers were under way: that is one incident.
static void
test_one_wave_is_one_incident(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms;

    (void)state;
    check_incident(&it, START, MINUTE);
    until_ms = it.closed_until_ms;
    for (uint64_t i = 0; i < 7; i++)
        assert_int_equal(answer(&it, 429, NONE, START - i, START + i),
                         POLITENESS_NOTHING);
    // Even one that ends long after it opened again.
    assert_int_equal(answer(&it, 503, NONE, START, until_ms + HOUR),
                     POLITENESS_NOTHING);
    assert_int_equal(it.closed_until_ms, until_ms);
    assert_int_equal(it.incidents, 1);
}

static void
test_jitter_differs(void **state)
{
    uint64_t first = 0;
    int differ = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct politeness it = {0};

        check_incident(&it, START, MINUTE);
        if (!first)
            first = it.closed_until_ms;
        differ += it.closed_until_ms != first;
    }
    assert_true(differ > 10);
}

static void
test_what_closes_nothing(void **state)
{
    static const int statuses[] = {200, 204, 301, 400, 401, 403, 404, 408,
                                   410, 418, 500, 501, 502, 504, 599};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
        struct politeness it = {.is_reached = true};

        assert_int_equal(answer(&it, statuses[i], 30, START, START),
                         POLITENESS_NOTHING);
        assert_int_equal(state_at(&it, START), POLITENESS_OPEN);
        assert_int_equal(politeness_forget_ms(&it), 0);
    }
}

// What was asked before it closed says nothing of how it is now.
static void
test_old_success_opens_nothing(void **state)
{
    struct politeness it = {0};

    (void)state;
    (void)answer(&it, 429, 30, START, START);
    assert_int_equal(answer(&it, 200, NONE, START - 5, START + SECOND),
                     POLITENESS_NOTHING);
    assert_int_equal(state_at(&it, START + SECOND), POLITENESS_CLOSED);
    assert_int_equal(state_at(&it, START + 30 * SECOND), POLITENESS_PROBE);
}

// --- Parked ---

static uint64_t
park(struct politeness *it, uint64_t at_ms)
{
    for (int i = 0; i < POLITENESS_FAILURES_MAX - 1; i++)
        assert_int_equal(fail_with(it, FAIL_CONNECT, false, at_ms, at_ms),
                         POLITENESS_NOTHING);
    assert_int_equal(state_at(it, at_ms), POLITENESS_OPEN);
    assert_int_equal(fail_with(it, FAIL_DNS, false, at_ms, at_ms),
                     POLITENESS_PARK);
    assert_int_equal(state_at(it, at_ms), POLITENESS_PARKED);
    return it->parked_until_ms;
}

static void
test_five_failures_park(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms = park(&it, START), pause_ms = 5 * SECOND, now_ms = START;

    (void)state;
    while (now_ms < START + GIVE_UP) {
        assert_in_range(it.parked_until_ms, now_ms + pause_ms,
                        now_ms + pause_ms + pause_ms / 10);
        until_ms = it.parked_until_ms;
        if (until_ms >= START + GIVE_UP)
            break;
        // One at a time.
        assert_int_equal(state_at(&it, until_ms), POLITENESS_PROBE);
        assert_true(politeness_begin(&it));
        assert_int_equal(state_at(&it, until_ms), POLITENESS_WAIT);
        now_ms = until_ms + 10;
        assert_int_equal(fail_with(&it, FAIL_TIMEOUT, false, until_ms, now_ms),
                         POLITENESS_PARK);
        politeness_end_probe(&it);
        pause_ms *= 2;
    }
    // In the middle of a pause it is given up; then tried once more.
    assert_int_equal(state_at(&it, START + GIVE_UP - 1), POLITENESS_PARKED);
    assert_int_equal(state_at(&it, START + GIVE_UP), POLITENESS_GIVEN_UP);
    assert_int_equal(state_at(&it, until_ms), POLITENESS_PROBE);
    (void)politeness_begin(&it);
    (void)fail_with(&it, FAIL_TLS, true, until_ms, until_ms + 5);
    politeness_end_probe(&it);
    assert_int_equal(state_at(&it, until_ms + 5), POLITENESS_GIVEN_UP);
}

// --- Reached ---

static enum politeness_change
stay_silent(struct politeness *it, uint64_t begun_ms, uint64_t now_ms)
{
    const struct politeness_news news = {.begun_ms = begun_ms,
                                         .retry_after_s = NONE,
                                         .outcome = FAIL_TIMEOUT,
                                         .is_silent = true};

    return politeness_note(it, &news, now_ms, &seed);
}

// How it is with so many transfers.
static enum politeness_state
state_with(const struct politeness *it, uint64_t running)
{
    uint64_t until_ms;

    return politeness_state(it, running, GIVE_UP, START, &until_ms);
}

static void
test_a_few_try_it(void **state)
{
    struct politeness it = {0};

    (void)state;
    assert_int_equal(state_with(&it, 0), POLITENESS_OPEN);
    assert_int_equal(state_with(&it, 1), POLITENESS_OPEN);
    assert_int_equal(state_with(&it, 2), POLITENESS_TRIED);
    // Whoever is refused has not found it there either.
    (void)fail_with(&it, FAIL_CONNECT, false, START, START);
    assert_int_equal(state_with(&it, 2), POLITENESS_TRIED);
    assert_int_equal(politeness_reach(&it), POLITENESS_REACHED);
    assert_int_equal(politeness_reach(&it), POLITENESS_NOTHING);
    assert_int_equal(state_with(&it, 1000), POLITENESS_OPEN);
    // An answer says as much.
    it = (struct politeness){0};
    assert_int_equal(answer(&it, 404, NONE, START, START), POLITENESS_REACHED);
    assert_int_equal(answer(&it, 404, NONE, START, START), POLITENESS_NOTHING);
    assert_int_equal(state_with(&it, 2), POLITENESS_OPEN);
    // It was there, and somebody waits in vain: a few try again.
    assert_int_equal(fail_with(&it, FAIL_TIMEOUT, true, START, START),
                     POLITENESS_NOTHING);
    assert_int_equal(state_with(&it, 2), POLITENESS_TRIED);
    assert_int_equal(answer(&it, 200, NONE, START, START), POLITENESS_REACHED);
    // One that refuses or has a bad certificate is there: all may try.
    (void)fail_with(&it, FAIL_CONNECT, false, START, START);
    assert_int_equal(state_with(&it, 2), POLITENESS_OPEN);
}

static void
test_two_silences_park(void **state)
{
    struct politeness it = {0};

    (void)state;
    assert_int_equal(stay_silent(&it, START, START + 1), POLITENESS_NOTHING);
    // No third one begins while the second one waits.
    assert_int_equal(state_with(&it, 0), POLITENESS_OPEN);
    assert_int_equal(state_with(&it, 1), POLITENESS_TRIED);
    assert_int_equal(stay_silent(&it, START, START + 2), POLITENESS_PARK);
    // Of the same wave: the pause is not longer for it.
    assert_int_equal(stay_silent(&it, START, START + 3), POLITENESS_NOTHING);
    // An answer in between: they are not in a row.
    it = (struct politeness){0};
    (void)stay_silent(&it, START, START);
    (void)answer(&it, 200, NONE, START, START);
    assert_int_equal(stay_silent(&it, START, START), POLITENESS_NOTHING);
    // A probe that is refused parks it again.
    assert_int_equal(stay_silent(&it, START, START), POLITENESS_PARK);
    assert_int_equal(fail_with(&it, FAIL_CONNECT, false, it.parked_until_ms,
                               it.parked_until_ms),
                     POLITENESS_PARK);
}

// What a host that never answers costs until it is given up, in slots times
// time, with the defaults: 10 s to connect, 60 s to be given up.
static void
test_silent_host_is_cheap(void **state)
{
    const uint64_t connect_ms = 10 * SECOND, give_up_ms = MINUTE;
    struct politeness it = {0};
    uint64_t now_ms = START, cost_ms = 0, until_ms;
    enum politeness_state at;

    (void)state;
    for (;;) {
        uint64_t running = 0;

        while (running < 8 &&
               ((at = politeness_state(&it, running, give_up_ms, now_ms,
                                       &until_ms)) == POLITENESS_OPEN ||
                at == POLITENESS_PROBE)) {
            (void)politeness_begin(&it);
            running++;
        }
        if (at == POLITENESS_GIVEN_UP)
            break;
        if (!running) { // parked
            now_ms = until_ms;
            continue;
        }
        cost_ms += running * connect_ms;
        now_ms += connect_ms;
        while (running--)
            (void)stay_silent(&it, now_ms - connect_ms, now_ms);
        politeness_end_probe(&it);
    }
    assert_in_range(cost_ms, 20 * SECOND, 59 * SECOND);
    assert_true(now_ms - START >= connect_ms + give_up_ms);
}

static void
test_one_success_ends_it(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms = park(&it, START);

    (void)state;
    (void)politeness_begin(&it);
    // A 404 is an answer, too.
    assert_int_equal(answer(&it, 404, NONE, until_ms, until_ms + 5),
                     POLITENESS_BACK);
    politeness_end_probe(&it);
    assert_int_equal(state_at(&it, until_ms + 5), POLITENESS_OPEN);
    // Five more, from the start.
    assert_in_range(park(&it, until_ms + HOUR), until_ms + HOUR + 5 * SECOND,
                    until_ms + HOUR + 6 * SECOND);
    // One that was under way all the time ends it as well.
    assert_int_equal(answer(&it, 200, NONE, START, until_ms + HOUR + SECOND),
                     POLITENESS_BACK);
    assert_int_equal(state_at(&it, until_ms + HOUR + SECOND), POLITENESS_OPEN);
}

static void
test_failures_in_a_row_only(void **state)
{
    struct politeness it = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)(i % 5 == 4 ? answer(&it, 200, NONE, START, START)
                          : fail_with(&it, FAIL_CONNECT, false, START, START));
        assert_int_equal(state_at(&it, START), POLITENESS_OPEN);
    }
}

// Its connections are fine: what else goes wrong parks nothing.
static void
test_what_parks_nothing(void **state)
{
    (void)state;
    for (unsigned fail = 0; fail < FAIL_COUNT; fail++) {
        struct politeness it = {0};

        if (fail == FAIL_DNS || fail == FAIL_CONNECT || fail == FAIL_TLS)
            continue;
        for (int i = 0; i < 10; i++)
            (void)fail_with(&it, (enum fail)fail, true, START, START);
        assert_int_equal(state_at(&it, START), POLITENESS_OPEN);
    }
}

// Five transfers fail, three more that were under way do so a second later.
static void
test_one_wave_is_one_pause(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms = park(&it, START);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            fail_with(&it, FAIL_TIMEOUT, false, START - 1, START + SECOND),
            POLITENESS_NOTHING);
    assert_int_equal(it.parked_until_ms, until_ms);
    assert_int_equal(it.failures, 8);
}

static void
test_never_given_up(void **state)
{
    struct politeness it = {0};
    uint64_t now_ms = park(&it, START), until_ms;

    (void)state;
    for (int i = 0; i < 50; i++) {
        (void)politeness_begin(&it);
        (void)fail_with(&it, FAIL_CONNECT, false, now_ms, now_ms + 1);
        politeness_end_probe(&it);
        assert_int_equal(politeness_state(&it, 0, 0, now_ms + 1, &until_ms),
                         POLITENESS_PARKED);
        assert_true(until_ms - now_ms <= 11 * MINUTE + 1);
        now_ms = until_ms;
    }
}

// A probe whose worker was lost says nothing: another one goes.
static void
test_lost_probe(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms = park(&it, START);

    (void)state;
    (void)politeness_begin(&it);
    assert_int_equal(state_at(&it, until_ms), POLITENESS_WAIT);
    politeness_end_probe(&it);
    assert_int_equal(state_at(&it, until_ms), POLITENESS_PROBE);
}

// --- Both, and the end of it ---

static void
test_busy_is_not_down(void **state)
{
    struct politeness it = {0};
    uint64_t until_ms = park(&it, START);

    (void)state;
    assert_int_equal(answer(&it, 503, 10, until_ms, until_ms), POLITENESS_SHUT);
    assert_int_equal(it.failures, 0);
    assert_int_equal(state_at(&it, until_ms), POLITENESS_CLOSED);
    assert_int_equal(state_at(&it, until_ms + 10 * SECOND), POLITENESS_PROBE);
}

static void
test_forgetting(void **state)
{
    struct politeness it = {0};

    (void)state;
    (void)answer(&it, 429, 30, START, START);
    assert_int_equal(politeness_forget_ms(&it), START + 30 * SECOND);
    it = (struct politeness){0};
    (void)answer(&it, 429, NONE, START, START);
    assert_int_equal(politeness_forget_ms(&it),
                     it.closed_until_ms + 30 * MINUTE);
    it = (struct politeness){0};
    (void)park(&it, START);
    assert_true(politeness_forget_ms(&it) > it.parked_until_ms);
    (void)answer(&it, 200, NONE, START, START);
    assert_int_equal(politeness_forget_ms(&it), 0);
}

// A restart changes nothing but the jitter of what was never promised.
static void
test_restoring(void **state)
{
    struct politeness it = {0};

    (void)state;
    politeness_restore(&it, (int64_t)HOUR, 503, true, 0, START);
    assert_int_equal(state_at(&it, START + HOUR - 1), POLITENESS_CLOSED);
    assert_int_equal(state_at(&it, START + HOUR), POLITENESS_PROBE);
    // It opened ten minutes ago: its incidents still count.
    it = (struct politeness){0};
    politeness_restore(&it, -(int64_t)(10 * MINUTE), 429, false, 2, START);
    assert_int_equal(state_at(&it, START), POLITENESS_OPEN);
    check_incident(&it, START + 20 * MINUTE - 1, 4 * MINUTE);
    it = (struct politeness){0};
    politeness_restore(&it, -(int64_t)(10 * MINUTE), 429, false, 2, START);
    check_incident(&it, START + 20 * MINUTE, MINUTE);
    // The clock of the day was set, or the machine has just started.
    it = (struct politeness){0};
    politeness_restore(&it, INT64_MAX, 429, false, 2, START);
    assert_true(it.closed_until_ms <= START + 27 * HOUR);
    it = (struct politeness){0};
    politeness_restore(&it, -5000, 429, false, 2, 4000);
    assert_int_equal(politeness_forget_ms(&it), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_after_closes),
        cmocka_unit_test(test_retry_after_ends),
        cmocka_unit_test(test_incidents_double),
        cmocka_unit_test(test_one_wave_is_one_incident),
        cmocka_unit_test(test_jitter_differs),
        cmocka_unit_test(test_what_closes_nothing),
        cmocka_unit_test(test_old_success_opens_nothing),
        cmocka_unit_test(test_five_failures_park),
        cmocka_unit_test(test_a_few_try_it),
        cmocka_unit_test(test_two_silences_park),
        cmocka_unit_test(test_silent_host_is_cheap),
        cmocka_unit_test(test_one_success_ends_it),
        cmocka_unit_test(test_failures_in_a_row_only),
        cmocka_unit_test(test_what_parks_nothing),
        cmocka_unit_test(test_one_wave_is_one_pause),
        cmocka_unit_test(test_never_given_up),
        cmocka_unit_test(test_lost_probe),
        cmocka_unit_test(test_busy_is_not_down),
        cmocka_unit_test(test_forgetting),
        cmocka_unit_test(test_restoring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
