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
    if (!role->takes_signals)
        return 0;
    return loop_on_stop_signals(loop, on_stop_signal, role);
}

void
role_detach(struct role *role)
{
    (void)pthread_mutex_lock(&role->lock);
    loop_wake_free(&role->wake);
    (void)pthread_mutex_unlock(&role->lock);
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
