#include "common/role.h"

#include "common/loop.h"

#include <string.h>

void
role_init(struct role *role, void *zmq, bool takes_signals)
{
    memset(role, 0, sizeof(*role));
    (void)pthread_mutex_init(&role->lock, NULL); // cannot fail on Linux
    role->zmq = zmq;
    role->takes_signals = takes_signals;
}

void
role_fini(struct role *role)
{
    (void)pthread_mutex_destroy(&role->lock);
}

void
role_stop(struct role *role)
{
    (void)pthread_mutex_lock(&role->lock);
    role->stops++;
    // Under the lock: role_detach() cannot free the wake meanwhile.
    if (role->wake)
        loop_wake_send(role->wake);
    (void)pthread_mutex_unlock(&role->lock);
}

static void
on_wake(void *arg)
{
    struct role *role = arg;
    int stops;

    (void)pthread_mutex_lock(&role->lock);
    stops = role->stops;
    (void)pthread_mutex_unlock(&role->lock);
    if (!stops)
        return;
    if (!role->is_stopping && role->on_stopping)
        role->on_stopping(role->arg);
    role->is_stopping = true;
    role->on_stop(role->stop_arg, stops);
}

static void
on_stop_signal(void *arg)
{
    role_stop(arg);
}

static void
on_alive_timer(void *arg)
{
    struct role *role = arg;

    if (!role->is_alive || role->is_alive(role->is_alive_arg))
        role->on_alive(role->arg);
}

// Tells from now on that the loop turns, if somebody wants to hear it.
static int
start_alive_timer(struct role *role, struct loop *loop)
{
    int err;

    if (!role->on_alive || !role->alive_ms)
        return 0;
    err = loop_timer_new(loop, on_alive_timer, role, &role->alive_timer);
    if (!err)
        loop_timer_start(role->alive_timer, 0, role->alive_ms);
    return err;
}

void
role_watch(struct role *role, bool (*fn)(void *arg), void *arg)
{
    role->is_alive = fn;
    role->is_alive_arg = arg;
}

int
role_attach(struct role *role, struct loop *loop,
            void (*fn)(void *arg, int stops), void *arg)
{
    struct loop_wake *wake = NULL;
    int err = loop_wake_new(loop, on_wake, role, &wake);

    if (err)
        return err;
    role->on_stop = fn;
    role->stop_arg = arg;
    (void)pthread_mutex_lock(&role->lock);
    role->wake = wake;
    if (role->stops)
        loop_wake_send(wake);
    (void)pthread_mutex_unlock(&role->lock);
    err = start_alive_timer(role, loop);
    if (err || !role->takes_signals)
        return err;
    return loop_on_stop_signals(loop, on_stop_signal, role);
}

void
role_detach(struct role *role)
{
    (void)pthread_mutex_lock(&role->lock);
    loop_wake_free(&role->wake);
    (void)pthread_mutex_unlock(&role->lock);
    loop_timer_free(&role->alive_timer);
}

void
role_ready(struct role *role)
{
    if (role->on_ready)
        role->on_ready(role->arg);
}

void
role_status(struct role *role, const char *text)
{
    if (role->on_status)
        role->on_status(role->arg, text);
}

void
role_reloaded(struct role *role)
{
    if (role->on_reloaded)
        role->on_reloaded(role->arg);
}
