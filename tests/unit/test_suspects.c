// URLs that may be what kills workers: each runs alone, and holds up nobody for
// long.
#include "lease_scene.h"

#include "common/fnv.h"

// The scene's only job becomes one.
static void
make_suspect(struct scene *scene)
{
    for (int lost = 0; lost < JOB_LOST_MAX; lost++) {
        struct job *job = job_at(scene, 0);

        assert_int_equal(job->state, JOB_LEASED);
        age(scene, 0, LIMIT_MS(scene) + 1);
        leases_check(scene->broker);
        if (lost == JOB_LOST_MAX - 1)
            break;
        world_settle(scene->world);
        take_jobs(scene, &scene->fetcher);
        assert_int_equal(scene->jobs_len, 1);
    }
    scene->fetcher.session->is_doubtful = false; // not what is tested
    assert_true(job_is_suspect(job_at(scene, 0)));
    assert_int_equal(scene->broker->suspects.len, 1);
}

// Its lease runs out.
static void
lose(struct scene *scene, struct job *suspect)
{
    suspect->renewed_ms -= LIMIT_MS(scene) + 1;
    suspect->fetcher->lease_due_ms = 0;
    leases_check(scene->broker);
}

static void
test_suspect_runs_alone(void **state)
{
    struct scene *scene = scene_with(1);
    struct batch *others;
    struct session *fetcher, *hasher;
    struct peer second, idle;
    struct job *suspect;

    (void)state;
    make_suspect(scene);
    suspect = job_at(scene, 0);
    scene->broker->is_draining = true; // others are there first
    others = world_add_batch(scene->world, "o", "sha512", NULL);
    world_append(scene->world, others, 50, 50);
    world_settle(scene->world);
    scene->broker->is_draining = false;
    peer_join(scene->world, &second, WIRE_FETCHER, 10);
    peer_join(scene->world, &idle, WIRE_HASHER, 0);
    strcpy(second.session->label, "second");
    strcpy(idle.session->label, "idle");
    world_settle(scene->world);
    // One fetcher had nothing in hand: the suspect has it for itself, and the
    // others go to the other one.
    assert_int_equal(suspect->state, JOB_LEASED);
    assert_int_equal(suspect->fetcher->jobs_len, 1);
    assert_true(suspect->fetcher->is_reserved);
    assert_int_equal(others->fetching,
                     suspect->fetcher == second.session ? 50 : 10);
    take_jobs(scene,
              suspect->fetcher == second.session ? &second : &scene->fetcher);
    assert_int_equal(scene->jobs_len, 1);
    assert_ptr_equal(suspects_hasher(scene->broker, suspect),
                     sessions_find(&scene->broker->sessions,
                                   scene->broker->suspects.hasher));
    assert_int_equal(suspects_hasher(scene->broker, suspect)->jobs_len, 0);
    // One loss alone may be chance: it runs alone again, with others than those
    // ...
    fetcher = suspect->fetcher;
    hasher = suspects_hasher(scene->broker, suspect);
    lose(scene, suspect);
    assert_int_equal(suspect->state, JOB_QUEUED);
    assert_false(fetcher->is_reserved);
    assert_false(hasher->is_reserved);
    batch_cancel(scene->broker, others); // both fetchers have nothing in hand
    second.session->is_doubtful = scene->fetcher.session->is_doubtful = false;
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    assert_ptr_not_equal(suspect->fetcher, fetcher);
    // The hasher never had its body.
    assert_ptr_equal(suspects_hasher(scene->broker, suspect), hasher);
    assert_int_equal(suspect->fetcher->jobs_len, 1);
    // ... and a second one is its own doing; the fetchers serve others again.
    lose(scene, suspect);
    assert_int_equal(suspect->state, JOB_FAILED);
    second.session->is_doubtful = scene->fetcher.session->is_doubtful = false;
    others = world_add_batch(scene->world, "p", "sha512", NULL);
    world_append(scene->world, others, 50, 50);
    world_settle(scene->world);
    assert_int_equal(scene->broker->suspects.fetcher, 0);
    assert_false(second.session->is_reserved);
    assert_false(scene->fetcher.session->is_reserved);
    assert_int_equal(others->fetching, 50);
    peer_leave(&second);
    peer_leave(&idle);
    scene_free(scene);
}

// A fetcher that has something in hand gets nothing new; alone, not for long.
static void
test_lone_fetcher(void **state)
{
    struct scene *scene = scene_with(1);
    struct suspects *suspects = &scene->broker->suspects;
    struct batch *others;
    struct job *suspect;

    (void)state;
    others = world_add_batch(scene->world, "o", "sha512", NULL);
    world_append(scene->world, others, 1, 1);
    world_settle(scene->world);
    assert_int_equal(others->fetching, 1);
    scene->world->config.ttl_ms = 1000;
    job_at(scene, 0)->lost = JOB_LOST_MAX - 1;
    age(scene, 0, LIMIT_MS(scene) + 1);
    leases_check(scene->broker);
    suspect = job_at(scene, 0);
    scene->fetcher.session->is_doubtful = false;
    world_append(scene->world, others, 5, 5);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_QUEUED);
    assert_int_equal(others->fetching, 1);
    assert_true(suspects->fetcher != 0);
    // It lapses ...
    suspects->since_ms -= SUSPECTS_LONE_MS;
    world_settle(scene->world);
    assert_int_equal(others->fetching, 6);
    assert_int_equal(suspects->fetcher, 0);
    assert_int_equal(suspect->state, JOB_QUEUED);
    // ... and comes again.
    end_rest(scene);
    world_settle(scene->world);
    assert_true(suspects->fetcher != 0);
    batch_cancel(scene->broker, others);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    assert_int_equal(suspect->fetcher->jobs_len, 1);
    scene_free(scene);
}

// A body that takes a day: another fetcher's turn, which has more to do.
static void
test_endless_body(void **state)
{
    struct scene *scene = scene_with(1);
    struct suspects *suspects = &scene->broker->suspects;
    struct batch *endless, *others;
    struct job *suspect;
    struct peer second, idle;

    (void)state;
    make_suspect(scene);
    suspect = job_at(scene, 0);
    suspects->rest_until_ms = UINT64_MAX; // the others are there first
    endless = world_add_batch(scene->world, "e", "sha512", NULL);
    world_append(scene->world, endless, 1, 1);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 1);
    peer_join(scene->world, &idle, WIRE_HASHER, 0);
    peer_join(scene->world, &second, WIRE_FETCHER, 1000);
    others = world_add_batch(scene->world, "o", "sha512", NULL);
    world_append(scene->world, others, 20, 20);
    world_settle(scene->world);
    assert_true(second.session->jobs_len > scene->fetcher.session->jobs_len);
    // Another suspect was lost with the second one.
    strcpy(second.session->label, "second/7");
    suspects->bad_fetcher = fnv_add(FNV_EMPTY, "second", strlen("second"));
    end_rest(scene);
    world_settle(scene->world);
    assert_true(scene->fetcher.session->is_reserved);
    suspects->waits_ms -= SUSPECTS_LONE_MS;
    world_settle(scene->world);
    assert_false(scene->fetcher.session->is_reserved);
    assert_true(second.session->is_reserved);
    batch_cancel(scene->broker, others);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    assert_ptr_equal(suspect->fetcher, second.session);
    peer_leave(&second);
    peer_leave(&idle);
    scene_free(scene);
}

// One that is lost again and again: the others have as much time as it.
static void
test_lost_with_the_only_fetcher(void **state)
{
    struct scene *scene = scene_with(1);
    struct suspects *suspects = &scene->broker->suspects;
    struct batch *others;
    struct job *suspect;

    (void)state;
    make_suspect(scene);
    suspect = job_at(scene, 0);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    others = world_add_batch(scene->world, "o", "sha512", NULL);
    world_append(scene->world, others, 5, 5);
    world_settle(scene->world);
    assert_int_equal(others->fetching, 0);
    suspects->since_ms -= 20000;
    lose(scene, suspect);
    scene->fetcher.session->is_doubtful = false;
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_QUEUED);
    assert_int_equal(others->fetching, 5);
    assert_int_equal(suspects->fetcher, 0);
    assert_in_range(suspects->rest_until_ms - loop_now_ms(scene->broker->loop),
                    15000, 25000);
    end_rest(scene);
    world_settle(scene->world);
    assert_true(suspects->fetcher != 0);
    batch_cancel(scene->broker, others);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    scene_free(scene);
}

static void
test_outcome_clears(void **state)
{
    struct scene *scene = scene_with(1);
    struct store_refill refill = {.op = {.kind = STORE_REFILL}, .max = 1};

    (void)state;
    make_suspect(scene);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    assert_int_equal(scene->jobs_len, 1);
    // It is a suspect after a restart, too.
    refill.batch = scene->batch->number;
    refill.origin = scene->batch->flows->number;
    world_run_op(scene->world, &refill.op);
    assert_int_equal(refill.jobs[0].lost, JOB_LOST_MAX);
    assert_int_equal(refill.jobs[0].tries, 0);
    store_refill_fini(&refill);
    say_fetched(scene, 0, FAIL_CUT, 0);
    assert_int_equal(job_at(scene, 0)->state, JOB_RETRY_WAIT);
    assert_int_equal(job_at(scene, 0)->lost, 0);
    assert_int_equal(job_at(scene, 0)->tries, 1);
    refill.from_seq = 0;
    world_run_op(scene->world, &refill.op);
    assert_int_equal(refill.jobs[0].lost, 0);
    assert_int_equal(refill.jobs[0].tries, 1);
    store_refill_fini(&refill);
    scene_free(scene);
}

// A worker that leaves in good order proves nothing.
static void
test_suspect_goes_back(void **state)
{
    struct scene *scene = scene_with(1);

    (void)state;
    make_suspect(scene);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    wire_put_bye(scene->fetcher.buf, true);
    peer_say(&scene->fetcher, false, 0);
    world_settle(scene->world);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(scene->broker->suspects.len, 1);
    peer_leave(&scene->fetcher);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    world_settle(scene->world);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    batch_cancel(scene->broker, scene->batch);
    world_settle(scene->world);
    assert_int_equal(scene->broker->jobs.len, 0);
    scene_free(scene);
}

static void
test_cancelled_suspect(void **state)
{
    struct scene *scene = scene_with(1);

    (void)state;
    make_suspect(scene);
    batch_cancel(scene->broker, scene->batch);
    assert_int_equal(scene->broker->suspects.len, 0);
    assert_null(scene->broker->suspects.queue);
    world_settle(scene->world);
    assert_int_equal(scene->broker->jobs.len, 0);
    scene_free(scene);
}

// Its origin's slots are all taken: it has the next one that becomes free.
static void
test_suspect_waits_for_a_slot(void **state)
{
    struct scene *scene = scene_with(1);
    struct peer second;
    struct job *suspect;
    const struct life_info info = {.from = NULL};

    (void)state;
    make_suspect(scene);
    suspect = job_at(scene, 0);
    scene->world->config.parallel_max_host = 2;
    world_append(scene->world, scene->batch, 10, 1);
    suspect->flow->origin->group->running += 2; // others' transfers
    peer_join(scene->world, &second, WIRE_FETCHER, 10);
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_QUEUED);
    suspect->flow->origin->group->running--;
    world_settle(scene->world);
    assert_int_equal(suspect->state, JOB_LEASED);
    assert_int_equal(scene->batch->fetching, 1);
    suspect->flow->origin->group->running--;
    (void)life_apply(scene->broker, suspect, EV_LEASE_LOST, &info);
    peer_leave(&second);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suspect_runs_alone),
        cmocka_unit_test(test_lone_fetcher),
        cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_lost_with_the_only_fetcher),
        cmocka_unit_test(test_outcome_clears),
        cmocka_unit_test(test_suspect_goes_back),
        cmocka_unit_test(test_cancelled_suspect),
        cmocka_unit_test(test_suspect_waits_for_a_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
