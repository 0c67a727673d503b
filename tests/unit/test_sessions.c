// Which worker gets what, and when a worker counts as lost.
#include "schedule_scene.h"

static const struct wire_bytes sha512 = {"sha512", 6};
static const struct wire_bytes both = {"sha512,md5", 10};

static void
announce(struct session *hasher, const char *algorithms)
{
    free(hasher->algorithms);
    hasher->algorithms = strdup(algorithms);
    assert_non_null(hasher->algorithms);
}

static struct job *
only_job(struct scene *scene)
{
    assert_int_equal(scene->broker->jobs.len, 1);
    return scene->broker->jobs.by_id;
}

// A fetcher that is full hears that a job was given up before it hears of the
// one that takes its place.
static void
test_abort_before_jobs(void **state)
{
    struct scene *scene = scene_new(1000, 1);
    struct batch *first, *second;

    (void)state;
    first = world_add_batch(scene->world, "a", "sha512", NULL);
    world_append(scene->world, first, 1, 1);
    world_settle(scene->world);
    peer_expect(&scene->fetcher, WIRE_JOBS);
    second = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, second, 1, 1);
    world_settle(scene->world);
    peer_expect_nothing(&scene->fetcher);
    batch_cancel(scene->broker, first);
    world_settle(scene->world);
    peer_expect(&scene->fetcher, WIRE_ABORT);
    peer_expect(&scene->fetcher, WIRE_JOBS);
    scene_free(scene);
}

static void
test_can_hash(void **state)
{
    struct session hasher = {.algorithms = NULL};

    (void)state;
    assert_false(session_can_hash(&hasher, &sha512));
    hasher.algorithms = ",";
    assert_false(session_can_hash(&hasher, &sha512));
    hasher.algorithms = ",sha512-256,xsha512,sha51,";
    assert_false(session_can_hash(&hasher, &sha512));
    hasher.algorithms = ",sha512-256,sha512,";
    assert_true(session_can_hash(&hasher, &sha512));
    assert_false(session_can_hash(&hasher, &both));
    hasher.algorithms = ",md5,sha512,";
    assert_true(session_can_hash(&hasher, &both));
}

// One that lacks an algorithm is no hasher for the body; that one leaves weighs
// more than how much it has to do, and that it is kept for another even more.
static void
test_pick_hasher(void **state)
{
    struct scene *scene = scene_new(1000, 1);
    struct sessions *sessions = &scene->broker->sessions;
    struct session *one = scene->hasher.session, *two;
    struct peer other;

    (void)state;
    peer_join(scene->world, &other, WIRE_HASHER, 0);
    two = other.session;
    two->backlog = 1000;
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), one);
    // A stream goes where fewer bodies are in hand, whatever they show so far.
    one->jobs_len = 3;
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, true), two);
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), one);
    one->jobs_len = 0;
    one->is_draining = true;
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), two);
    assert_true(sessions_have_hasher(sessions, NULL, NULL));
    announce(two, ",md5,");
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), one);
    assert_false(sessions_have_hasher(sessions, &sha512, NULL));
    announce(two, ",md5,sha512,");
    two->is_reserved = true;
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), one);
    assert_true(sessions_have_hasher(sessions, &sha512, NULL));
    assert_false(sessions_have_free_hasher(sessions, &sha512));
    one->is_gone = true;
    assert_ptr_equal(sessions_pick_hasher(sessions, &sha512, 1, false), two);
    announce(two, ",md5,");
    assert_null(sessions_pick_hasher(sessions, &sha512, 1, false));
    peer_leave(&other);
    scene_free(scene);
}

// Nothing is fetched for hashers that all leave.
static void
test_hashers_leave(void **state)
{
    struct scene *scene = scene_new(1000, 1);
    struct batch *batch;
    struct peer other;

    (void)state;
    scene->hasher.session->is_draining = true;
    batch = world_add_batch(scene->world, "a", "sha512", NULL);
    world_append(scene->world, batch, 1, 1);
    world_settle(scene->world);
    peer_expect_nothing(&scene->fetcher);
    peer_join(scene->world, &other, WIRE_HASHER, 0);
    world_settle(scene->world);
    peer_expect(&scene->fetcher, WIRE_JOBS);
    peer_leave(&other);
    scene_free(scene);
}

static void
test_silence(void **state)
{
    struct scene *scene = scene_new(1000, 1);
    struct sessions *sessions = &scene->broker->sessions;
    struct session *fetcher = scene->fetcher.session;
    uint64_t now_ms = loop_now_ms(scene->broker->loop);
    uint64_t ttl_ms = (uint64_t)scene->world->config.ttl_ms;

    (void)state;
    sessions->beat_ms = now_ms - ttl_ms / 2;
    fetcher->heard_ms = now_ms - ttl_ms;
    sessions_beat(scene->broker);
    assert_false(fetcher->is_gone);
    fetcher->heard_ms--;
    sessions_beat(scene->broker);
    assert_true(fetcher->is_gone);
    assert_true(fetcher->is_crash);
    scene_free(scene);
}

// A broker that did not run for a while blames nobody for it.
static void
test_own_silence(void **state)
{
    struct scene *scene = scene_new(1000, 1);
    struct sessions *sessions = &scene->broker->sessions;
    struct session *fetcher = scene->fetcher.session;
    uint64_t now_ms = loop_now_ms(scene->broker->loop);
    uint64_t ttl_ms = (uint64_t)scene->world->config.ttl_ms;
    struct batch *batch;

    (void)state;
    batch = world_add_batch(scene->world, "a", "sha512", NULL);
    world_append(scene->world, batch, 1, 1);
    world_settle(scene->world);
    peer_expect(&scene->fetcher, WIRE_JOBS);
    sessions->beat_ms = now_ms - ttl_ms;
    fetcher->heard_ms = now_ms - ttl_ms * 2;
    sessions_beat(scene->broker);
    assert_false(fetcher->is_gone);
    peer_die(&scene->fetcher); // as if it had given up on us
    assert_int_equal(only_job(scene)->state, JOB_QUEUED);
    assert_int_equal(only_job(scene)->lost, 0);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort_before_jobs),
        cmocka_unit_test(test_can_hash),
        cmocka_unit_test(test_pick_hasher),
        cmocka_unit_test(test_hashers_leave),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_own_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
