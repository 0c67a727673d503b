// How a worker's sessions end, and how the next one begins.
#include "link_scene.h"

static bool
has_lost(struct scene *scene)
{
    return scene->losses == 1;
}

static void
test_silence(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    // Live for so short a time that nobody need see it.
    say_welcome(scene, 5, 1);
    assert_true(run_until(scene, has_lost, DEADLINE_MS));
    assert_int_equal(scene->welcomes, 1);
    // It comes back, by itself and on a new connection.
    expect(scene, WIRE_HELLO);
    assert_int_equal(scene->epoch, 2);
    welcome(scene, 10000);
    assert_int_equal(scene->welcomes, 2);
}

static void
answer_error(struct scene *scene, enum wire_error code)
{
    wire_put_error(scene->buf, code, "a reason");
    answer_buf(scene);
}

static void
test_no_session(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_error(scene->buf, WIRE_ERROR_NO_SESSION, "who are you?");
    answer_buf(scene);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    expect(scene, WIRE_HELLO); // at once
    assert_int_equal(scene->epoch, 2);
    // Of what was said before that HELLO: no reason for another one.
    answer_error(scene, WIRE_ERROR_NO_SESSION);
    answer_error(scene, WIRE_ERROR_NO_SESSION);
    welcome(scene, 10000);
    expect_nothing(scene);
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->welcomes, 2);
}

// The answer to a HELLO that was said twice changes nothing; but another
// session does: the broker forgot the first.
static void
test_welcome_twice(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    expect(scene, WIRE_HELLO);
    assert_int_equal(scene->epoch, 1); // said again, not anew
    welcome(scene, 10000);
    say_welcome(scene, 5, 10000);
    say_ping(scene, 10000);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->losses, 0);
    assert_int_equal(scene->welcomes, 1);
    say_welcome(scene, 6, 10000);
    say_ping(scene, 10000);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->welcomes, 2);
}

static bool
has_message(struct scene *scene)
{
    return scene->messages == 1;
}

// What an older session left on the way reaches nobody.
static void
test_older_epoch(void **state)
{
    struct scene *scene = *state;
    const struct wire_aborted aborted = {1, 1, WIRE_ABORT_CANCELLED};

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    answer_error(scene, WIRE_ERROR_NO_SESSION);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    expect(scene, WIRE_HELLO);
    assert_int_equal(scene->epoch, 2);
    scene->epoch = 1;
    say_welcome(scene, 6, 10000);
    wire_put_abort(scene->buf, &aborted, 1);
    answer_buf(scene);
    assert_false(run_until(scene, is_live, QUIET_MS));
    scene->epoch = 2;
    welcome(scene, 10000);
    assert_int_equal(scene->messages, 0);
    wire_put_abort(scene->buf, &aborted, 1);
    answer_buf(scene);
    assert_true(run_until(scene, has_message, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
}

static void
test_broken_connection(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    (void)zmq_close(scene->router);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
    // Nobody is there for a while.
    (void)run_until(scene, is_live, 2 * QUIET_MS);
    bind_router(scene);
    expect(scene, WIRE_HELLO);
    assert_in_range(scene->epoch, 2, 100);
    welcome(scene, 10000);
    expect_nothing(scene);
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->welcomes, 2);
}

// The worker sleeps while messages come, the connection breaks and another
// broker takes its place: what came on the old one is not the new session's.
static void
test_late_frames(void **state)
{
    struct scene *scene = *state;
    const struct wire_aborted aborted = {1, 1, WIRE_ABORT_CANCELLED};

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    for (int i = 0; i < 15; i++) {
        wire_put_abort(scene->buf, &aborted, 1);
        answer_buf(scene);
    }
    (void)usleep(QUIET_MS * 1000); // libzmq's thread passes them on
    (void)zmq_close(scene->router);
    bind_router(scene);
    (void)usleep(QUIET_MS * 1000); // and would connect again, were it to
    expect(scene, WIRE_HELLO);
    assert_true(scene->epoch >= 2);
    welcome(scene, 10000);
    expect_nothing(scene);
    assert_int_equal(scene->messages_since, 0);
    assert_int_equal(scene->losses, 1);
}

// After a refusal nobody is greeted for seconds.
static void
test_refused(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_error(scene->buf, WIRE_ERROR_REFUSED, "not you");
    answer_buf(scene);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    expect_nothing(scene);
    assert_int_equal(scene->losses, 1);
}

// Frames that no broker sends: the session is given up.
static void
test_bad_frames(void **state)
{
    struct scene *scene = *state;
    const struct wire_bytes suite = {"sha512", 6};
    const struct wire_segment part = {.job = 1, .attempt = 1, .length = 10};

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_hash(scene->buf, &suite, 1, &part, 1);
    answer(scene, wire_buf_data(scene->buf), wire_buf_len(scene->buf), 9);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->messages, 0);
    expect_nothing(scene);
}

static void
test_no_msgpack(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    answer(scene, "\xc1", 1, 0);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_silence),
        CASE(test_no_session),
        CASE(test_welcome_twice),
        CASE(test_older_epoch),
        IPC_CASE(test_broken_connection),
        IPC_CASE(test_late_frames),
        CASE(test_refused),
        CASE(test_bad_frames),
        CASE(test_no_msgpack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
