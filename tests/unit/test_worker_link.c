// A worker's half of the dialogue, with a broker whose every word is chosen.
#include "common/frames.h"
#include "common/loop.h"
#include "proto/worker_link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Longest wait for what must come, and how long what must not is waited for.
#define DEADLINE_MS 5000
#define QUIET_MS 150

struct scene {
    struct loop *loop;
    void *zmq;
    void *router; // the broker's
    struct worker_link *link;
    struct loop_timer *timer; // polls until(), or the deadline
    struct wire_buf *buf;
    struct wire_decoder *decoder;
    struct frames frames; // the last message to the broker
    struct wire_message message;
    bool (*until)(struct scene *scene);
    uint64_t left_ms;
    bool is_late;
    // What the owner was told.
    unsigned welcomes, losses, messages;
    uint64_t window;
    enum wire_kind last_kind;
    size_t last_body;
};

// --- The owner ---

static void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct scene *scene = arg;

    assert_true(worker_link_is_live(scene->link));
    scene->welcomes++;
    scene->window = welcome->window;
}

static void
on_lost(void *arg)
{
    struct scene *scene = arg;

    scene->losses++;
}

static void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct scene *scene = arg;

    scene->messages++;
    scene->last_kind = message->kind;
    scene->last_body = body ? zmq_msg_size(body) : 0;
}

static uint64_t
load(void *arg)
{
    (void)arg;
    return 77;
}

// --- Time ---

static void
on_tick(void *arg)
{
    struct scene *scene = arg;

    scene->is_late = scene->left_ms-- == 0;
    if (scene->is_late || scene->until(scene)) {
        loop_timer_stop(scene->timer);
        loop_end(scene->loop);
    }
}

static bool
run_until(struct scene *scene, bool (*until)(struct scene *scene),
          uint64_t limit_ms)
{
    scene->until = until;
    scene->left_ms = limit_ms;
    loop_timer_start(scene->timer, 0, 1);
    loop_run(scene->loop);
    return !scene->is_late;
}

// --- The broker ---

static bool
take_message(struct scene *scene)
{
    frames_close(&scene->frames);
    if (frames_recv(scene->router, &scene->frames) != 0)
        return false;
    assert_int_equal(
        wire_decode(scene->decoder, zmq_msg_data(&scene->frames.parts[1]),
                    zmq_msg_size(&scene->frames.parts[1]), &scene->message),
        0);
    return true;
}

static void
expect(struct scene *scene, enum wire_kind kind)
{
    if (!run_until(scene, take_message, DEADLINE_MS))
        fail_msg("no %s came", wire_kind_name(kind));
    assert_int_equal(scene->message.kind, kind);
}

static void
expect_nothing(struct scene *scene)
{
    if (run_until(scene, take_message, QUIET_MS))
        fail_msg("%s came", wire_kind_name(scene->message.kind));
}

// To whoever spoke last.
static void
answer(struct scene *scene, const void *head, size_t len, size_t body_len)
{
    static const char body[64];
    zmq_msg_t *address = &scene->frames.parts[0];

    assert_int_equal(frames_send_copy(scene->router, zmq_msg_data(address),
                                      zmq_msg_size(address), true),
                     0);
    assert_int_equal(frames_send_copy(scene->router, head, len, body_len != 0),
                     0);
    if (body_len)
        assert_int_equal(frames_send_copy(scene->router, body, body_len, false),
                         0);
}

static void
answer_buf(struct scene *scene)
{
    answer(scene, wire_buf_data(scene->buf), wire_buf_len(scene->buf), 0);
}

static bool
is_live(struct scene *scene)
{
    return worker_link_is_live(scene->link);
}

static bool
is_lost(struct scene *scene)
{
    return !worker_link_is_live(scene->link);
}

static void
welcome(struct scene *scene, uint64_t ttl_ms)
{
    wire_put_welcome(scene->buf,
                     &(struct wire_welcome){1, 5, ttl_ms, 1 << 20, 1 << 19});
    answer_buf(scene);
    assert_true(run_until(scene, is_live, DEADLINE_MS));
}

static int
set_up(void **state)
{
    static const char *const algorithms[] = {"sha512", "md5", NULL};
    const struct worker_link_config config = {
        .endpoint = "inproc://broker",
        .role = WIRE_HASHER,
        .name = "host/1",
        .algorithms = algorithms,
        .recv_messages_max = 16,
    };
    struct scene *scene = calloc(1, sizeof(*scene));
    const struct worker_link_owner owner = {.arg = scene,
                                            .on_welcome = on_welcome,
                                            .on_lost = on_lost,
                                            .on_message = on_message,
                                            .load = load};
    int zero = 0;

    assert_non_null(scene);
    assert_int_equal(loop_new(&scene->loop), 0);
    scene->zmq = zmq_ctx_new();
    scene->router = zmq_socket(scene->zmq, ZMQ_ROUTER);
    (void)zmq_setsockopt(scene->router, ZMQ_LINGER, &zero, sizeof(zero));
    assert_int_equal(zmq_bind(scene->router, "inproc://broker"), 0);
    assert_int_equal(loop_timer_new(scene->loop, on_tick, scene, &scene->timer),
                     0);
    assert_int_equal(wire_buf_new(&scene->buf), 0);
    assert_int_equal(wire_decoder_new(&scene->decoder), 0);
    assert_int_equal(
        worker_link_new(scene->loop, scene->zmq, &config, &owner, &scene->link),
        0);
    *state = scene;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *scene = *state;

    worker_link_free(&scene->link);
    assert_null(scene->link);
    frames_close(&scene->frames);
    loop_timer_free(&scene->timer);
    loop_free(&scene->loop);
    wire_buf_free(&scene->buf);
    wire_decoder_free(&scene->decoder);
    (void)zmq_close(scene->router);
    (void)zmq_ctx_term(scene->zmq);
    free(scene);
    return 0;
}

// --- Tests ---

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
    assert_int_equal(scene->message.pong_load, 77);
    assert_int_equal(scene->messages, 0);
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

static void
test_silence(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 1);
    assert_true(run_until(scene, is_lost, DEADLINE_MS));
    assert_int_equal(scene->losses, 1);
    // It comes back, by itself and on a new connection.
    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    assert_int_equal(scene->welcomes, 2);
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
    welcome(scene, 10000);
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->welcomes, 2);
}

// A WELCOME in the midst of a session: the broker began anew, and so do we.
static void
test_welcome_twice(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    welcome(scene, 10000);
    wire_put_ping(scene->buf, 10000);
    answer_buf(scene);
    expect(scene, WIRE_PONG);
    assert_int_equal(scene->losses, 1);
    assert_int_equal(scene->welcomes, 2);
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

// What another role, or another time, would be told changes nothing.
static void
test_wrong_direction(void **state)
{
    struct scene *scene = *state;

    expect(scene, WIRE_HELLO);
    welcome(scene, 10000);
    wire_put_pong(scene->buf, 1);
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
    wire_put_welcome(scene->buf, &(struct wire_welcome){1, 6, 1000, 1, 1});
    answer_buf(scene);
    expect_nothing(scene);
    assert_false(worker_link_is_live(scene->link));
    assert_int_equal(scene->losses, 0); // it left by itself
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_hello),
        CASE(test_ping),
        CASE(test_messages),
        CASE(test_silence),
        CASE(test_no_session),
        CASE(test_welcome_twice),
        CASE(test_refused),
        CASE(test_bad_frames),
        CASE(test_no_msgpack),
        CASE(test_wrong_direction),
        CASE(test_bye_of_the_broker),
        CASE(test_bye),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
