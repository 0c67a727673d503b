#include "broker/broker.h"

#include "broker/access.h"
#include "broker/api.h"
#include "broker/disk.h"
#include "broker/endpoints.h"
#include "broker/guard.h"
#include "broker/lease.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "broker/stats.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/endpoint.h"
#include "common/http.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <zmq.h>

// Longest pause between two PINGs; also how exact a client's wait_ms is.
#define BEAT_MAX_MS 1000

// One run of the role: what only starting and stopping need.
struct run {
    struct broker broker;
    struct role *role;
    void *client_socket;
    struct loop_socket *watches[3];
    struct loop_timer *beat_timer;
    struct loop_timer *retry_timer;
    struct loop_timer *grace_timer;
    struct http *http;
    uint64_t retry_due_ms;
    const char *store_path; // NULL: a temporary file
    char store_default[4096];
    const char *status; // what the service manager was told last
    bool is_ready;      // broker.ready is logged
    int code;           // the program's exit code
};

// --- Turns ---

static bool
on_client(void *arg)
{
    struct run *run = arg;

    return api_on_message(run->broker.api);
}

static bool
on_fetcher(void *arg)
{
    struct run *run = arg;

    return sessions_on_message(&run->broker, WIRE_FETCHER);
}

static bool
on_hasher(void *arg)
{
    struct run *run = arg;

    return sessions_on_message(&run->broker, WIRE_HASHER);
}

// For `systemctl status` and the like.
static void
tell_status(struct run *run)
{
    int64_t since_wall_ms;
    bool is_store;
    const char *status =
        broker_hindrance(&run->broker, &since_wall_ms, &is_store);

    if (!run->broker.recovery.is_over)
        status = "reads its store";
    else if (!status)
        status = "serves";
    if (status == run->status)
        return;
    run->status = status;
    role_status(run->role, status);
}

static void
on_beat(void *arg)
{
    struct run *run = arg;

    sessions_beat(&run->broker);
    leases_check(&run->broker);
    trouble_beat(&run->broker);
    tell_status(run);
}

static void
on_retry_due(void *arg)
{
    (void)arg; // waking up is enough: on_turn_end() does the work
}

static size_t
leases(const struct broker *broker)
{
    const struct session *session;
    size_t len = 0;

    DL_FOREACH(broker->sessions.fetchers, session)
    {
        len += session->jobs_len;
    }
    DL_FOREACH(broker->sessions.hashers, session)
    {
        len += session->jobs_len;
    }
    return len;
}

// Nothing is under way that a stop would interrupt.
static bool
is_idle(const struct broker *broker)
{
    return !leases(broker) && !broker->trouble.unrecorded;
}

static void
on_turn_end(void *arg)
{
    struct run *run = arg;
    struct broker *broker = &run->broker;
    uint64_t due_ms = schedule_run_retries(broker);
    uint64_t hosts_due_ms = hosts_run(broker);

    if (hosts_due_ms < due_ms)
        due_ms = hosts_due_ms;
    if (due_ms != run->retry_due_ms) {
        uint64_t now_ms = loop_now_ms(broker->loop);

        run->retry_due_ms = due_ms;
        if (due_ms == UINT64_MAX)
            loop_timer_stop(run->retry_timer);
        else
            loop_timer_start(run->retry_timer, due_ms - now_ms, 0);
    }
    recovery_run(broker);
    schedule_run(broker);
    batches_refill(broker);
    tidy_run(broker);
    api_flush(broker->api);
    sessions_flush(broker);
    store_flush(broker->store);
    if (broker->is_draining && is_idle(broker))
        loop_end(broker->loop);
}

// --- Recovery: unfinished batches go on ---

static void
log_ready(const struct run *run)
{
    const struct broker_config *config = run->broker.config;
    const char *texts[4] = {run->store_path ? run->store_path : "",
                            config->client_bind, config->fetcher_bind,
                            config->hasher_bind};
    char shown[4][ENDPOINT_MAX * 2];

    for (int i = 0; i < 4; i++)
        (void)log_escape(texts[i], strlen(texts[i]), shown[i],
                         sizeof(shown[i]));
    log_info("broker.ready",
             "version=%s store=%s client=%s fetcher=%s hasher=%s",
             URLSUM_VERSION, shown[0], shown[1], shown[2], shown[3]);
}

// Clients are heard from now on: before, their batches would not be found.
static void
on_recovered(void *arg, int err)
{
    struct run *run = arg;

    if (!err)
        err = loop_add_socket(run->broker.loop, run->client_socket, on_client,
                              run, &run->watches[0]);
    if (err) {
        run->code = 3;
        loop_end(run->broker.loop);
        return;
    }
    run->is_ready = true;
    log_ready(run);
    tell_status(run);
    role_ready(run->role);
}

// --- Stopping ---

static void
on_grace_over(void *arg)
{
    struct run *run = arg;

    log_warn("broker.grace_over", "leases=%zu", leases(&run->broker));
    loop_end(run->broker.loop);
}

static void
on_stop(void *arg, int stops)
{
    struct run *run = arg;

    if (stops > 1 || is_idle(&run->broker)) {
        loop_end(run->broker.loop);
        return;
    }
    if (run->broker.is_draining)
        return;
    log_info("broker.drains", "leases=%zu unrecorded=%zu", leases(&run->broker),
             run->broker.trouble.unrecorded);
    run->broker.is_draining = true;
    loop_timer_start(run->grace_timer, (uint64_t)run->broker.config->grace_ms,
                     0);
}

// --- Starting ---

// The default store: $XDG_STATE_HOME/urlsum/broker.db (XDG Base Directory
// Specification).
static const char *
store_path(const struct broker_config *config, char *buf, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (config->is_ephemeral)
        return NULL;
    if (config->store && config->store[0])
        return config->store;
    if (state && state[0] == '/')
        (void)snprintf(buf, size, "%s/urlsum/broker.db", state);
    else
        (void)snprintf(buf, size, "%s/.local/state/urlsum/broker.db",
                       home ? home : "");
    return buf;
}

static int
open_store(struct run *run)
{
    const struct broker_config *config = run->broker.config;
    char why[512] = "";
    struct store_config store = {
        .path = run->store_path,
        .is_durable = !config->is_ephemeral,
    };
    int err = store_open(&store, run->broker.loop, &run->broker.store, why,
                         sizeof(why));

    if (!err)
        return 0;
    fprintf(stderr, "%s: %s\n",
            config->is_ephemeral ? "urlsum" : "urlsum-broker", why);
    return 3;
}

static int
watch_all(struct run *run)
{
    struct loop *loop = run->broker.loop;
    uint64_t beat_ms = (uint64_t)run->broker.config->ttl_ms / 4;
    int err;

    if ((err = loop_add_socket(loop, run->broker.sessions.fetcher_socket,
                               on_fetcher, run, &run->watches[1])) ||
        (err = loop_add_socket(loop, run->broker.sessions.hasher_socket,
                               on_hasher, run, &run->watches[2])) ||
        (err = loop_timer_new(loop, on_beat, run, &run->beat_timer)) ||
        (err = loop_timer_new(loop, on_retry_due, run, &run->retry_timer)) ||
        (err = loop_timer_new(loop, on_grace_over, run, &run->grace_timer)) ||
        (err = role_attach(run->role, loop, on_stop, run)))
        return err;
    if (beat_ms > BEAT_MAX_MS)
        beat_ms = BEAT_MAX_MS;
    loop_timer_start(run->beat_timer, beat_ms, beat_ms);
    loop_add_flush(loop, on_turn_end, run);
    return 0;
}

static int
start(struct run *run)
{
    struct broker *broker = &run->broker;
    int err, code;

    if ((err = loop_new(&broker->loop)) || (err = sessions_init(broker)) ||
        (err = origin_parser_new(&broker->origin_parser)) ||
        (err = hosts_init(broker)) ||
        (err = heap_reserve(&broker->retries, JOBS_MAX)))
        goto failed;
    if (!broker->config->is_ephemeral)
        guard_raise_files();
    run->store_path = store_path(broker->config, run->store_default,
                                 sizeof(run->store_default));
    if (broker->config->http) {
        if (!http_is_address(broker->config->http)) {
            fprintf(stderr, "urlsum-broker: --http %s: not ADDRESS:PORT\n",
                    broker->config->http);
            return 2;
        }
        if (stats_serve(broker, broker->config->http, &run->http) != 0)
            return 3;
    }
    code = access_new(broker, run->role, &broker->access);
    if (!code)
        code = endpoints_bind(broker, run->role->zmq, &run->client_socket);
    if (!code)
        code = open_store(run);
    if (code)
        return code;
    if ((err = api_new(broker, run->client_socket, &broker->api)) ||
        (err = watch_all(run)))
        goto failed;
    if (broker->config->http && run->store_path &&
        (err = disk_new(broker->loop, run->store_path, &broker->disk)))
        goto failed;
    hosts_load(broker);
    recovery_start(broker, on_recovered, run);
    return 0;
failed:
    log_error("broker.start", "error=%d", err);
    return 3;
}

static void
finish(struct run *run)
{
    struct broker *broker = &run->broker;
    void *sockets[] = {run->client_socket, broker->sessions.fetcher_socket,
                       broker->sessions.hasher_socket};
    size_t in_hand = leases(broker);

    if (broker->sessions.buf) // sessions_init() came to its end
        sessions_say_bye(broker);
    role_detach(run->role);
    if (broker->store)
        trouble_push_all(broker);
    // Gives every operation back: nothing points into batches afterwards.
    store_close(&broker->store);
    http_free(&run->http);
    if (broker->trouble.unrecorded) {
        if (!broker->config->is_ephemeral) // there is a next start
            log_error("broker.unrecorded",
                      "records=%zu do=\"see to the store's disk; after the "
                      "next start their URLs are fetched again\"",
                      broker->trouble.unrecorded);
        run->code = 3;
    }
    if (run->is_ready)
        log_info("broker.stopped", "leases=%zu", in_hand);
    api_free(&broker->api);
    guard_free(&broker->client_guard);
    guard_free(&broker->fetcher_guard);
    guard_free(&broker->hasher_guard);
    batches_fini(broker);
    hosts_fini(broker);
    sessions_fini(broker);
    heap_fini(&broker->retries);
    origin_parser_free(&broker->origin_parser);
    loop_timer_free(&run->beat_timer);
    loop_timer_free(&run->retry_timer);
    loop_timer_free(&run->grace_timer);
    disk_free(&broker->disk);
    for (int i = 0; i < 3; i++) {
        loop_remove_socket(&run->watches[i]);
        if (sockets[i])
            (void)zmq_close(sockets[i]);
    }
    access_free(&broker->access);
    loop_free(&broker->loop);
}

int
broker_run(const struct broker_config *config, struct role *role)
{
    struct run *run = calloc(1, sizeof(*run));
    int code;

    if (!run)
        return 3;
    run->broker.config = config;
    run->broker.seed = (unsigned)clock_now_us();
    run->role = role;
    run->retry_due_ms = UINT64_MAX;
    run->code = start(run);
    if (!run->code)
        loop_run(run->broker.loop);
    finish(run);
    code = run->code;
    free(run);
    return code;
}
