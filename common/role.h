// role.h - one run of a program's role, as seen by whoever started it
//
// A role (broker, fetcher, hasher) runs on the thread that calls its
// `<role>_run(config, role)` until it is stopped. main.c runs it on the main
// thread with signals; the client's embedded mode runs each on a thread of its
// own with a shared ZeroMQ context, so that `inproc://` endpoints meet.
#ifndef COMMON_ROLE_H
#define COMMON_ROLE_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_timer;
struct loop_wake;

struct role {
    void *zmq;          // the context, borrowed; outlives the run
    bool takes_signals; // SIGTERM and SIGINT stop it (main programs)
    // Called on the role's thread; each may be NULL. on_ready: it serves
    // (broker: bound and recovered; worker: its loop runs). on_stopping: the
    // first stop was asked for. on_status: what it is about just now, a line
    // for people.
    void (*on_ready)(void *arg);
    void (*on_stopping)(void *arg);
    void (*on_status)(void *arg, const char *text);
    // Its settings were read again, as SIGHUP asked.
    void (*on_reloaded)(void *arg);
    // Its loop turns: called every alive_ms (0: never), see role_watch().
    void (*on_alive)(void *arg);
    uint64_t alive_ms;
    void *arg;
    // Private: the door through which role_stop() reaches the loop.
    pthread_mutex_t lock;
    struct loop_wake *wake;
    struct loop_timer *alive_timer;
    bool (*is_alive)(void *arg);
    void *is_alive_arg;
    int stops;        // 1: drain, 2: leave now
    bool is_stopping; // on_stopping was called
    void (*on_stop)(void *arg, int stops);
    void *stop_arg;
};

// zmq: the context. Returns nothing to check.
void role_init(struct role *role, void *zmq, bool takes_signals);
void role_fini(struct role *role);

// Any thread, any time between role_init and role_fini: the first call asks
// the role to drain and end, the second to leave at once.
void role_stop(struct role *role);

// For the role itself, on its thread, once its loop exists: from now on fn is
// called on the loop with the count of stops asked for (also those asked
// before). role_detach() before loop_free().
int role_attach(struct role *role, struct loop *loop,
                void (*fn)(void *arg, int stops), void *arg);
void role_detach(struct role *role);

// For the role itself, before role_attach(): there is more to it than its loop,
// and on_alive is only called while fn, on the loop, returns true.
void role_watch(struct role *role, bool (*fn)(void *arg), void *arg);

// For the role itself: call on_ready, on_status, on_reloaded.
void role_ready(struct role *role);
void role_status(struct role *role, const char *text);
void role_reloaded(struct role *role);

#endif
