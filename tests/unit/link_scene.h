// link_scene.h - a worker link, and a broker whose every word is chosen
#ifndef TESTS_UNIT_LINK_SCENE_H
#define TESTS_UNIT_LINK_SCENE_H
#include "common/frames.h"
#include "common/loop.h"
#include "proto/worker_link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    char endpoint[64];
    struct wire_buf *buf;
    struct wire_decoder *decoder;
    struct frames frames; // the last message to the broker
    struct wire_message message;
    bool (*until)(struct scene *scene);
    uint64_t left_ms;
    bool is_late;
    uint64_t instance, epoch; // of the last HELLO
    // What the owner was told.
    unsigned welcomes, losses, messages, lists;
    unsigned messages_since;           // the last WELCOME or loss
    struct wire_vouched vouched[2500]; // to be told in PONG
    size_t vouched_len;
    uint64_t window;
    enum wire_kind last_kind;
    size_t last_body;
};

// --- The owner ---

static inline void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct scene *scene = arg;

    assert_true(worker_link_is_live(scene->link));
    scene->welcomes++;
    scene->messages_since = 0;
    scene->window = welcome->window;
}

static inline void
on_lost(void *arg)
{
    struct scene *scene = arg;

    scene->losses++;
    scene->messages_since = 0;
}

static inline void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct scene *scene = arg;

    scene->messages++;
    scene->messages_since++;
    scene->last_kind = message->kind;
    scene->last_body = body ? zmq_msg_size(body) : 0;
}

static inline void
on_ping(void *arg, bool is_list_due, struct worker_pong *out_pong)
{
    struct scene *scene = arg;

    out_pong->load = 77;
    scene->lists += is_list_due;
    out_pong->items = scene->vouched;
    out_pong->len = is_list_due ? scene->vouched_len : 0;
}

// --- Time ---

static inline void
on_tick(void *arg)
{
    struct scene *scene = arg;

    scene->is_late = scene->left_ms-- == 0;
    if (scene->is_late || scene->until(scene)) {
        loop_timer_stop(scene->timer);
        loop_end(scene->loop);
    }
}

static inline bool
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

static inline bool
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

static inline void
expect(struct scene *scene, enum wire_kind kind)
{
    if (!run_until(scene, take_message, DEADLINE_MS))
        fail_msg("no %s came", wire_kind_name(kind));
    assert_int_equal(scene->message.kind, kind);
    if (kind == WIRE_HELLO) {
        assert_true(scene->message.hello->instance != 0);
        if (scene->epoch)
            assert_true(scene->message.hello->instance == scene->instance);
        scene->instance = scene->message.hello->instance;
        scene->epoch = scene->message.hello->epoch;
    }
}

static inline void
expect_nothing(struct scene *scene)
{
    if (run_until(scene, take_message, QUIET_MS))
        fail_msg("%s came", wire_kind_name(scene->message.kind));
}

// To whoever spoke last.
static inline void
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

static inline void
answer_buf(struct scene *scene)
{
    answer(scene, wire_buf_data(scene->buf), wire_buf_len(scene->buf), 0);
}

static inline bool
is_live(struct scene *scene)
{
    return worker_link_is_live(scene->link);
}

static inline bool
is_lost(struct scene *scene)
{
    return !worker_link_is_live(scene->link);
}

// Of the epoch of the last HELLO.
static inline void
say_welcome(struct scene *scene, uint64_t session, uint64_t ttl_ms)
{
    wire_put_welcome(scene->buf, &(struct wire_welcome){.version = 1,
                                                        .session = session,
                                                        .epoch = scene->epoch,
                                                        .ttl_ms = ttl_ms,
                                                        .window = 1 << 20,
                                                        .job_window = 1 << 19});
    answer_buf(scene);
}

static inline void
welcome(struct scene *scene, uint64_t ttl_ms)
{
    say_welcome(scene, 5, ttl_ms);
    assert_true(run_until(scene, is_live, DEADLINE_MS));
}

static inline void
say_ping(struct scene *scene, uint64_t ttl_ms)
{
    wire_put_ping(scene->buf, ttl_ms);
    answer_buf(scene);
}

static inline void
bind_router(struct scene *scene)
{
    int zero = 0;

    scene->router = zmq_socket(scene->zmq, ZMQ_ROUTER);
    (void)zmq_setsockopt(scene->router, ZMQ_LINGER, &zero, sizeof(zero));
    // The last one's listener ends on libzmq's thread, in its own time.
    for (int left = DEADLINE_MS; zmq_bind(scene->router, scene->endpoint) != 0;
         left--) {
        assert_true(left > 0);
        (void)usleep(1000);
    }
}

static inline int
set_up_at(void **state, const char *endpoint)
{
    static const char *const algorithms[] = {"sha512", "md5", NULL};
    const struct worker_link_config config = {
        .endpoint = endpoint,
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
                                            .on_ping = on_ping};

    assert_non_null(scene);
    (void)snprintf(scene->endpoint, sizeof(scene->endpoint), "%s", endpoint);
    assert_int_equal(loop_new(&scene->loop), 0);
    scene->zmq = zmq_ctx_new();
    bind_router(scene);
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

static inline int
set_up(void **state)
{
    return set_up_at(state, "inproc://broker");
}

// Over connections that can break.
static inline int
set_up_ipc(void **state)
{
    char endpoint[64];

    (void)snprintf(endpoint, sizeof(endpoint), "ipc://@urlsum-test-link-%ld",
                   (long)getpid());
    return set_up_at(state, endpoint);
}

static inline int
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

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
// Over a connection that can break.
#define IPC_CASE(test)                                                         \
    cmocka_unit_test_setup_teardown(test, set_up_ipc, tear_down)

#endif
