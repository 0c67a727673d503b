#include "broker/broker.h"

#include "broker/api.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/endpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <zmq.h>

#define AT(field) offsetof(struct broker_config, field)
#define MIB (INT64_C(1024) * 1024)
// How often what the store refused is offered again.
#define PARKED_AGAIN_MS 1000
// Longest pause between two PINGs; also how exact a client's wait_ms is.
#define BEAT_MAX_MS 1000
// A client's frame: twice what is allowed, so that a little too much is told
// and only the absurd is cut off.
#define CLIENT_FRAME_BYTES_MAX (2 * SUBMIT_BYTES_MAX)
// Replies that wait for a client that does not read; a well-behaved one has at
// most API_UNANSWERED_MAX.
#define CLIENT_REPLIES_MAX 64

const struct conf_option broker_schedule_options[] = {
    {"parallel-max-host", 0, CONF_INT, AT(parallel_max_host), "8", 1, 65535,
     "N", "Transfers at once from one origin, of all fetchers together."},
    {"buffer-memory", 0, CONF_SIZE, AT(buffer_memory), "256M", 8 * MIB,
     1024 * 1024 * MIB, "SIZE",
     "Bytes of bodies that may be between fetchers and hashers."},
    {0},
};

const struct conf_option broker_options[] = {
    {"client-bind", 0, CONF_STRING, AT(client_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where clients connect (port 5550 unless given)."},
    {"fetcher-bind", 0, CONF_STRING, AT(fetcher_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where fetchers connect (port 5551 unless given)."},
    {"hasher-bind", 0, CONF_STRING, AT(hasher_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where hashers connect (port 5552 unless given)."},
    {"store", 0, CONF_STRING, AT(store), NULL, 0, 0, "FILE",
     "The durable queue and results; made when missing. Without it: "
     "$XDG_STATE_HOME/urlsum/broker.db, or below ~/.local/state."},
    {"ttl", 0, CONF_SECONDS, AT(ttl_ms), "10", 200, 3600000, "SECONDS",
     "Silence after which a worker is lost and its jobs go to others."},
    {"grace", 0, CONF_SECONDS, AT(grace_ms), "25", 0, 3600000, "SECONDS",
     "How long SIGTERM lets transfers finish before they are handed back."},
    {"log-level", 0, CONF_STRING, AT(log_level), "info", 0, 0, "LEVEL",
     "Least important lines to log: error, warn, info or debug."},
    {0},
};

// One run of the role: what only starting and stopping need.
struct run {
    struct broker broker;
    struct role *role;
    void *client_socket;
    struct loop_socket *watches[3];
    struct loop_timer *beat_timer;
    struct loop_timer *retry_timer;
    struct loop_timer *parked_timer;
    struct loop_timer *grace_timer;
    uint64_t retry_due_ms;
    struct store_batches recovery;
    const char *store_path; // NULL: a temporary file
    char store_default[4096];
    bool is_recovered;
};

static struct run *
run_of(struct broker *broker)
{
    return (struct run *)((char *)broker - offsetof(struct run, broker));
}

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

static void
on_beat(void *arg)
{
    struct run *run = arg;

    sessions_beat(&run->broker);
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

static void
on_turn_end(void *arg)
{
    struct run *run = arg;
    struct broker *broker = &run->broker;
    uint64_t due_ms = schedule_run_retries(broker);

    if (due_ms != run->retry_due_ms) {
        uint64_t now_ms = loop_now_ms(broker->loop);

        run->retry_due_ms = due_ms;
        if (due_ms == UINT64_MAX)
            loop_timer_stop(run->retry_timer);
        else
            loop_timer_start(run->retry_timer, due_ms - now_ms, 0);
    }
    schedule_run(broker);
    batches_refill(broker);
    api_flush(broker->api);
    sessions_flush(broker);
    store_flush(broker->store);
    if (broker->is_draining && !leases(broker))
        loop_end(broker->loop);
}

// --- What the store refused ---

void
broker_park_finish(struct broker *broker, struct job *job)
{
    struct run *run = run_of(broker);

    if (!broker->parked) {
        log_error("store.refused",
                  "job=" LOG_JOB
                  " error=%d do=\"see to the store's disk; nothing is lost\"",
                  LOG_JOB_ARG(job->id), job->finish.op.err);
        loop_timer_start(run->parked_timer, PARKED_AGAIN_MS, 0);
    }
    DL_APPEND(broker->parked, job);
}

static void
push_parked(void *arg)
{
    struct run *run = arg;
    struct job *job, *next;

    DL_FOREACH_SAFE(run->broker.parked, job, next)
    {
        DL_DELETE(run->broker.parked, job);
        store_push(run->broker.store, &job->finish.op);
    }
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

static void
on_recovered(struct store_op *op)
{
    struct run *run = op->arg;
    struct store_batches *rows = &run->recovery;

    if (op->err) {
        log_error("broker.recovery", "error=%d", op->err);
        loop_end(run->broker.loop);
        return;
    }
    for (size_t i = 0; i < rows->len; i++) {
        struct batch *batch = batch_load(&run->broker, &rows->rows[i]);

        if (batch)
            log_info("batch.resumed",
                     "batch=%s number=%" PRIu64 " submitted=%" PRIu64
                     " records=%" PRIu64,
                     batch->id, batch->number, batch->submitted, batch->landed);
    }
    store_batches_fini(rows);
    run->is_recovered = true;
    log_ready(run);
    role_ready(run->role);
}

static void
start_recovery(struct run *run)
{
    run->recovery = (struct store_batches){
        .op = {.kind = STORE_BATCHES, .done = on_recovered, .arg = run},
        .only_unfinished = true,
        .max = BATCHES_MAX,
    };
    store_push(run->broker.store, &run->recovery.op);
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

    if (stops > 1 || !leases(&run->broker)) {
        loop_end(run->broker.loop);
        return;
    }
    if (run->broker.is_draining)
        return;
    log_info("broker.drains", "leases=%zu", leases(&run->broker));
    run->broker.is_draining = true;
    loop_timer_start(run->grace_timer, (uint64_t)run->broker.config->grace_ms,
                     0);
}

// --- Starting ---

static int
set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static int
bind_router(struct run *run, const char *text, int port, int64_t message_max,
            int replies_max, void **out_socket)
{
    char endpoint[ENDPOINT_MAX];
    void *socket;

    if (endpoint_resolve(text, port, endpoint) != 0) {
        log_error("broker.bind", "endpoint=\"%s\" error=\"not an endpoint\"",
                  text);
        return 2;
    }
    socket = zmq_socket(run->role->zmq, ZMQ_ROUTER);
    *out_socket = socket;
    if (!socket || set_int(socket, ZMQ_LINGER, 500) ||
        set_int(socket, ZMQ_ROUTER_MANDATORY, 1) ||
        // As many requests wait as replies may; the rest with their client.
        set_int(socket, ZMQ_RCVHWM, replies_max) ||
        set_int(socket, ZMQ_SNDHWM, replies_max) ||
        // A peer whose machine is gone, or who is stopped, loses its
        // connection, and the broker what waits to be sent there.
        set_int(socket, ZMQ_HEARTBEAT_IVL,
                (int)run->broker.config->ttl_ms / 2) ||
        set_int(socket, ZMQ_HEARTBEAT_TIMEOUT,
                (int)run->broker.config->ttl_ms) ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max,
                       sizeof(message_max)) ||
        zmq_bind(socket, endpoint)) {
        log_error("broker.bind", "endpoint=%s error=\"%s\"", endpoint,
                  zmq_strerror(zmq_errno()));
        return 3;
    }
    return 0;
}

static int
bind_all(struct run *run)
{
    const struct broker_config *config = run->broker.config;
    int code;

    // What a worker sends is bounded by its credit and its jobs, so its queue
    // needs no second limit.
    code = bind_router(run, config->client_bind, PORT_CLIENT,
                       CLIENT_FRAME_BYTES_MAX, CLIENT_REPLIES_MAX,
                       &run->client_socket);
    if (!code)
        code = bind_router(run, config->fetcher_bind, PORT_FETCHER,
                           WIRE_HEAD_BYTES_MAX, 0,
                           &run->broker.sessions.fetcher_socket);
    if (!code)
        code = bind_router(run, config->hasher_bind, PORT_HASHER,
                           WIRE_HEAD_BYTES_MAX, 0,
                           &run->broker.sessions.hasher_socket);
    return code;
}

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
    fprintf(stderr, "urlsum-broker: %s\n", why);
    return 3;
}

static int
watch_all(struct run *run)
{
    struct loop *loop = run->broker.loop;
    uint64_t beat_ms = (uint64_t)run->broker.config->ttl_ms / 4;
    int err;

    if ((err = loop_add_socket(loop, run->client_socket, on_client, run,
                               &run->watches[0])) ||
        (err = loop_add_socket(loop, run->broker.sessions.fetcher_socket,
                               on_fetcher, run, &run->watches[1])) ||
        (err = loop_add_socket(loop, run->broker.sessions.hasher_socket,
                               on_hasher, run, &run->watches[2])) ||
        (err = loop_timer_new(loop, on_beat, run, &run->beat_timer)) ||
        (err = loop_timer_new(loop, on_retry_due, run, &run->retry_timer)) ||
        (err = loop_timer_new(loop, push_parked, run, &run->parked_timer)) ||
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
        (err = heap_reserve(&broker->retries, JOBS_MAX)))
        goto failed;
    run->store_path = store_path(broker->config, run->store_default,
                                 sizeof(run->store_default));
    code = bind_all(run);
    if (!code)
        code = open_store(run);
    if (code)
        return code;
    if ((err = api_new(broker, run->client_socket, &broker->api)) ||
        (err = watch_all(run)))
        goto failed;
    start_recovery(run);
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

    if (broker->sessions.decoder)
        sessions_say_bye(broker);
    role_detach(run->role);
    if (broker->api && broker->parked)
        push_parked(run);
    // Gives every operation back: nothing points into batches afterwards.
    store_close(&broker->store);
    api_free(&broker->api);
    batches_fini(broker);
    sessions_fini(broker);
    heap_fini(&broker->retries);
    origin_parser_free(&broker->origin_parser);
    loop_timer_free(&run->beat_timer);
    loop_timer_free(&run->retry_timer);
    loop_timer_free(&run->parked_timer);
    loop_timer_free(&run->grace_timer);
    for (int i = 0; i < 3; i++) {
        loop_remove_socket(&run->watches[i]);
        if (sockets[i])
            (void)zmq_close(sockets[i]);
    }
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
    code = start(run);
    if (!code) {
        loop_run(run->broker.loop);
        code = run->is_recovered ? 0 : 3;
    }
    finish(run);
    free(run);
    return code;
}
