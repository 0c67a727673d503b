// Leases run out without news; nothing of it is charged as a try, and nothing
// waits with nobody to move it.
#include "lease_scene.h"

static void
say_vouched(struct peer *fetcher, uint64_t job, uint32_t attempt)
{
    struct wire_vouched item = {.job = job, .attempt = attempt};

    wire_put_pong(fetcher->buf, 1, &item, 1);
    peer_say(fetcher, false, 0);
}

// --- Leases ---

static void
test_lease_runs_out(void **state)
{
    struct scene *scene = scene_with(2);

    (void)state;
    age(scene, 0, LIMIT_MS(scene));
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    age(scene, 0, LIMIT_MS(scene) + 1);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 1);
    assert_int_equal(job_at(scene, 0)->tries, 0);
    assert_int_equal(job_at(scene, 1)->state, JOB_LEASED);
    sessions_flush(scene->broker);
    peer_expect(&scene->fetcher, WIRE_ABORT);
    assert_int_equal(scene->fetcher.message.abort.len, 1);
    assert_int_equal(scene->fetcher.message.abort.items[0].reason,
                     WIRE_ABORT_STALE);
    // What it still says of it is late news.
    say_fetched(scene, 0, FAIL_TLS, 0);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    scene_free(scene);
}

// A fetcher is looked through again when its oldest lease may be over.
static void
test_when_it_is_looked_at(void **state)
{
    struct scene *scene = scene_with(2);
    uint64_t now_ms = loop_now_ms(scene->broker->loop);

    (void)state;
    age(scene, 0, 700);
    age(scene, 1, 200);
    leases_check(scene->broker);
    assert_int_equal(scene->fetcher.session->lease_due_ms,
                     now_ms - 700 + LIMIT_MS(scene));
    scene_free(scene);
}

static void
test_what_renews(void **state)
{
    struct scene *scene = scene_with(1);
    const struct wire_job *job = &scene->jobs[0];
    struct peer other;

    (void)state;
    age(scene, 0, LIMIT_MS(scene) + 1);
    say_vouched(&scene->fetcher, job->job, job->attempt);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    age(scene, 0, LIMIT_MS(scene) + 1);
    say_part(scene, 0, 0, 10, false);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    age(scene, 0, LIMIT_MS(scene) + 1);
    say_fetched(scene, 0, FAIL_OK, 20);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_HASHING);
    // An older attempt, another fetcher, a job that is not there.
    peer_join(scene->world, &other, WIRE_FETCHER, 1);
    age(scene, 0, LIMIT_MS(scene) + 1);
    say_vouched(&scene->fetcher, job->job, job->attempt + 1);
    say_vouched(&scene->fetcher, job->job + 1, job->attempt);
    say_vouched(&other, job->job, job->attempt);
    assert_false(other.session->is_gone);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->tries, 0);
    peer_leave(&other);
    scene_free(scene);
}

static void
say_pause(struct peer *fetcher, enum wire_pause reason, struct scene *scene,
          size_t i)
{
    struct wire_vouched item = {.job = scene->jobs[i].job,
                                .attempt = scene->jobs[i].attempt};

    wire_put_pause(fetcher->buf, reason, &item, 1);
    peer_say(fetcher, false, 0);
}

static void
test_pause(void **state)
{
    struct scene *scene = scene_with(2);
    struct sessions *sessions = &scene->broker->sessions;
    struct peer other;
    size_t room;

    (void)state;
    // Nobody else is there: all stays as it is.
    say_pause(&scene->fetcher, WIRE_PAUSE_NO_NAMES, scene, 0);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    assert_ptr_equal(sessions_pick_fetcher(sessions, &room),
                     scene->fetcher.session);
    // Nor is one that pauses, too.
    peer_join(scene->world, &other, WIRE_FETCHER, 1);
    say_pause(&other, WIRE_PAUSE_NO_NAMES, scene, 0);
    say_pause(&scene->fetcher, WIRE_PAUSE_NO_NAMES, scene, 0);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    // Another's jobs, and older attempts, are no breach.
    say_pause(&other, WIRE_PAUSE_NONE, scene, 0);
    say_pause(&other, WIRE_PAUSE_NONE, scene, 1);
    assert_false(other.session->is_gone);
    scene->jobs[1].attempt++;
    say_pause(&scene->fetcher, WIRE_PAUSE_NO_NAMES, scene, 1);
    scene->jobs[1].attempt--;
    assert_int_equal(job_at(scene, 1)->state, JOB_LEASED);
    // Now the other takes what waits, at no cost.
    say_pause(&scene->fetcher, WIRE_PAUSE_NO_NAMES, scene, 0);
    assert_false(scene->fetcher.session->is_gone);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 0);
    assert_int_equal(job_at(scene, 0)->tries, 0);
    assert_int_equal(job_at(scene, 1)->state, JOB_LEASED);
    assert_ptr_equal(sessions_pick_fetcher(sessions, &room), other.session);
    sessions_flush(scene->broker);
    peer_expect(&scene->fetcher, WIRE_ABORT);
    // What has begun stays where it is.
    say_part(scene, 1, 0, 10, false);
    say_fetched(scene, 1, FAIL_OK, 20);
    say_pause(&scene->fetcher, WIRE_PAUSE_NO_NAMES, scene, 1);
    assert_int_equal(job_at(scene, 1)->state, JOB_HASHING);
    peer_leave(&other);
    scene_free(scene);
}

// Time in which the broker did not run itself is nobody's silence.
static void
test_own_pause(void **state)
{
    struct scene *scene = scene_with(1);
    uint64_t now_ms = loop_now_ms(scene->broker->loop);

    (void)state;
    say_whole(scene, 0, 10);
    scene->broker->sessions.forgive_until_ms = now_ms + 1000;
    scene->hasher.session->taken_ms = now_ms - LIMIT_MS(scene) - 1;
    leases_check(scene->broker);
    assert_false(scene->hasher.session->is_gone);
    scene->broker->sessions.forgive_until_ms = 0;
    leases_check(scene->broker);
    assert_true(scene->hasher.session->is_gone);
    scene_free(scene);
}

static void
test_stuck_hasher(void **state)
{
    struct scene *scene = scene_with(2);
    uint64_t old_ms;

    (void)state;
    say_whole(scene, 0, 10);
    say_part(scene, 1, 0, 100, false);
    old_ms = loop_now_ms(scene->broker->loop) - LIMIT_MS(scene) - 1;
    // One that waits for work is not stuck, nor is one that takes something.
    age(scene, 0, LIMIT_MS(scene) + 1);
    scene->hasher.session->taken_ms = old_ms;
    say_taken(&scene->hasher, 1);
    leases_check(scene->broker);
    assert_false(scene->hasher.session->is_gone);
    scene->hasher.session->taken_ms = old_ms;
    leases_check(scene->broker);
    assert_true(scene->hasher.session->is_gone);
    sessions_flush(scene->broker);
    assert_int_equal(job_at(scene, 1)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 1)->lost, 1);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    scene_free(scene);
}

// It takes all, and gives no digest. What still waits before it is no sign.
static void
test_no_digest(void **state)
{
    struct scene *scene = scene_with(2);

    (void)state;
    say_whole(scene, 0, 10);
    say_whole(scene, 1, 10);
    while (peer_recv(&scene->hasher)) {
    }
    say_taken(&scene->hasher, 1);
    age(scene, 0, LIMIT_MS(scene) + 1);
    age(scene, 1, LIMIT_MS(scene) + 1);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 1);
    assert_int_equal(job_at(scene, 0)->tries, 0);
    assert_int_equal(job_at(scene, 1)->state, JOB_HASHING);
    sessions_flush(scene->broker);
    peer_expect(&scene->hasher, WIRE_ABORT);
    assert_int_equal(scene->hasher.message.abort.len, 1);
    // It was taken just now: its digests may be on their way.
    say_taken(&scene->hasher, 1);
    leases_check(scene->broker);
    assert_int_equal(job_at(scene, 1)->state, JOB_HASHING);
    say_digest(scene, 0, 1, 10, 64, 1);
    assert_int_equal(job_at(scene, 1)->state, JOB_DONE);
    scene_free(scene);
}

// Where a lease ran out, nothing but a single job at a time goes until one
// comes to its end; others come first.
static void
test_doubtful(void **state)
{
    struct scene *scene = scene_with(1);
    const struct sessions *sessions = &scene->broker->sessions;
    struct peer other;
    size_t room;

    (void)state;
    peer_join(scene->world, &other, WIRE_FETCHER, 1);
    age(scene, 0, LIMIT_MS(scene) + 1);
    leases_check(scene->broker);
    assert_ptr_equal(sessions_pick_fetcher(sessions, &room), other.session);
    other.session->is_draining = true;
    assert_ptr_equal(sessions_pick_fetcher(sessions, &room),
                     scene->fetcher.session);
    assert_int_equal(room, 1);
    world_append(scene->world, scene->batch, 5, 1);
    world_settle(scene->world);
    assert_int_equal(scene->batch->fetching, 1);
    take_jobs(scene, &scene->fetcher);
    assert_int_equal(scene->jobs_len, 1);
    say_fetched(scene, 0, FAIL_HTTP, 0);
    world_settle(scene->world);
    assert_int_equal(scene->batch->fetching, 5);
    peer_leave(&other);
    scene_free(scene);
}

// --- Charges ---

// Lost workers, leases that ran out, a hasher that left: none of them a try.
static void
test_mixture_of_tries(void **state)
{
    struct scene *scene = scene_with(1);
    struct store_results results;
    const struct life_info none = {0};

    (void)state;
    peer_die(&scene->fetcher);
    peer_leave(&scene->fetcher);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    say_fetched(scene, 0, FAIL_CUT, 0); // the only one of its own
    (void)life_apply(scene->broker, job_at(scene, 0), EV_DUE, &none);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    age(scene, 0, LIMIT_MS(scene) + 1);
    leases_check(scene->broker);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    say_whole(scene, 0, 10);
    assert_int_equal(job_at(scene, 0)->tries, 2);
    peer_die(&scene->hasher);
    assert_int_equal(job_at(scene, 0)->tries, 1);
    peer_leave(&scene->hasher);
    peer_join(scene->world, &scene->hasher, WIRE_HASHER, 0);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    say_whole(scene, 0, 10);
    say_digest(scene, 1, 0, 10, 64, 1);
    assert_int_equal(
        world_read_record(scene->world, scene->batch->number, &results)->tries,
        2);
    store_results_fini(&results);
    scene_free(scene);
}

// Fetched, but cancelled before its digests: it did not come to an end.
static void
test_cancelled_has_no_try(void **state)
{
    struct scene *scene = scene_with(1);
    struct store_results results;

    (void)state;
    say_whole(scene, 0, 10);
    batch_cancel(scene->broker, scene->batch);
    assert_int_equal(
        world_read_record(scene->world, scene->batch->number, &results)->tries,
        0);
    assert_int_equal(results.records[0].outcome, FAIL_CANCELLED);
    store_results_fini(&results);
    scene_free(scene);
}

// Two losses in a row, the second before the store has noted the first: what it
// has in the end is the last word.
static void
test_last_word_is_noted(void **state)
{
    struct scene *scene = scene_with(1);
    struct store_refill refill = {.op = {.kind = STORE_REFILL}, .max = 1};

    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        age(scene, 0, LIMIT_MS(scene) + 1);
        leases_check(scene->broker);
        schedule_run(scene->broker);
    }
    assert_int_equal(job_at(scene, 0)->lost, 2);
    world_settle(scene->world);
    refill.batch = scene->batch->number;
    refill.origin = scene->batch->flows->number;
    world_run_op(scene->world, &refill.op);
    assert_int_equal(refill.jobs[0].lost, 2);
    store_refill_fini(&refill);
    scene_free(scene);
}

// --- Nothing is fetched in vain, nor forgotten ---

static void
test_no_algorithm_waits(void **state)
{
    struct scene *scene = scene_with(1);
    struct batch *batch;
    struct peer able;

    (void)state;
    batch = world_add_batch(scene->world, "s", "sha1", NULL);
    peer_join(scene->world, &able, WIRE_HASHER, 0);
    strcpy(scene->hasher.session->algorithms, ",sha512,");
    world_append(scene->world, batch, 3, 3);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 3);
    take_jobs(scene, &scene->fetcher);
    // The only one that could leaves while a body comes: the URL waits for the
    // next one that can, at no cost.
    peer_die(&able);
    peer_leave(&able);
    say_part(scene, 0, 0, 10, false);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 0);
    peer_expect_nothing(&scene->hasher);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 2);
    // Other batches go on.
    world_append(scene->world, scene->batch, 1, 1);
    world_settle(scene->world);
    assert_int_equal(scene->batch->fetching, 2);
    peer_join(scene->world, &able, WIRE_HASHER, 0);
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 3);
    peer_leave(&able);
    scene_free(scene);
}

static void
test_failed_read_is_repeated(void **state)
{
    struct scene *scene = scene_with(1);
    struct batches *batches = &scene->broker->batches;
    struct flow *flow = scene->batch->flows;

    (void)state;
    // As if a read had come back with an error.
    scene->broker->is_draining = true;
    flow->is_end = false;
    flow->is_refilling = true;
    flow->refill.max = 0;
    flow->refill.op.err = -EIO;
    scene->batch->ops_out++;
    flow->refill.op.done(&flow->refill.op);
    assert_ptr_equal(batches->paused, flow);
    assert_int_equal(scene->batch->ops_out, 0);
    world_append(scene->world, scene->batch, 2, 1);
    batches_refill(scene->broker);
    assert_false(flow->is_refilling); // not at once
    flow->again_ms = 0;
    batches_refill(scene->broker);
    assert_true(flow->is_refilling);
    assert_null(batches->paused);
    world_settle(scene->world);
    assert_int_equal(flow->queue_len, 2);
    scene_free(scene);
}

static void
test_fetched_less_than_came(void **state)
{
    struct scene *scene = scene_with(1);

    (void)state;
    say_part(scene, 0, 0, 10, false);
    say_fetched(scene, 0, FAIL_OK, 9);
    expect_refused(scene, &scene->fetcher, "FETCHED says less than came");
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->tries, 0);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_runs_out),
        cmocka_unit_test(test_when_it_is_looked_at),
        cmocka_unit_test(test_what_renews),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_own_pause),
        cmocka_unit_test(test_stuck_hasher),
        cmocka_unit_test(test_no_digest),
        cmocka_unit_test(test_doubtful),
        cmocka_unit_test(test_mixture_of_tries),
        cmocka_unit_test(test_cancelled_has_no_try),
        cmocka_unit_test(test_last_word_is_noted),
        cmocka_unit_test(test_no_algorithm_waits),
        cmocka_unit_test(test_failed_read_is_repeated),
        cmocka_unit_test(test_fetched_less_than_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
