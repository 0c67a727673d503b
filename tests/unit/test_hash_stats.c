// A lane that hangs is noticed; one that has just begun, or is merely slow, is
// not.
#include "common/http.h"
#include "hasher/hash_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LANES 3

static void
test_is_live(void **state)
{
    const uint64_t now_ms = 1000000;
    struct hash_stats stats = {0};
    char why[HTTP_WHY_MAX] = "";

    (void)state;
    assert_int_equal(hash_stats_init(&stats, LANES), 0);
    assert_true(hash_stats_is_live(&stats, now_ms, why)); // no turn yet
    for (size_t i = 0; i < LANES; i++)
        metrics_set(&stats.lanes[i].turned_ms, now_ms + i); // a moment ahead
    assert_true(hash_stats_is_live(&stats, now_ms, why));
    metrics_set(&stats.lanes[1].turned_ms, now_ms - HASH_STATS_HUNG_MS + 1);
    assert_true(hash_stats_is_live(&stats, now_ms, why));
    assert_string_equal(why, "");
    metrics_set(&stats.lanes[1].turned_ms, now_ms - HASH_STATS_HUNG_MS);
    assert_false(hash_stats_is_live(&stats, now_ms, why));
    assert_string_equal(why, "thread 1 has not moved for 30 s");
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
