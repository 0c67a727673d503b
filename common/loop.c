#include "common/loop.h"

#include "common/frames.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <zmq.h>

// Messages taken from one socket before the others and the timers have their
// turn: large enough to amortise a turn, small enough to stay fair.
#define MESSAGES_A_TURN 256
#define FLUSHES_MAX 4
#define SOCKETS_MAX 8

struct loop_socket {
    struct loop *loop;
    void *socket;
    loop_message_fn *fn;
    void *arg;
    uv_poll_t poll;
    // A message may be waiting: the descriptor fired, or the last look was cut
    // short. Asking libzmq costs a system call, so only then.
    bool is_ready;
    uint64_t sends_seen; // frames_sends() at the last look
};

struct flush_hook {
    void (*fn)(void *arg);
    void *arg;
};

struct loop {
    uv_loop_t uv;
    // Runs before each sleep: hands messages out, then flushes.
    uv_prepare_t prepare;
    // While started, the loop does not sleep: input waits that ZeroMQ's
    // edge-triggered descriptor will not announce again.
    uv_idle_t awake;
    bool is_again;
    struct loop_socket *sockets[SOCKETS_MAX];
    size_t sockets_len;
    struct flush_hook flushes[FLUSHES_MAX];
    size_t flushes_len;
    uv_signal_t signals[2];
    bool has_signals;
    void (*signal_fn)(void *arg);
    void *signal_arg;
};

struct loop_timer {
    uv_timer_t timer;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_wake {
    uv_async_t async;
    void (*fn)(void *arg);
    void *arg;
};

// Hands out what waits, up to the cap. is_ready stays set when there is more.
static void
take_messages(struct loop *loop, size_t i)
{
    struct loop_socket *watch = loop->sockets[i];

    for (int n = 0; n < MESSAGES_A_TURN; n++) {
        if (!watch->fn(watch->arg)) {
            watch->is_ready = false;
            watch->sends_seen = frames_sends();
            return;
        }
        // A callback may remove its own watch.
        if (i >= loop->sockets_len || loop->sockets[i] != watch)
            return;
    }
}

// Sending makes libzmq look at its mailbox, which may swallow the edge that
// announces a message: then the descriptor stays silent and libzmq must be
// asked.
static bool
may_have_message(struct loop_socket *watch)
{
    int events = 0;
    size_t len = sizeof(events);

    if (watch->is_ready || watch->sends_seen == frames_sends())
        return watch->is_ready;
    watch->sends_seen = frames_sends();
    // ETERM alone can fail this; the loop is about to end then.
    if (zmq_getsockopt(watch->socket, ZMQ_EVENTS, &events, &len) == 0)
        watch->is_ready = (events & ZMQ_POLLIN) != 0;
    return watch->is_ready;
}

static void
on_awake(uv_idle_t *awake)
{
    (void)awake; // its being started is all that matters
}

static void
on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    bool is_pending;

    loop->is_again = false;
    for (size_t i = 0; i < loop->sockets_len; i++) {
        if (loop->sockets[i]->is_ready)
            take_messages(loop, i);
    }
    for (size_t i = 0; i < loop->flushes_len; i++)
        loop->flushes[i].fn(loop->flushes[i].arg);

    is_pending = loop->is_again;
    for (size_t i = 0; i < loop->sockets_len; i++)
        is_pending |= may_have_message(loop->sockets[i]);
    if (is_pending)
        (void)uv_idle_start(&loop->awake, on_awake);
    else
        (void)uv_idle_stop(&loop->awake);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_socket *watch = poll->data;

    (void)status, (void)events;
    watch->is_ready = true; // on_prepare does the work
}

int
loop_new(struct loop **out_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int err;

    if (!loop)
        return -ENOMEM;
    err = uv_loop_init(&loop->uv);
    if (err) {
        free(loop);
        return err; // libuv's codes are negative errnos on Unix
    }
    (void)uv_prepare_init(&loop->uv, &loop->prepare); // never fails
    loop->prepare.data = loop;
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_idle_init(&loop->uv, &loop->awake);
    *out_loop = loop;
    return 0;
}

static void
close_if_open(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void
loop_free(struct loop **loop)
{
    if (!*loop)
        return;
    // Closing a signal's handle gives it back its default effect. One more
    // SIGTERM must not kill a program that is about to end with its own code.
    if ((*loop)->signal_fn)
        loop_hold_stop_signals();
    while ((*loop)->sockets_len) {
        struct loop_socket *last = (*loop)->sockets[(*loop)->sockets_len - 1];

        loop_remove_socket(&last);
    }
    uv_walk(&(*loop)->uv, close_if_open, NULL);
    // Until all have closed; a late loop_end() may cut one run short.
    while (uv_run(&(*loop)->uv, UV_RUN_DEFAULT) != 0) {
    }
    (void)uv_loop_close(&(*loop)->uv);
    free(*loop);
    *loop = NULL;
}

uv_loop_t *
loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void
loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
loop_end(struct loop *loop)
{
    uv_stop(&loop->uv);
}

uint64_t
loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

int
loop_add_socket(struct loop *loop, void *socket, loop_message_fn *fn, void *arg,
                struct loop_socket **out_socket)
{
    struct loop_socket *watch;
    int fd = -1;
    size_t len = sizeof(fd);
    int err;

    if (loop->sockets_len == SOCKETS_MAX)
        return -ENOSPC;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &len) != 0)
        return -zmq_errno();
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    err = uv_poll_init(&loop->uv, &watch->poll, fd);
    if (err) {
        free(watch);
        return err;
    }
    watch->loop = loop;
    watch->socket = socket;
    watch->fn = fn;
    watch->arg = arg;
    watch->poll.data = watch;
    watch->is_ready = true; // what came before the watch fires no edge
    (void)uv_poll_start(&watch->poll, UV_READABLE, on_poll);
    loop->sockets[loop->sockets_len++] = watch;
    *out_socket = watch;
    return 0;
}

static void
free_socket(uv_handle_t *handle)
{
    free(handle->data);
}

void
loop_remove_socket(struct loop_socket **socket)
{
    struct loop *loop;

    if (!*socket)
        return;
    loop = (*socket)->loop;
    for (size_t i = 0; i < loop->sockets_len; i++) {
        if (loop->sockets[i] != *socket)
            continue;
        loop->sockets_len--;
        for (size_t j = i; j < loop->sockets_len; j++)
            loop->sockets[j] = loop->sockets[j + 1];
        break;
    }
    uv_close((uv_handle_t *)&(*socket)->poll, free_socket);
    *socket = NULL;
}

void
loop_add_flush(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    assert(loop->flushes_len < FLUSHES_MAX);
    loop->flushes[loop->flushes_len++] = (struct flush_hook){fn, arg};
}

void
loop_again(struct loop *loop)
{
    loop->is_again = true;
}

static void
on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;

    timer->fn(timer->arg);
}

int
loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg,
               struct loop_timer **out_timer)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));

    if (!timer)
        return -ENOMEM;
    (void)uv_timer_init(&loop->uv, &timer->timer); // never fails
    timer->timer.data = timer;
    timer->fn = fn;
    timer->arg = arg;
    *out_timer = timer;
    return 0;
}

void
loop_timer_start(struct loop_timer *timer, uint64_t delay_ms,
                 uint64_t repeat_ms)
{
    (void)uv_timer_start(&timer->timer, on_timer, delay_ms, repeat_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
    (void)uv_timer_stop(&timer->timer);
}

static void
free_handle_data(uv_handle_t *handle)
{
    free(handle->data);
}

void
loop_timer_free(struct loop_timer **timer)
{
    if (!*timer)
        return;
    uv_close((uv_handle_t *)&(*timer)->timer, free_handle_data);
    *timer = NULL;
}

static void
on_async(uv_async_t *uv)
{
    struct loop_wake *wake = uv->data;

    wake->fn(wake->arg);
}

int
loop_wake_new(struct loop *loop, void (*fn)(void *arg), void *arg,
              struct loop_wake **out_wake)
{
    struct loop_wake *wake = calloc(1, sizeof(*wake));
    int err;

    if (!wake)
        return -ENOMEM;
    err = uv_async_init(&loop->uv, &wake->async, on_async);
    if (err) {
        free(wake);
        return err;
    }
    wake->async.data = wake;
    wake->fn = fn;
    wake->arg = arg;
    *out_wake = wake;
    return 0;
}

void
loop_wake_send(struct loop_wake *wake)
{
    (void)uv_async_send(&wake->async);
}

void
loop_wake_free(struct loop_wake **wake)
{
    if (!*wake)
        return;
    uv_close((uv_handle_t *)&(*wake)->async, free_handle_data);
    *wake = NULL;
}

static void
on_signal(uv_signal_t *uv, int number)
{
    struct loop *loop = uv->data;

    (void)number;
    loop->signal_fn(loop->signal_arg);
}

int
loop_on_stop_signals(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    static const int numbers[2] = {SIGTERM, SIGINT};
    sigset_t handled;

    (void)sigemptyset(&handled);
    loop->signal_fn = fn;
    loop->signal_arg = arg;
    for (int i = 0; i < 2; i++) {
        int err = uv_signal_init(&loop->uv, &loop->signals[i]);

        if (!err) {
            loop->signals[i].data = loop;
            err = uv_signal_start(&loop->signals[i], on_signal, numbers[i]);
        }
        if (err)
            return err;
        (void)sigaddset(&handled, numbers[i]);
    }
    (void)pthread_sigmask(SIG_UNBLOCK, &handled, NULL);
    return 0;
}

void
loop_hold_stop_signals(void)
{
    sigset_t held;

    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &held, NULL);
}
