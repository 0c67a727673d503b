// The loop: nothing that arrives is left lying, whatever the callbacks do.
#include "common/frames.h"
#include "common/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define MESSAGES 100000

struct end {
    void *socket;
    struct loop_socket *watch;
    uint64_t got, sent;
    struct pair *pair;
};

// Two sockets on one loop, each answering the other.
struct pair {
    struct loop *loop;
    void *zmq;
    struct end a, b;
    uint64_t messages;
    uint64_t turns;
};

static void
send_number(struct end *end)
{
    int err =
        frames_send_copy(end->socket, &end->sent, sizeof(end->sent), false);

    // The binding end has nobody to send to before the first message came.
    if (err == -EAGAIN && !end->got)
        return;
    assert_int_equal(err, 0);
    end->sent++;
}

// Returns false when none is there, which the loop may well ask.
static bool
recv_number(struct end *end)
{
    struct frames frames;
    uint64_t number;

    if (frames_recv(end->socket, &frames) != 0)
        return false;
    assert_int_equal(frames.len, 1);
    assert_int_equal(zmq_msg_size(&frames.parts[0]), sizeof(number));
    memcpy(&number, zmq_msg_data(&frames.parts[0]), sizeof(number));
    frames_close(&frames);
    assert_int_equal(number, end->got); // in order, none missing
    end->got++;
    return true;
}

// Each message is answered by none, one or several, so that sends fall into
// every place of a turn.
static bool
on_message(void *arg)
{
    struct end *end = arg;
    struct end *other = end == &end->pair->a ? &end->pair->b : &end->pair->a;
    uint64_t number = end->got;

    if (!recv_number(end))
        return false;
    for (uint64_t i = 0; i < (number % 3 == 0 ? 3u : 0u); i++) {
        if (end->sent < end->pair->messages)
            send_number(end);
    }
    if (end->got == end->pair->messages && other->got == end->pair->messages)
        loop_end(end->pair->loop);
    return true;
}

static void
on_flush(void *arg)
{
    struct pair *pair = arg;

    pair->turns++;
    // Sending in a hook swallows edges as well.
    if (pair->a.sent < pair->messages)
        send_number(&pair->a);
    if (pair->turns % 7 == 0 && pair->b.sent < pair->messages)
        send_number(&pair->b);
}

static void
open_end(struct pair *pair, struct end *end, const char *endpoint, bool binds)
{
    int zero = 0;

    end->pair = pair;
    end->socket = zmq_socket(pair->zmq, ZMQ_PAIR);
    assert_non_null(end->socket);
    (void)zmq_setsockopt(end->socket, ZMQ_LINGER, &zero, sizeof(zero));
    (void)zmq_setsockopt(end->socket, ZMQ_SNDHWM, &zero, sizeof(zero));
    (void)zmq_setsockopt(end->socket, ZMQ_RCVHWM, &zero, sizeof(zero));
    assert_int_equal(binds ? zmq_bind(end->socket, endpoint)
                           : zmq_connect(end->socket, endpoint),
                     0);
    assert_int_equal(
        loop_add_socket(pair->loop, end->socket, on_message, end, &end->watch),
        0);
}

static void
exchange(const char *endpoint, uint64_t messages)
{
    struct pair pair = {.messages = messages};

    assert_int_equal(loop_new(&pair.loop), 0);
    pair.zmq = zmq_ctx_new();
    assert_non_null(pair.zmq);
    open_end(&pair, &pair.a, endpoint, true);
    open_end(&pair, &pair.b, endpoint, false);
    loop_add_flush(pair.loop, on_flush, &pair);
    send_number(&pair.b);
    loop_run(pair.loop);
    assert_int_equal(pair.a.got, messages);
    assert_int_equal(pair.b.got, messages);
    loop_free(&pair.loop); // ends the watches, not the sockets
    assert_null(pair.loop);
    (void)zmq_close(pair.a.socket);
    (void)zmq_close(pair.b.socket);
    (void)zmq_ctx_term(pair.zmq);
}

static void
test_inproc(void **state)
{
    (void)state;
    exchange("inproc://pair", MESSAGES);
}

static void
test_ipc(void **state)
{
    char folder[] = "/tmp/test_loop.XXXXXX";
    char endpoint[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(endpoint, sizeof(endpoint), "ipc://%s/s", folder);
    exchange(endpoint, MESSAGES);
    (void)unlink(endpoint + strlen("ipc://"));
    (void)rmdir(folder);
}

// --- From another thread ---

struct flood {
    struct loop *loop;
    struct end end;
    void *zmq;
};

static void *
run_flood(void *arg)
{
    struct flood *flood = arg;
    int zero = 0;
    void *socket = zmq_socket(flood->zmq, ZMQ_PAIR);

    (void)zmq_setsockopt(socket, ZMQ_SNDHWM, &zero, sizeof(zero));
    if (zmq_connect(socket, "inproc://flood") == 0) {
        for (uint64_t i = 0; i < MESSAGES; i++) {
            zmq_msg_t part;

            (void)zmq_msg_init_size(&part, sizeof(i));
            memcpy(zmq_msg_data(&part), &i, sizeof(i));
            (void)frames_send_take(socket, &part, false);
            if (i % 1000 == 0)
                (void)sched_yield(); // so that the loop sleeps now and then
        }
    }
    (void)zmq_close(socket);
    return NULL;
}

static bool
on_flood(void *arg)
{
    struct flood *flood = arg;

    if (!recv_number(&flood->end))
        return false;
    if (flood->end.got == MESSAGES)
        loop_end(flood->loop);
    return true;
}

static void
test_flood(void **state)
{
    struct flood flood = {.zmq = zmq_ctx_new()};
    pthread_t thread;
    int zero = 0;

    (void)state;
    assert_int_equal(loop_new(&flood.loop), 0);
    flood.end.socket = zmq_socket(flood.zmq, ZMQ_PAIR);
    (void)zmq_setsockopt(flood.end.socket, ZMQ_RCVHWM, &zero, sizeof(zero));
    assert_int_equal(zmq_bind(flood.end.socket, "inproc://flood"), 0);
    assert_int_equal(loop_add_socket(flood.loop, flood.end.socket, on_flood,
                                     &flood, &flood.end.watch),
                     0);
    assert_int_equal(pthread_create(&thread, NULL, run_flood, &flood), 0);
    loop_run(flood.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(flood.end.got, MESSAGES);
    loop_remove_socket(&flood.end.watch);
    assert_null(flood.end.watch);
    loop_free(&flood.loop);
    (void)zmq_close(flood.end.socket);
    (void)zmq_ctx_term(flood.zmq);
}

// --- Wakes ---

struct wakes {
    struct loop *loop;
    struct loop_wake *wake;
    unsigned sent[4]; // by each thread, before it sends
    unsigned done;    // threads that have sent their last
    unsigned seen;
};

struct waker {
    struct wakes *wakes;
    size_t place;
};

static void *
run_waker(void *arg)
{
    const struct waker *waker = arg;

    for (unsigned i = 0; i < 10000; i++) {
        (void)__atomic_add_fetch(&waker->wakes->sent[waker->place], 1,
                                 __ATOMIC_SEQ_CST);
        loop_wake_send(waker->wakes->wake);
    }
    (void)__atomic_add_fetch(&waker->wakes->done, 1, __ATOMIC_SEQ_CST);
    loop_wake_send(waker->wakes->wake);
    return NULL;
}

// Wakes may be merged; but after the last one the loop looks once more.
static void
on_wake(void *arg)
{
    struct wakes *wakes = arg;

    wakes->seen++;
    if (__atomic_load_n(&wakes->done, __ATOMIC_SEQ_CST) == 4)
        loop_end(wakes->loop);
}

static void
test_wakes(void **state)
{
    struct wakes wakes = {.done = 0};
    struct waker wakers[4];
    pthread_t threads[4];

    (void)state;
    assert_int_equal(loop_new(&wakes.loop), 0);
    assert_int_equal(loop_wake_new(wakes.loop, on_wake, &wakes, &wakes.wake),
                     0);
    for (size_t i = 0; i < 4; i++) {
        wakers[i] = (struct waker){&wakes, i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, run_waker, &wakers[i]), 0);
    }
    loop_run(wakes.loop);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(wakes.sent[i], 10000);
    assert_in_range(wakes.seen, 1, 40004);
    loop_wake_free(&wakes.wake);
    assert_null(wakes.wake);
    loop_wake_free(&wakes.wake); // NULL is fine
    loop_free(&wakes.loop);
}

// --- Timers ---

struct timers {
    struct loop *loop;
    struct loop_timer *early, *late, *often, *never;
    uint64_t early_ms, late_ms;
    unsigned often_len;
};

static void
on_early(void *arg)
{
    struct timers *timers = arg;

    timers->early_ms = loop_now_ms(timers->loop);
}

static void
on_often(void *arg)
{
    struct timers *timers = arg;

    if (++timers->often_len == 3)
        loop_timer_stop(timers->often);
}

static void
on_late(void *arg)
{
    struct timers *timers = arg;

    timers->late_ms = loop_now_ms(timers->loop);
    loop_end(timers->loop);
}

static void
on_never(void *arg)
{
    (void)arg;
    fail_msg("a timer that was stopped");
}

static void
test_timers(void **state)
{
    struct timers timers = {.often_len = 0};
    uint64_t start_ms;

    (void)state;
    assert_int_equal(loop_new(&timers.loop), 0);
    assert_int_equal(
        loop_timer_new(timers.loop, on_early, &timers, &timers.early), 0);
    assert_int_equal(
        loop_timer_new(timers.loop, on_late, &timers, &timers.late), 0);
    assert_int_equal(
        loop_timer_new(timers.loop, on_often, &timers, &timers.often), 0);
    assert_int_equal(
        loop_timer_new(timers.loop, on_never, &timers, &timers.never), 0);
    start_ms = loop_now_ms(timers.loop);
    loop_timer_start(timers.late, 1, 0);
    loop_timer_start(timers.late, 30, 0); // anew
    loop_timer_start(timers.early, 10, 0);
    loop_timer_start(timers.often, 0, 1);
    loop_timer_start(timers.never, 5, 0);
    loop_timer_stop(timers.never);
    loop_run(timers.loop);
    assert_true(timers.early_ms >= start_ms + 10);
    assert_true(timers.late_ms >= start_ms + 30);
    assert_true(timers.late_ms >= timers.early_ms);
    assert_int_equal(timers.often_len, 3);
    loop_timer_start(timers.never, 0, 0); // freed before it can run
    loop_timer_free(&timers.early);
    loop_timer_free(&timers.late);
    loop_timer_free(&timers.often);
    loop_timer_free(&timers.never);
    assert_null(timers.never);
    loop_free(&timers.loop);
}

// --- Hooks ---

struct hooks {
    struct loop *loop;
    char order[64];
    size_t len;
    unsigned turns;
};

static void
note(struct hooks *hooks, char what)
{
    if (hooks->len < sizeof(hooks->order) - 1)
        hooks->order[hooks->len++] = what;
}

static void
on_first_hook(void *arg)
{
    note(arg, '1');
}

static void
on_second_hook(void *arg)
{
    struct hooks *hooks = arg;

    note(hooks, '2');
    if (++hooks->turns == 5)
        loop_end(hooks->loop);
    else
        loop_again(hooks->loop); // nothing else would wake it
}

static void
test_hooks(void **state)
{
    struct hooks hooks = {.len = 0};

    (void)state;
    assert_int_equal(loop_new(&hooks.loop), 0);
    loop_add_flush(hooks.loop, on_first_hook, &hooks);
    loop_add_flush(hooks.loop, on_second_hook, &hooks);
    loop_run(hooks.loop);
    assert_string_equal(hooks.order, "1212121212");
    loop_free(&hooks.loop);
}

// --- Watches that end in their own callback ---

struct leaving {
    struct loop *loop;
    void *zmq;
    void *ins[3], *outs[3];
    struct loop_socket *watches[3];
    unsigned got[3];
};

static struct leaving leaving;

static bool
on_leaving(void *arg)
{
    size_t i = (size_t)((void **)arg - leaving.ins);
    struct frames frames;

    if (frames_recv(leaving.ins[i], &frames) != 0)
        return false;
    frames_close(&frames);
    leaving.got[i]++;
    if (leaving.got[0] + leaving.got[1] + leaving.got[2] == 1 + 10 + 10)
        loop_end(leaving.loop);
    if (i == 0)
        loop_remove_socket(&leaving.watches[0]);
    return true;
}

static void
test_remove_in_callback(void **state)
{
    int zero = 0;

    (void)state;
    leaving.zmq = zmq_ctx_new();
    assert_int_equal(loop_new(&leaving.loop), 0);
    for (size_t i = 0; i < 3; i++) {
        char endpoint[32];

        (void)snprintf(endpoint, sizeof(endpoint), "inproc://%zu", i);
        leaving.ins[i] = zmq_socket(leaving.zmq, ZMQ_PAIR);
        leaving.outs[i] = zmq_socket(leaving.zmq, ZMQ_PAIR);
        (void)zmq_setsockopt(leaving.outs[i], ZMQ_LINGER, &zero, sizeof(zero));
        assert_int_equal(zmq_bind(leaving.ins[i], endpoint), 0);
        assert_int_equal(zmq_connect(leaving.outs[i], endpoint), 0);
        assert_int_equal(loop_add_socket(leaving.loop, leaving.ins[i],
                                         on_leaving, &leaving.ins[i],
                                         &leaving.watches[i]),
                         0);
        for (int n = 0; n < 10; n++)
            assert_int_equal(frames_send_copy(leaving.outs[i], "x", 1, false),
                             0);
    }
    loop_run(leaving.loop);
    assert_int_equal(leaving.got[0], 1);
    assert_int_equal(leaving.got[1], 10);
    assert_int_equal(leaving.got[2], 10);
    loop_free(&leaving.loop);
    for (size_t i = 0; i < 3; i++) {
        (void)zmq_close(leaving.ins[i]);
        (void)zmq_close(leaving.outs[i]);
    }
    (void)zmq_ctx_term(leaving.zmq);
}

// --- Stopping ---

static void
on_stop(void *arg)
{
    loop_end(arg);
}

static void
test_stop_signals(void **state)
{
    struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(loop_on_stop_signals(loop, on_stop, loop), 0);
    assert_int_equal(raise(SIGTERM), 0);
    loop_run(loop);
    assert_int_equal(raise(SIGINT), 0);
    loop_run(loop);
    loop_free(&loop);
    loop_free(&loop); // NULL is fine
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inproc),
        cmocka_unit_test(test_ipc),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_remove_in_callback),
        cmocka_unit_test(test_stop_signals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
