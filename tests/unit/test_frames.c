// Whole messages: as many frames as allowed, too many, none.
#include "common/frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct wire {
    void *zmq, *a, *b;
};

static int
set_up(void **state)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    int zero = 0;

    assert_non_null(wire);
    wire->zmq = zmq_ctx_new();
    wire->a = zmq_socket(wire->zmq, ZMQ_PAIR);
    wire->b = zmq_socket(wire->zmq, ZMQ_PAIR);
    (void)zmq_setsockopt(wire->a, ZMQ_LINGER, &zero, sizeof(zero));
    (void)zmq_setsockopt(wire->b, ZMQ_LINGER, &zero, sizeof(zero));
    *state = wire;
    return zmq_bind(wire->a, "inproc://w") ||
           zmq_connect(wire->b, "inproc://w");
}

static int
tear_down(void **state)
{
    struct wire *wire = *state;

    (void)zmq_close(wire->a);
    (void)zmq_close(wire->b);
    (void)zmq_ctx_term(wire->zmq);
    free(wire);
    return 0;
}

static void
send_frames(void *socket, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char text[2] = {'f', (char)('0' + i)};

        assert_int_equal(frames_send_copy(socket, text, 2, i + 1 < len), 0);
    }
}

static void
check_frames(const struct frames *frames, size_t len)
{
    assert_int_equal(frames->len, len);
    for (size_t i = 0; i < len; i++) {
        zmq_msg_t *part = (zmq_msg_t *)&frames->parts[i];

        assert_int_equal(zmq_msg_size(part), 2);
        assert_int_equal(((const char *)zmq_msg_data(part))[1], '0' + (int)i);
    }
}

static void
test_none(void **state)
{
    struct wire *wire = *state;
    struct frames frames;

    assert_int_equal(frames_recv(wire->b, &frames), -EAGAIN);
    assert_int_equal(frames.len, 0);
    frames_close(&frames);
}

static void
test_lengths(void **state)
{
    struct wire *wire = *state;
    struct frames frames;

    for (size_t len = 1; len <= FRAMES_MAX + 3; len++)
        send_frames(wire->a, len);
    for (size_t len = 1; len <= FRAMES_MAX; len++) {
        assert_int_equal(frames_recv(wire->b, &frames), 0);
        check_frames(&frames, len);
        frames_close(&frames);
        frames_close(&frames); // twice is fine
        assert_int_equal(frames.len, 0);
    }
    for (size_t len = 1; len <= 3; len++) {
        assert_int_equal(frames_recv(wire->b, &frames), -EMSGSIZE);
        check_frames(&frames, FRAMES_MAX); // what fits
        frames_close(&frames);
    }
    assert_int_equal(frames_recv(wire->b, &frames), -EAGAIN);
}

static void
test_take(void **state)
{
    struct wire *wire = *state;
    struct frames frames;
    zmq_msg_t part;
    void *data;

    assert_int_equal(zmq_msg_init_size(&part, 100000), 0);
    data = zmq_msg_data(&part);
    memset(data, 'x', 100000);
    assert_int_equal(frames_send_take(wire->a, &part, false), 0);
    assert_int_equal(zmq_msg_size(&part), 0);
    (void)zmq_msg_close(&part);
    assert_int_equal(frames_recv(wire->b, &frames), 0);
    assert_ptr_equal(zmq_msg_data(&frames.parts[0]), data); // no copy
    frames_close(&frames);
}

static void
test_empty_frames(void **state)
{
    struct wire *wire = *state;
    struct frames frames;

    assert_int_equal(frames_send_copy(wire->a, "", 0, true), 0);
    assert_int_equal(frames_send_copy(wire->a, NULL, 0, false), 0);
    assert_int_equal(frames_recv(wire->b, &frames), 0);
    assert_int_equal(frames.len, 2);
    assert_int_equal(zmq_msg_size(&frames.parts[1]), 0);
    frames_close(&frames);
}

static void
test_errors(void **state)
{
    struct wire *wire = *state;
    void *router = zmq_socket(wire->zmq, ZMQ_ROUTER);
    void *dealer = zmq_socket(wire->zmq, ZMQ_DEALER);
    int one = 1;
    zmq_msg_t part;

    (void)zmq_setsockopt(router, ZMQ_ROUTER_MANDATORY, &one, sizeof(one));
    assert_int_equal(frames_send_copy(router, "nobody", 6, true),
                     -EHOSTUNREACH);
    // Nobody is connected: what was not sent is still the caller's.
    assert_int_equal(zmq_msg_init_size(&part, 1000), 0);
    assert_int_equal(frames_send_take(dealer, &part, false), -EAGAIN);
    assert_int_equal(zmq_msg_size(&part), 1000);
    (void)zmq_msg_close(&part);
    (void)zmq_close(router);
    (void)zmq_close(dealer);
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_none),         CASE(test_lengths), CASE(test_take),
        CASE(test_empty_frames), CASE(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
