// A lane that hangs is noticed; one that has just begun, or is merely slow, is
// not.
#include "common/http.h"
#include "hasher/hash_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LANES 3

static const uint64_t now_ms = 1000000;

static bool
is_live(const struct hash_stats *stats, char *why)
{
    return hash_stats_is_live(stats, now_ms, HASH_STATS_HUNG_MS, why);
}

static void
test_is_live(void **state)
{
    struct hash_stats stats = {0};
    char why[HTTP_WHY_MAX] = "";

    (void)state;
    assert_int_equal(hash_stats_init(&stats, LANES), 0);
    assert_true(is_live(&stats, why)); // no turn yet
    for (size_t i = 0; i < LANES; i++)
        metrics_set(&stats.lanes[i].turned_ms, now_ms + i); // a moment ahead
    assert_true(is_live(&stats, why));
    metrics_set(&stats.lanes[1].turned_ms, now_ms - HASH_STATS_HUNG_MS + 1);
    assert_true(is_live(&stats, why));
    assert_string_equal(why, "");
    metrics_set(&stats.lanes[1].turned_ms, now_ms - HASH_STATS_HUNG_MS);
    assert_false(is_live(&stats, why));
    assert_string_equal(why, "thread 1 has not moved for 30 s");
    assert_true(
        hash_stats_is_live(&stats, now_ms, HASH_STATS_HUNG_MS + 1, why));
    metrics_set(&stats.lanes[1].turned_ms, 0); // it has ended
    assert_true(is_live(&stats, why));
    hash_stats_fini(&stats);
}

// Threads must not write to one cache line.
static void
test_apart(void **state)
{
    struct hash_stats stats = {0};

    (void)state;
    assert_int_equal(hash_stats_init(&stats, LANES), 0);
    for (size_t i = 0; i < LANES; i++)
        assert_int_equal((uintptr_t)&stats.lanes[i] % METRICS_ALIGNED, 0);
    hash_stats_fini(&stats);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_live),
        cmocka_unit_test(test_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
