// A worker's half of the dialogue, in a session that lasts.
#include "link_scene.h"

static void
test_hello(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    assert_int_equal(scene->message.hello->role, WIRE_HASHER);
    assert_int_equal(scene->message.hello->version_min, WIRE_VERSION);
    assert_int_equal(scene->message.hello->version_max, WIRE_VERSION);
    assert_memory_equal(scene->message.hello->name.at, "host/1", 6);
    assert_int_equal(scene->message.hello->algorithms_len, 2);
    assert_false(worker_link_is_live(scene->link));
    // Nothing can be sent yet.
    wire_put_digests(worker_link_buf(scene->link), 0, NULL, 0);
    assert_int_equal(
        worker_link_send(scene->link, worker_link_buf(scene->link), NULL),
        -ENOTCONN);
    expect(scene, WIRE_HELLO); // again, for nobody answered
    welcome(scene, 10000);
    assert_int_equal(scene->welcomes, 1);
    assert_int_equal(scene->window, 1 << 20);
    expect_nothing(scene); // no more HELLO
    assert_int_equal(scene->losses, 0);
}

static void
test_ping(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    // Before WELCOME it belongs to an older session.
    wire_put_ping(scene->buf, 10000);
    answer_buf(scene);
    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_ping(scene->buf, 10000);
    answer_buf(scene);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->message.pong.load, 77);
    assert_int_equal(scene->message.pong.len, 0); // not due yet
    assert_int_equal(scene->messages, 0);
}

// Longer than a TTL, and than it takes to be away.
#define TTL_MS 600
#define AWAY_MS 1300

static void
test_away(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, TTL_MS);
    wire_put_ping(scene->buf, TTL_MS);
    answer_buf(scene);
    (void)usleep(AWAY_MS * 1000); // the loop does not run
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->losses, 0);
}

static void
expect_vouched(struct scene *scene, size_t from, size_t len)
{
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->message.pong.load, 77);
    assert_int_equal(scene->message.pong.len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(scene->message.pong.items[i].job, from + i);
}

// A quarter of a TTL, after which the list is due.
#define LIST_MS 500

// The list goes out several times a TTL, in as many PONGs as it needs.
static void
test_vouching(void **state)
{
    struct scene *scene = *state;

    for (size_t i = 0; i < 2500; i++)
        scene->vouched[i] = (struct wire_vouched){i, 1};
    scene->vouched_len = 2500;
    expect(scene, WIRE_HELLO);
    welcome(scene, WIRE_TTL_MS_MAX); // a quarter of it never comes
    say_ping(scene, WIRE_TTL_MS_MAX);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->message.pong.len, 0);
    assert_int_equal(scene->lists, 0);
    // Of this one it comes soon, while the session lasts on a busy machine.
    while (!scene->lists) {
        say_ping(scene, 4 * LIST_MS);
        expect(scene, WIRE_PONG);
    }
    assert_int_equal(scene->message.pong.len, 1024);
    expect_vouched(scene, 1024, 1024);
    expect_vouched(scene, 2048, 2500 - 2048);
}

static bool
has_messages(struct scene *scene)
{
    return scene->messages == 2;
}

static void
test_messages(void **state)
{
    struct scene *scene = *state;
    const struct wire_bytes suite = {"sha512", 6};
    const struct wire_segment part = {.job = 1, .attempt = 1, .length = 10};
    const struct wire_aborted aborted = {1, 1, WIRE_ABORT_CANCELLED};

    expect(scene, WIRE_HELLO);
    wire_put_abort(scene->buf, &aborted, 1); // too early: dropped
    answer_buf(scene);
    welcome(scene, 10000);
    wire_put_abort(scene->buf, &aborted, 1);
    answer_buf(scene);
    wire_put_hash(scene->buf, &suite, 1, &part, 1);
    answer(scene, wire_buf_data(scene->buf), wire_buf_len(scene->buf), 10);
    assert_true(run_until(scene, has_messages, DEADLINE_MS));
    assert_int_equal(scene->last_kind, WIRE_HASH);
    assert_int_equal(scene->last_body, 10);
    // And the other way.
    wire_put_digests(worker_link_buf(scene->link), 1, NULL, 0);
    assert_int_equal(
        worker_link_send(scene->link, worker_link_buf(scene->link), NULL), 0);
    expect(scene, WIRE_DIGESTS);
    assert_int_equal(scene->message.digests.taken, 1);
}

// What another role, or another time, would be told changes nothing.
static void
test_wrong_direction(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_pong(scene->buf, 1, NULL, 0);
    answer_buf(scene);
    wire_put_ping(scene->buf, 10000);
    answer_buf(scene);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->messages, 0);
}

static void
test_bye_of_the_broker(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_bye(scene->buf, true);
    answer_buf(scene);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    expect_nothing(scene); // for a second
    assert_int_equal(scene->losses, 1);
}

static void
test_bye(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    worker_link_bye(scene->link, false);
    expect(scene, WIRE_BYE);
    assert_int_equal(scene->message.bye_is_final, 0);
    assert_true(worker_link_is_live(scene->link));
    worker_link_bye(scene->link, true);
    expect(scene, WIRE_BYE);
    assert_int_equal(scene->message.bye_is_final, 1);
    assert_false(worker_link_is_live(scene->link));
    // It does not come back, whatever is said.
    wire_put_error(scene->buf, WIRE_ERROR_NO_SESSION, "who are you?");
    answer_buf(scene);
    wire_put_welcome(scene->buf, &(struct wire_welcome){1, 6, 1, 1000, 1, 1});
    answer_buf(scene);
    expect_nothing(scene);
    assert_false(worker_link_is_live(scene->link));
    assert_int_equal(scene->losses, 0); // it left by itself
}

// The broker lets a worker go that asked for it.
static void
test_let_go(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    worker_link_bye(scene->link, false);
    expect(scene, WIRE_BYE);
    wire_put_bye(scene->buf, true);
    answer_buf(scene);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
    worker_link_bye(scene->link, true); // says nothing more
    expect_nothing(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_hello),
        CASE(test_ping),
        CASE(test_away),
        CASE(test_vouching),
        CASE(test_messages),
        CASE(test_wrong_direction),
        CASE(test_bye_of_the_broker),
        CASE(test_bye),
        CASE(test_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
