// Who gets what and when: shares of batches, limits of origins, pauses.
#include "schedule_scene.h"

#define ENOUGH 65535 // of whatever would otherwise be the limit

static size_t
count_ready(const struct batch *batch)
{
    struct flow *flow;
    size_t len = 0;

    DL_FOREACH(batch->ready, flow)
    {
        len++;
    }
    return len;
}

// --- Shares ---

static void
test_weights(void **state)
{
    struct scene *scene = scene_new(ENOUGH, 10 * SCHEDULE_QUANTUM);
    Urlsum__V1__BatchOptions options = URLSUM__V1__BATCH_OPTIONS__INIT;
    struct batch *one, *three;

    (void)state;
    options.weight_is_case = URLSUM__V1__BATCH_OPTIONS__WEIGHT_IS_WEIGHT;
    options.weight = 3;
    one = world_add_batch(scene->world, "one", "sha512", NULL);
    three = world_add_batch(scene->world, "three", "sha512", &options);
    assert_int_equal(one->options.weight, 1);
    assert_int_equal(three->options.weight, 3);
    world_append(scene->world, one, 1000, 500);
    world_append(scene->world, three, 1000, 500);
    load_only(scene);
    schedule_run(scene->broker);
    // 1, 3, 1, 3 and the two quanta that were left for the third turns.
    assert_int_equal(one->fetching, 3 * SCHEDULE_QUANTUM);
    assert_int_equal(three->fetching, 7 * SCHEDULE_QUANTUM);
    scene_free(scene);
}

static void
test_small_behind_large(void **state)
{
    struct scene *scene = scene_new(ENOUGH, 2 * SCHEDULE_QUANTUM);
    struct batch *large, *small;

    (void)state;
    large = world_add_batch(scene->world, "large", "sha512", NULL);
    world_append(scene->world, large, 4000, 1000);
    world_settle(scene->world);
    assert_int_equal(large->fetching, 2 * SCHEDULE_QUANTUM);
    small = world_add_batch(scene->world, "small", "sha512", NULL);
    world_append(scene->world, small, 5, 5);
    load_only(scene);
    (void)finish_leases(scene, &scene->fetcher);
    schedule_run(scene->broker);
    assert_int_equal(small->fetching, 5);
    assert_int_equal(large->fetching, 2 * SCHEDULE_QUANTUM - 5);
    scene_free(scene);
}

// Flows of a batch take turns: a long one does not hold up the others.
static void
test_flows_take_turns(void **state)
{
    struct scene *scene = scene_new(ENOUGH, 12);
    struct batch *batch;
    const struct origin *origin, *next;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 1000, 4);
    load_only(scene);
    schedule_run(scene->broker);
    HASH_ITER(hh, scene->broker->hosts.origins, origin, next)
    {
        assert_int_equal(origin->running, 3);
    }
    assert_int_equal(batch->fetching, 12);
    scene_free(scene);
}

static void
test_fetchers_share(void **state)
{
    struct scene *scene = scene_new(ENOUGH, 100);
    struct peer small;
    struct batch *batch;

    (void)state;
    peer_join(scene->world, &small, WIRE_FETCHER, 50);
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 90, 90);
    world_settle(scene->world);
    // To their capacities, give or take a turn.
    assert_int_equal(scene->fetcher.session->jobs_len + small.session->jobs_len,
                     90);
    assert_in_range(small.session->jobs_len, 14, 46);
    // No fetcher ever holds more than it asked for.
    world_append(scene->world, batch, 300, 300);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 100);
    assert_int_equal(small.session->jobs_len, 50);
    peer_leave(&small);
    scene_free(scene);
}

// --- Nobody to work for ---

static void
test_no_hasher(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;

    (void)state;
    peer_die(&scene->hasher);
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 20, 20);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 0);
    peer_expect_nothing(&scene->fetcher);
    peer_leave(&scene->hasher);
    peer_join(scene->world, &scene->hasher, WIRE_HASHER, 0);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 20);
    scene_free(scene);
}

static void
test_draining(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 20, 20);
    // A worker that wants no more...
    wire_put_bye(scene->fetcher.buf, false);
    peer_say(&scene->fetcher, false, 0);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 0);
    // ... and a broker that is about to leave.
    peer_leave(&scene->fetcher);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    scene->broker->is_draining = true;
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 0);
    scene->broker->is_draining = false;
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 20);
    scene_free(scene);
}

// --- An origin's limit ---

// Three batches and two fetchers on one origin: eight at once, all together.
static void
test_limit_is_the_fleets(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct peer second;
    struct batch *batches[3];
    size_t total = 0, len;

    (void)state;
    peer_join(scene->world, &second, WIRE_FETCHER, 100);
    for (size_t i = 0; i < 3; i++) {
        char id[2] = {(char)('a' + i), 0};

        batches[i] = world_add_batch(scene->world, id, "sha512", NULL);
        world_append(scene->world, batches[i], 100, 1);
    }
    do {
        world_settle(scene->world); // asserts the limit after each turn
        len = scene->fetcher.session->jobs_len + second.session->jobs_len;
        assert_int_equal(len, total < 300 - 8 ? 8 : 300 - total);
        // One at a time, so that each freed slot wakes a blocked flow.
        if (scene->fetcher.session->jobs_len)
            finish_one(scene, &scene->fetcher);
        else if (len)
            finish_one(scene, &second);
        total += len != 0;
    } while (len);
    assert_int_equal(total, 300);
    peer_leave(&second);
    scene_free(scene);
}

static void
test_blocked_flows_wake(void **state)
{
    struct scene *scene = scene_new(2, 100);
    struct batch *first, *second;
    const struct origin *origin;

    (void)state;
    first = world_add_batch(scene->world, "first", "sha512", NULL);
    world_append(scene->world, first, 2, 1);
    world_settle(scene->world);
    second = world_add_batch(scene->world, "second", "sha512", NULL);
    world_append(scene->world, second, 3, 1);
    world_settle(scene->world);
    origin = scene->broker->hosts.origins;
    assert_int_equal(origin->running, 2);
    assert_int_equal(origin->flows_len, 2);
    assert_non_null(origin->group->line);
    assert_int_equal(count_ready(second), 0);
    finish_one(scene, &scene->fetcher);
    assert_int_equal(count_ready(second), 1);
    schedule_run(scene->broker);
    assert_int_equal(second->fetching, 1);
    assert_non_null(origin->group->line);
    scene_free(scene);
}

// A slot that a lost fetcher held is free again.
static void
test_lost_fetcher_frees_slots(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 100, 1);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 8);
    peer_die(&scene->fetcher);
    assert_int_equal(batch->fetching, 0);
    assert_int_equal(scene->broker->hosts.origins->running, 0);
    peer_leave(&scene->fetcher);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 8);
    // What had its turn before has it again first.
    peer_expect(&scene->fetcher, WIRE_JOBS);
    for (size_t i = 0; i < scene->fetcher.message.jobs.len; i++) {
        assert_int_equal(scene->fetcher.message.jobs.jobs[i].attempt, 2);
        assert_true((scene->fetcher.message.jobs.jobs[i].job & 0xffffffffff) <
                    8);
    }
    scene_free(scene);
}

// --- Another try ---

static struct batch patient = {.options.retry = 3};
static struct flow patient_flow = {.batch = &patient};

static uint64_t
pause_after(uint32_t tries, enum fail outcome, int status,
            uint64_t retry_after_s)
{
    const struct job job = {.flow = &patient_flow, .tries = tries};
    unsigned seed = 3;
    uint64_t due_ms = 0;

    if (!schedule_wants_retry(&job, outcome, status, retry_after_s, 1000000,
                              &seed, &due_ms))
        return 0;
    assert_true(due_ms > 1000000);
    return due_ms - 1000000;
}

static void
test_which_failures(void **state)
{
    (void)state;
    for (unsigned fail = 1; fail < FAIL_COUNT; fail++) {
        for (int status = 100; status < 600; status++) {
            bool again =
                pause_after(0, (enum fail)fail, status, WIRE_UNSET) != 0;

            assert_int_equal(again, fail_is_soft((enum fail)fail, status));
        }
    }
    patient.options.retries_all = true;
    assert_true(pause_after(0, FAIL_TLS, 0, WIRE_UNSET) != 0);
    assert_true(pause_after(0, FAIL_HTTP, 404, WIRE_UNSET) != 0);
    assert_true(pause_after(3, FAIL_HTTP, 404, WIRE_UNSET) == 0);
    patient.options.retries_all = false;
}

// --retry 3: three further tries; the first after a second.
static void
test_back_off(void **state)
{
    (void)state;
    assert_in_range(pause_after(0, FAIL_CUT, 0, WIRE_UNSET), 1000, 1250);
    assert_in_range(pause_after(1, FAIL_CUT, 0, WIRE_UNSET), 2000, 2500);
    assert_in_range(pause_after(2, FAIL_CUT, 0, WIRE_UNSET), 4000, 5000);
    assert_int_equal(pause_after(3, FAIL_CUT, 0, WIRE_UNSET), 0);
    patient.options.retry = UINT32_MAX;
    for (uint32_t tries = 10; tries < 100; tries++)
        assert_in_range(pause_after(tries, FAIL_CUT, 0, WIRE_UNSET), 600000,
                        750000);
    assert_in_range(pause_after(UINT32_MAX - 1, FAIL_CUT, 0, WIRE_UNSET),
                    600000, 750000);
    patient.options.retry = 0;
    assert_int_equal(pause_after(0, FAIL_CUT, 0, WIRE_UNSET), 0);
    patient.options.retry = 3;
}

static void
test_retry_after(void **state)
{
    (void)state;
    assert_int_equal(pause_after(0, FAIL_HTTP, 503, 120), 120000);
    // Never sooner than the own pause, never later than a day.
    assert_in_range(pause_after(0, FAIL_HTTP, 503, 0), 1000, 1250);
    assert_int_equal(pause_after(0, FAIL_HTTP, 503, 86400), 86400000);
    assert_int_equal(pause_after(0, FAIL_HTTP, 503, 86401), 86400000);
    assert_int_equal(pause_after(0, FAIL_HTTP, 503, UINT64_MAX - 1), 86400000);
}

static void
test_due_in_order(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;
    uint64_t now_ms = loop_now_ms(scene->broker->loop);
    struct life_info info = {.from = scene->fetcher.session,
                             .outcome = FAIL_CUT};

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 3, 1);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 3);
    for (uint64_t i = 0; i < 3; i++) {
        info.due_ms = i < 2 ? now_ms : now_ms + 3600000;
        assert_int_equal(life_apply(scene->broker, scene->fetcher.session->jobs,
                                    EV_FAILED_SOFT, &info),
                         0);
    }
    assert_int_equal(batch->retrying, 3);
    assert_int_equal(schedule_run_retries(scene->broker), now_ms + 3600000);
    assert_int_equal(batch->retrying, 1);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 2);
    batch_cancel(scene->broker, batch);
    assert_true(schedule_run_retries(scene->broker) == UINT64_MAX);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_small_behind_large),
        cmocka_unit_test(test_flows_take_turns),
        cmocka_unit_test(test_fetchers_share),
        cmocka_unit_test(test_no_hasher),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_limit_is_the_fleets),
        cmocka_unit_test(test_blocked_flows_wake),
        cmocka_unit_test(test_lost_fetcher_frees_slots),
        cmocka_unit_test(test_which_failures),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_due_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
