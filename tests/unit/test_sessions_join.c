// How sessions begin, and which of two sessions of a worker is the one.
#include "schedule_scene.h"

static struct sessions *
sessions_of(struct scene *scene)
{
    return &scene->broker->sessions;
}

// One URL, leased to the scene's fetcher.
static struct job *
lease_one(struct scene *scene)
{
    struct batch *batch = world_add_batch(scene->world, "a", "sha512", NULL);

    world_append(scene->world, batch, 1, 1);
    world_settle(scene->world);
    peer_expect(&scene->fetcher, WIRE_JOBS);
    assert_int_equal(scene->broker->jobs.len, 1);
    assert_int_equal(scene->broker->jobs.by_id->state, JOB_LEASED);
    return scene->broker->jobs.by_id;
}

static void
expect_error(struct peer *peer, enum wire_error code)
{
    peer_expect(peer, WIRE_ERROR);
    assert_int_equal(peer->message.error.code, code);
}

// The same worker on a connection of its own.
static void
connect_again(struct peer *peer, const struct peer *first, uint64_t epoch)
{
    peer_connect(first->world, peer, first->role, first->capacity);
    peer->instance = first->instance;
    peer->epoch = epoch;
}

static void
test_same_hello(void **state)
{
    struct scene *scene = scene_new(8, 100);
    const struct session *session = scene->fetcher.session;
    uint64_t id = session->id, window = session->welcomed;
    struct job *job = lease_one(scene);

    (void)state;
    scene->fetcher.session->granted /= 2; // the windows have moved on
    peer_say_hello(&scene->fetcher);
    peer_expect(&scene->fetcher, WIRE_WELCOME);
    assert_int_equal(scene->fetcher.message.welcome.session, id);
    assert_int_equal(scene->fetcher.message.welcome.epoch, 1);
    assert_int_equal(scene->fetcher.message.welcome.window, window);
    peer_expect_nothing(&scene->fetcher);
    assert_ptr_equal(sessions_find(sessions_of(scene), id), session);
    assert_int_equal(job->state, JOB_LEASED);
    scene->fetcher.session->granted *= 2;
    scene_free(scene);
}

// A worker that began anew gave its jobs up, and is not dead.
static void
test_higher_epoch(void **state)
{
    struct scene *scene = scene_new(8, 100);
    uint64_t id = scene->fetcher.session->id;
    struct job *job = lease_one(scene);

    (void)state;
    scene->fetcher.session->is_crash = true; // as after a send that failed
    scene->fetcher.epoch = 2;
    peer_greet(&scene->fetcher);
    assert_null(sessions_find(sessions_of(scene), id));
    assert_int_equal(job->state, JOB_QUEUED);
    assert_int_equal(job->lost, 0);
    assert_int_equal(job->tries, 0);
    assert_int_equal(sessions_of(scene)->fetchers_len, 0);
    peer_say_pong(&scene->fetcher);
    assert_int_equal(sessions_of(scene)->fetchers_len, 1);
    scene_free(scene);
}

static void
test_other_connection(void **state)
{
    struct scene *scene = scene_new(8, 100);
    uint64_t id = scene->fetcher.session->id;
    struct job *job = lease_one(scene);
    struct peer again;

    (void)state;
    connect_again(&again, &scene->fetcher, 1);
    peer_greet(&again);
    assert_null(sessions_find(sessions_of(scene), id));
    assert_int_equal(job->state, JOB_QUEUED);
    assert_int_equal(job->lost, 0);
    // The older connection has no session any more.
    peer_say_pong(&scene->fetcher);
    expect_error(&scene->fetcher, WIRE_ERROR_NO_SESSION);
    assert_false(again.session->is_proven);
    peer_leave(&again);
    scene_free(scene);
}

static void
test_older_epoch(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct job *job;
    struct peer late;
    uint64_t id;

    (void)state;
    scene->fetcher.epoch = 7;
    peer_greet(&scene->fetcher);
    peer_say_pong(&scene->fetcher);
    id = scene->fetcher.session->id;
    job = lease_one(scene);
    connect_again(&late, &scene->fetcher, 6);
    peer_say_hello(&late);
    expect_error(&late, WIRE_ERROR_REFUSED);
    peer_say_pong(&late);
    expect_error(&late, WIRE_ERROR_NO_SESSION);
    assert_non_null(sessions_find(sessions_of(scene), id));
    assert_int_equal(job->state, JOB_LEASED);
    peer_leave(&late);
    scene_free(scene);
}

// Who knows a worker's instance, and has another key, ends nothing.
static void
test_other_key(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct session *session = scene->fetcher.session;
    uint64_t id = session->id;
    struct job *job = lease_one(scene);
    struct peer thief;

    (void)state;
    (void)snprintf(session->key, sizeof(session->key), "%s", "another key");
    connect_again(&thief, &scene->fetcher, 2);
    peer_say_hello(&thief);
    expect_error(&thief, WIRE_ERROR_REFUSED);
    peer_say_pong(&thief);
    expect_error(&thief, WIRE_ERROR_NO_SESSION);
    assert_ptr_equal(sessions_find(sessions_of(scene), id), session);
    assert_int_equal(job->state, JOB_LEASED);
    peer_leave(&thief);
    scene_free(scene);
}

// Another worker on the connection of a session: that one is over.
static void
test_other_instance(void **state)
{
    struct scene *scene = scene_new(8, 100);
    uint64_t id = scene->fetcher.session->id;

    (void)state;
    scene->fetcher.instance += 1000;
    peer_greet(&scene->fetcher);
    assert_null(sessions_find(sessions_of(scene), id));
    assert_int_equal(sessions_of(scene)->fetchers_len, 0);
    scene_free(scene);
}

// Until its first PONG a session has no work, no window and no voice.
static void
test_unproven(void **state)
{
    struct scene *scene = scene_new(8, 100);
    uint64_t given = sessions_of(scene)->window_given;
    struct batch *batch;
    struct peer peer;

    (void)state;
    peer_connect(scene->world, &peer, WIRE_FETCHER, 1000);
    peer_greet(&peer);
    assert_true(peer.message.kind == WIRE_PING);
    assert_int_equal(sessions_of(scene)->fetchers_len, 1);
    assert_true(sessions_of(scene)->window_given == given);
    batch = world_add_batch(scene->world, "a", "sha512", NULL);
    world_append(scene->world, batch, 200, 200);
    world_settle(scene->world);
    assert_int_equal(scene->fetcher.session->jobs_len, 100);
    peer_expect_nothing(&peer);
    // A word that is none of HELLO, PONG and BYE ends it.
    wire_put_fetched(peer.buf,
                     &(struct wire_fetched){.job = 1, .outcome = FAIL_DNS}, 1);
    peer_say(&peer, false, 0);
    sessions_flush(scene->broker);
    expect_error(&peer, WIRE_ERROR_BAD_FRAME);
    peer_greet(&peer);
    peer_say_pong(&peer);
    assert_true(sessions_of(scene)->window_given > given);
    world_settle(scene->world);
    assert_int_equal(peer.session->jobs_len, 100);
    while (peer_recv(&peer) || peer_recv(&scene->fetcher)) {
    }
    peer_leave(&peer);
    scene_free(scene);
}

static void
test_unproven_flood(void **state)
{
    static struct peer peers[SESSIONS_UNPROVEN_MAX + 2];
    struct scene *scene = scene_new(8, 100);
    const size_t len = sizeof(peers) / sizeof(*peers);
    uint64_t given = sessions_of(scene)->window_given;

    (void)state;
    for (size_t i = 0; i < len; i++) {
        peer_connect(scene->world, &peers[i], WIRE_FETCHER, 1000);
        peer_greet(&peers[i]);
    }
    assert_int_equal(sessions_of(scene)->unproven_len[WIRE_FETCHER],
                     SESSIONS_UNPROVEN_MAX);
    assert_int_equal(sessions_of(scene)->fetchers_len, 1);
    assert_true(sessions_of(scene)->window_given == given);
    // The oldest went; they learn it, and may come again.
    peer_say_pong(&peers[1]);
    expect_error(&peers[1], WIRE_ERROR_NO_SESSION);
    peer_say_pong(&peers[2]);
    assert_true(peers[2].session->is_proven);
    assert_int_equal(sessions_of(scene)->unproven_len[WIRE_FETCHER],
                     SESSIONS_UNPROVEN_MAX - 1);
    for (size_t i = 0; i < len; i++)
        peer_leave(&peers[i]);
    scene_free(scene);
}

// A promised window that others have taken meanwhile is none.
static void
test_no_room(void **state)
{
    struct scene *scene = scene_new(8, 100);
    uint64_t given = sessions_of(scene)->window_given;
    struct peer peer;

    (void)state;
    peer_connect(scene->world, &peer, WIRE_FETCHER, 1000);
    peer_greet(&peer);
    sessions_of(scene)->window_given =
        (uint64_t)scene->world->config.buffer_memory;
    peer_say_pong(&peer);
    sessions_flush(scene->broker);
    expect_error(&peer, WIRE_ERROR_REFUSED);
    sessions_of(scene)->window_given = given;
    peer_leave(&peer);
    scene_free(scene);
}

// --- Leaving ---

static void
expect_let_go(struct scene *scene, struct peer *peer)
{
    uint64_t id = peer->session->id;

    sessions_flush(scene->broker);
    peer_expect(peer, WIRE_BYE);
    assert_int_equal(peer->message.bye_is_final, 1);
    assert_null(sessions_find(sessions_of(scene), id));
}

static void
say_bye(struct peer *peer)
{
    wire_put_bye(peer->buf, false);
    peer_say(peer, false, 0);
}

static void
test_bye_idle(void **state)
{
    struct scene *scene = scene_new(8, 100);

    (void)state;
    say_bye(&scene->fetcher);
    expect_let_go(scene, &scene->fetcher);
    say_bye(&scene->hasher);
    expect_let_go(scene, &scene->hasher);
    scene_free(scene);
}

// It is let go when the last thing that it has in hand came back: a fetcher's
// last segment, a hasher's digests and the credit for all its messages.
static void
test_bye_busy(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct job *job = lease_one(scene);
    struct wire_segment whole = {.job = job->id,
                                 .attempt = job->attempt,
                                 .length = 5,
                                 .flags = WIRE_SEGMENT_LAST};
    struct wire_fetched fetched = {
        .job = job->id, .attempt = job->attempt, .size = 5};
    static const char digest[64];
    struct wire_digest digested = {.job = job->id,
                                   .attempt = job->attempt,
                                   .size = 5,
                                   .digests_len = 1,
                                   .digests = {{digest, sizeof(digest)}}};

    (void)state;
    say_bye(&scene->fetcher);
    sessions_flush(scene->broker);
    peer_expect_nothing(&scene->fetcher);
    wire_facts_init(&fetched.facts);
    wire_put_fetched(scene->fetcher.buf, &fetched, 1);
    peer_say(&scene->fetcher, false, 0);
    sessions_flush(scene->broker);
    peer_expect_nothing(&scene->fetcher);
    wire_put_body(scene->fetcher.buf, &whole, 1);
    peer_say(&scene->fetcher, true, 5);
    expect_let_go(scene, &scene->fetcher);

    say_bye(&scene->hasher);
    sessions_flush(scene->broker);
    peer_expect(&scene->hasher, WIRE_HASH);
    peer_expect_nothing(&scene->hasher);
    wire_put_digests(scene->hasher.buf, 0, &digested, 1);
    peer_say(&scene->hasher, false, 0);
    sessions_flush(scene->broker);
    peer_expect_nothing(&scene->hasher); // the message is not taken yet
    wire_put_digests(scene->hasher.buf, 1, NULL, 0);
    peer_say(&scene->hasher, false, 0);
    expect_let_go(scene, &scene->hasher);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_hello),
        cmocka_unit_test(test_higher_epoch),
        cmocka_unit_test(test_other_connection),
        cmocka_unit_test(test_older_epoch),
        cmocka_unit_test(test_other_key),
        cmocka_unit_test(test_other_instance),
        cmocka_unit_test(test_unproven),
        cmocka_unit_test(test_unproven_flood),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_bye_idle),
        cmocka_unit_test(test_bye_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
