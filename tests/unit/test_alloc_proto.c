// The worker protocol without memory for one allocation, whichever it is:
// encoding and decoding say so and work the next time, and a worker's link
// comes to its session all the same.
#include "alloc_hook.h"

#include "common/frames.h"
#include "common/loop.h"
#include "proto/wire.h"
#include "proto/worker_link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

// Entries enough for a buffer to grow several times.
#define ENTRIES 1000
#define GIVE_UP_MS 20000
#define TURN_MS 2

// --- Encoding and decoding ---

// Fills buf with a message of that kind, all of it large.
static void
put(struct wire_buf *buf, enum wire_kind kind)
{
    static char text[WIRE_TEXT_MAX + 1];
    static struct wire_fetched fetched[ENTRIES];
    static struct wire_job jobs[ENTRIES];
    static struct wire_digest digests[ENTRIES];
    struct wire_request request;

    memset(text, 'x', WIRE_TEXT_MAX);
    wire_request_init(&request);
    for (size_t i = 0; i < ENTRIES; i++) {
        jobs[i] = (struct wire_job){i + 1, 1, {text, 100}};
        fetched[i] = (struct wire_fetched){.job = i + 1, .attempt = 1};
        wire_facts_init(&fetched[i].facts);
        fetched[i].facts.message = (struct wire_bytes){text, 300};
        digests[i] = (struct wire_digest){.job = i + 1,
                                          .attempt = 1,
                                          .digests_len = 1,
                                          .digests = {{text, 64}}};
    }
    if (kind == WIRE_JOBS)
        wire_put_jobs(buf, &request, jobs, ENTRIES);
    else if (kind == WIRE_FETCHED)
        wire_put_fetched(buf, fetched, ENTRIES);
    else if (kind == WIRE_DIGESTS)
        wire_put_digests(buf, 1, digests, ENTRIES);
    else
        wire_put_error(buf, WIRE_ERROR_REFUSED, text);
}

// Returns the error of the first step that had no memory, or 0.
static int
there_and_back(enum wire_kind kind)
{
    struct wire_buf *buf = NULL;
    struct wire_decoder *decoder = NULL;
    struct wire_message message;
    int err = wire_buf_new(&buf);

    if (err)
        goto out;
    err = wire_decoder_new(&decoder);
    if (err)
        goto out;
    put(buf, kind);
    err = wire_buf_error(buf);
    if (!err)
        err = wire_decode(decoder, wire_buf_data(buf), wire_buf_len(buf),
                          &message);
    if (!err)
        goto out;
    // Once is not for ever.
    put(buf, kind);
    assert_int_equal(wire_buf_error(buf), 0);
    assert_int_equal(
        wire_decode(decoder, wire_buf_data(buf), wire_buf_len(buf), &message),
        0);
    assert_int_equal(message.kind, kind);
out:
    wire_decoder_free(&decoder);
    wire_buf_free(&buf);
    return err;
}

static void
test_there_and_back(void **state)
{
    static const enum wire_kind kinds[] = {WIRE_JOBS, WIRE_FETCHED,
                                           WIRE_DIGESTS, WIRE_ERROR};

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        unsigned nth = 0;
        bool has_failed = true;

        while (has_failed) {
            int err;

            alloc_arm(++nth);
            err = there_and_back(kinds[i]);
            has_failed = alloc_disarm();
            if (err != (has_failed ? -ENOMEM : 0))
                fail_msg("%s, allocation %u: %d", wire_kind_name(kinds[i]), nth,
                         err);
        }
        assert_true(nth > 2);
    }
}

// --- A worker's link, and a broker that answers it ---

struct scene {
    struct loop *loop;
    void *zmq, *router;
    struct loop_timer *timer;
    struct worker_link *link;
    struct wire_buf *buf;
    struct wire_decoder *decoder;
    unsigned turns;
    bool has_jobs, is_done, has_welcome;
};

static void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct scene *scene = arg;

    (void)welcome;
    scene->has_welcome = true;
}

static void
on_lost(void *arg)
{
    struct scene *scene = arg;

    scene->has_welcome = false;
}

static void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct scene *scene = arg;

    (void)body;
    scene->has_jobs |= message->kind == WIRE_JOBS;
}

static void
on_ping(void *arg, bool is_list_due, struct worker_pong *out_pong)
{
    static struct wire_vouched vouched[ENTRIES];

    (void)arg;
    for (size_t i = 0; i < ENTRIES; i++)
        vouched[i] = (struct wire_vouched){i + 1, 1};
    *out_pong = (struct worker_pong){.load = ENTRIES};
    if (is_list_due) {
        out_pong->items = vouched;
        out_pong->len = ENTRIES;
    }
}

static void
answer(struct scene *scene, struct frames *frames)
{
    assert_int_equal(frames_send_take(scene->router, &frames->parts[0], true),
                     0);
    assert_int_equal(frames_send_copy(scene->router, wire_buf_data(scene->buf),
                                      wire_buf_len(scene->buf), false),
                     0);
}

// The broker: WELCOME and PING to a HELLO, JOBS to a PONG.
static void
serve(struct scene *scene)
{
    struct frames frames;
    struct wire_message message;
    struct wire_welcome welcome = {.version = WIRE_VERSION,
                                   .session = 1,
                                   .ttl_ms = 1000,
                                   .window = 1000,
                                   .job_window = 1000};

    while (frames_recv(scene->router, &frames) == 0) {
        assert_int_equal(wire_decode(scene->decoder,
                                     zmq_msg_data(&frames.parts[1]),
                                     zmq_msg_size(&frames.parts[1]), &message),
                         0);
        if (message.kind == WIRE_HELLO) {
            zmq_msg_t again;

            welcome.epoch = message.hello->epoch;
            wire_put_welcome(scene->buf, &welcome);
            (void)zmq_msg_init(&again);
            (void)zmq_msg_copy(&again, &frames.parts[0]);
            answer(scene, &frames);
            wire_put_ping(scene->buf, 1000);
            (void)zmq_msg_move(&frames.parts[0], &again);
            answer(scene, &frames);
            (void)zmq_msg_close(&again);
        } else if (message.kind == WIRE_PONG) {
            put(scene->buf, WIRE_JOBS);
            answer(scene, &frames);
        } else if (message.kind == WIRE_FETCHED) {
            scene->is_done = true;
        }
        frames_close(&frames);
    }
}

static void
on_turn(void *arg)
{
    struct scene *scene = arg;
    bool was_exempt = alloc_is_exempt;

    // The broker's part and the test's are not what fails.
    alloc_is_exempt = true;
    serve(scene);
    if (++scene->turns > GIVE_UP_MS / TURN_MS) {
        alloc_tell("link");
        fail_msg("the link does not come to its session");
    }
    alloc_is_exempt = was_exempt;
    if (scene->has_jobs && scene->has_welcome) {
        put(worker_link_buf(scene->link), WIRE_FETCHED);
        if (worker_link_send(scene->link, worker_link_buf(scene->link), NULL))
            return; // tries again at the next turn
        scene->has_jobs = false;
    }
    if (scene->is_done)
        loop_end(scene->loop);
}

static const struct worker_link_owner owner = {.on_welcome = on_welcome,
                                               .on_lost = on_lost,
                                               .on_message = on_message,
                                               .on_ping = on_ping};

static void
begin(struct scene *scene)
{
    *scene = (struct scene){.zmq = zmq_ctx_new()};
    assert_non_null(scene->zmq);
    scene->router = zmq_socket(scene->zmq, ZMQ_ROUTER);
    assert_non_null(scene->router);
    assert_int_equal(zmq_bind(scene->router, "inproc://link"), 0);
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(loop_timer_new(scene->loop, on_turn, scene, &scene->timer),
                     0);
    assert_int_equal(wire_buf_new(&scene->buf), 0);
    assert_int_equal(wire_decoder_new(&scene->decoder), 0);
}

static void
end(struct scene *scene)
{
    worker_link_free(&scene->link);
    loop_timer_free(&scene->timer);
    loop_free(&scene->loop);
    wire_buf_free(&scene->buf);
    wire_decoder_free(&scene->decoder);
    (void)zmq_close(scene->router);
    (void)zmq_ctx_term(scene->zmq);
}

static void
test_link(void **state)
{
    const struct worker_link_config config = {.endpoint = "inproc://link",
                                              .role = WIRE_FETCHER,
                                              .name = "it",
                                              .capacity = ENTRIES};
    unsigned nth = 0, starts = 0;
    bool has_failed = true;

    (void)state;
    while (has_failed) {
        struct worker_link_owner ours = owner;
        struct scene scene;
        int err;

        begin(&scene);
        ours.arg = &scene;
        alloc_arm(++nth);
        err =
            worker_link_new(scene.loop, scene.zmq, &config, &ours, &scene.link);
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(scene.link);
        } else {
            starts++;
            loop_timer_start(scene.timer, TURN_MS, TURN_MS);
            loop_run(scene.loop);
        }
        has_failed = alloc_disarm();
        assert_true(has_failed || !err);
        end(&scene);
    }
    print_message("%u allocations, %u of them after the start\n", nth - 1,
                  starts - 1);
    assert_true(starts > 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
