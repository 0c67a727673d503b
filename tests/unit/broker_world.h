// broker_world.h - a broker without programs around it
//
// Everything but the client endpoint is real: store (a private temporary one),
// tables, scheduler, relay. Time is the loop's. Tests of the dialogue open the
// worker endpoints over inproc:// and play the workers themselves.
#ifndef TESTS_UNIT_BROKER_WORLD_H
#define TESTS_UNIT_BROKER_WORLD_H
#include "broker/api.h"
#include "broker/relay.h"
#include "broker/schedule.h"
#include "broker/state.h"
#include "common/frames.h"
#include "common/loop.h"
#include "urlsum.pb-c.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <zmq.h>

#include <cmocka.h>

struct world {
    struct broker broker;
    struct broker_config config;
    void *zmq;              // NULL: no worker endpoints
    uint64_t last_instance; // of a peer
    bool has_new_hosts;     // hosts are not known to be there from the start
};

static inline struct world *
world_new(int64_t parallel_max_host)
{
    struct world *world = calloc(1, sizeof(*world));
    struct broker *broker = &world->broker;
    char why[256];

    assert_non_null(world);
    world->config =
        (struct broker_config){.parallel_max_host = parallel_max_host,
                               .buffer_memory = 1 << 28,
                               .ttl_ms = 10000};
    broker->config = &world->config;
    broker->seed = 1;
    assert_int_equal(loop_new(&broker->loop), 0);
    assert_int_equal(sessions_init(broker), 0);
    assert_int_equal(origin_parser_new(&broker->origin_parser), 0);
    assert_int_equal(hosts_init(broker), 0);
    assert_int_equal(heap_reserve(&broker->retries, JOBS_MAX), 0);
    assert_int_equal(store_open(&(struct store_config){0}, broker->loop,
                                &broker->store, why, sizeof(why)),
                     0);
    assert_int_equal(api_new(broker, NULL, &broker->api), 0);
    return world;
}

static inline void
world_free(struct world *world)
{
    struct broker *broker = &world->broker;

    store_close(&broker->store);
    api_free(&broker->api);
    batches_fini(broker);
    hosts_fini(broker);
    sessions_fini(broker);
    heap_fini(&broker->retries);
    origin_parser_free(&broker->origin_parser);
    if (world->zmq) {
        (void)zmq_close(broker->sessions.fetcher_socket);
        (void)zmq_close(broker->sessions.hasher_socket);
        (void)zmq_ctx_term(world->zmq);
    }
    loop_free(&broker->loop);
    free(world);
}

// --- The store ---

static inline void
world_end_loop(struct store_op *op)
{
    loop_end(op->arg);
}

// Runs an operation to its commit, and everything pushed before it.
static inline void
world_run_op(struct world *world, struct store_op *op)
{
    op->done = world_end_loop;
    op->arg = world->broker.loop;
    store_push(world->broker.store, op);
    store_flush(world->broker.store);
    loop_run(world->broker.loop);
}

static inline struct store_batch
world_read_row(struct world *world, uint64_t batch)
{
    struct store_mark mark = {.op = {.kind = STORE_STATUS}, .batch = batch};
    struct store_batch row;

    world_run_op(world, &mark.op);
    assert_int_equal(mark.op.err, 0);
    row = mark.row;
    store_mark_fini(&mark);
    return row;
}

// options may be NULL.
static inline struct batch *
world_add_batch(struct world *world, const char *id, const char *algorithms,
                const Urlsum__V1__BatchOptions *options)
{
    unsigned char packed[256];
    struct store_create create = {.op = {.kind = STORE_CREATE}};
    struct batch *batch;

    (void)snprintf(create.batch.id, sizeof(create.batch.id), "%s", id);
    (void)snprintf(create.batch.algorithms, sizeof(create.batch.algorithms),
                   "%s", algorithms);
    if (options) {
        create.batch.options = packed;
        create.batch.options_len =
            urlsum__v1__batch_options__pack(options, packed);
    }
    world_run_op(world, &create.op);
    assert_int_equal(create.op.err, 0);
    assert_int_equal(batch_load(&world->broker, &create.batch, &batch), 0);
    assert_non_null(batch);
    store_create_fini(&create);
    return batch;
}

// Appends URLs "http://h<N><suffix>/<seq>", N going round below origins. Must
// be whole submissions: at most SUBMIT_URLS_MAX at a time.
static inline void
world_append_at(struct world *world, struct batch *batch, size_t len,
                size_t origins, const char *suffix)
{
    char(*texts)[64] = calloc(len, sizeof(*texts));
    struct store_url *urls = calloc(len, sizeof(*urls));
    struct store_append append = {.op = {.kind = STORE_APPEND},
                                  .batch = batch->number,
                                  .first_seq = batch->submitted,
                                  .urls = urls,
                                  .len = len};

    assert_non_null(texts);
    assert_non_null(urls);
    for (size_t i = 0; i < len; i++) {
        uint64_t seq = batch->submitted + i;

        urls[i].url = texts[i];
        urls[i].len = (size_t)snprintf(texts[i], sizeof(*texts),
                                       "http://h%" PRIu64 "%s/%" PRIu64,
                                       seq % origins, suffix, seq);
        assert_int_equal(origin_parse(world->broker.origin_parser, texts[i],
                                      urls[i].len, &urls[i].origin, NULL),
                         FAIL_OK);
    }
    world_run_op(world, &append.op);
    assert_int_equal(append.op.err, 0);
    batch_on_appended(&world->broker, batch, urls, len, append.submitted);
    free(texts);
    free(urls);
}

static inline void
world_append(struct world *world, struct batch *batch, size_t len,
             size_t origins)
{
    world_append_at(world, batch, len, origins, ".example");
}

static inline void
world_close_batch(struct world *world, struct batch *batch)
{
    struct store_mark mark = {.op = {.kind = STORE_CLOSE},
                              .batch = batch->number,
                              .size = batch->submitted};

    world_run_op(world, &mark.op);
    assert_int_equal(mark.op.err, 0);
    store_mark_fini(&mark);
}

// The one record of a batch that has one; its pointers are the operation's.
static inline const struct store_record *
world_read_record(struct world *world, uint64_t batch,
                  struct store_results *results)
{
    *results = (struct store_results){.op = {.kind = STORE_RESULTS},
                                      .batch = batch,
                                      .max = 2,
                                      .bytes_max = 1 << 20};
    world_run_op(world, &results->op);
    assert_int_equal(results->op.err, 0);
    assert_int_equal(results->len, 1);
    return &results->records[0];
}

// --- Turns ---

static inline void
world_check(const struct world *world)
{
    const struct batches *batches = &world->broker.batches;
    const struct group *group, *next;

    assert_true(world->broker.jobs.len <= JOBS_MAX);
    assert_true(batches->flows_len <= FLOWS_MAX);
    HASH_ITER(hh, world->broker.hosts.groups, group, next)
    {
        assert_true(group->running <=
                    (uint64_t)world->config.parallel_max_host);
    }
}

static inline void
world_reach_hosts(struct world *world)
{
    struct origin *origin, *next;

    HASH_ITER(hh, world->broker.hosts.origins, origin, next)
    {
        (void)politeness_reach(&origin->politeness);
    }
}

// What the broker does at the end of each turn of its loop.
static inline void
world_turn(struct world *world)
{
    struct broker *broker = &world->broker;

    (void)schedule_run_retries(broker);
    (void)hosts_run(broker);
    if (!world->has_new_hosts)
        world_reach_hosts(world);
    schedule_run(broker);
    batches_refill(broker);
    api_flush(broker->api);
    sessions_flush(broker);
    store_flush(broker->store);
    world_check(world);
}

// Turns until nothing is on its way to or from the store.
static inline void
world_settle(struct world *world)
{
    struct store_stats stats;

    for (;;) {
        struct store_batches mark = {.op = {.kind = STORE_BATCHES}, .max = 1};

        world_turn(world);
        store_stats(world->broker.store, &stats);
        if (!stats.waiting)
            return;
        world_run_op(world, &mark.op);
        store_batches_fini(&mark);
    }
}

// --- Workers ---

static inline void
world_bind(struct world *world, const char *endpoint, void **out_socket)
{
    int zero = 0, one = 1;

    *out_socket = zmq_socket(world->zmq, ZMQ_ROUTER);
    assert_non_null(*out_socket);
    (void)zmq_setsockopt(*out_socket, ZMQ_SNDHWM, &zero, sizeof(zero));
    (void)zmq_setsockopt(*out_socket, ZMQ_RCVHWM, &zero, sizeof(zero));
    (void)zmq_setsockopt(*out_socket, ZMQ_LINGER, &zero, sizeof(zero));
    (void)zmq_setsockopt(*out_socket, ZMQ_ROUTER_MANDATORY, &one, sizeof(one));
    assert_int_equal(zmq_bind(*out_socket, endpoint), 0);
}

static inline void
world_open_endpoints(struct world *world)
{
    world->zmq = zmq_ctx_new();
    assert_non_null(world->zmq);
    world_bind(world, "inproc://fetchers",
               &world->broker.sessions.fetcher_socket);
    world_bind(world, "inproc://hashers",
               &world->broker.sessions.hasher_socket);
}

// A worker whose every word the test chooses.
struct peer {
    struct world *world;
    enum wire_role role;
    void *socket;
    uint64_t capacity, instance, epoch; // of its HELLO
    struct session *session;            // the broker's side
    struct wire_buf *buf;               // of the next message
    struct wire_decoder *decoder;
    struct frames frames; // of the last message, which borrows from it
    struct wire_message message;
};

// Receives one message. Returns false when none is there.
static inline bool
peer_recv(struct peer *peer)
{
    frames_close(&peer->frames);
    if (frames_recv(peer->socket, &peer->frames) != 0)
        return false;
    assert_int_equal(
        wire_decode(peer->decoder, zmq_msg_data(&peer->frames.parts[0]),
                    zmq_msg_size(&peer->frames.parts[0]), &peer->message),
        0);
    return true;
}

static inline void
peer_expect(struct peer *peer, enum wire_kind kind)
{
    if (!peer_recv(peer))
        fail_msg("no %s came", wire_kind_name(kind));
    if (peer->message.kind != kind)
        fail_msg("%s where %s was expected", wire_kind_name(peer->message.kind),
                 wire_kind_name(kind));
}

static inline void
peer_expect_nothing(struct peer *peer)
{
    if (peer_recv(peer))
        fail_msg("%s came", wire_kind_name(peer->message.kind));
}

// Sends what is in buf, with a raw frame of len bytes if has_body, and lets the
// broker take it.
static inline void
peer_say(struct peer *peer, bool has_body, size_t len)
{
    zmq_msg_t body;

    assert_int_equal(wire_buf_error(peer->buf), 0);
    assert_int_equal(frames_send_copy(peer->socket, wire_buf_data(peer->buf),
                                      wire_buf_len(peer->buf), has_body),
                     0);
    if (has_body) {
        assert_int_equal(zmq_msg_init_size(&body, len), 0);
        memset(zmq_msg_data(&body), 'b', len);
        assert_int_equal(frames_send_take(peer->socket, &body, false), 0);
        (void)zmq_msg_close(&body);
    }
    sessions_on_message(&peer->world->broker, peer->role);
}

// A connection that has said nothing yet.
static inline void
peer_connect(struct world *world, struct peer *peer, enum wire_role role,
             uint64_t capacity)
{
    int zero = 0;

    *peer = (struct peer){.world = world,
                          .role = role,
                          .capacity = capacity,
                          .instance = ++world->last_instance,
                          .epoch = 1};
    peer->socket = zmq_socket(world->zmq, ZMQ_DEALER);
    assert_non_null(peer->socket);
    (void)zmq_setsockopt(peer->socket, ZMQ_LINGER, &zero, sizeof(zero));
    (void)zmq_setsockopt(peer->socket, ZMQ_RCVHWM, &zero, sizeof(zero));
    (void)zmq_setsockopt(peer->socket, ZMQ_SNDHWM, &zero, sizeof(zero));
    assert_int_equal(zmq_connect(peer->socket, role == WIRE_FETCHER
                                                   ? "inproc://fetchers"
                                                   : "inproc://hashers"),
                     0);
    assert_int_equal(wire_buf_new(&peer->buf), 0);
    assert_int_equal(wire_decoder_new(&peer->decoder), 0);
}

static inline void
peer_say_hello(struct peer *peer)
{
    struct wire_hello hello = {.version_min = WIRE_VERSION,
                               .version_max = WIRE_VERSION,
                               .role = peer->role,
                               .name = {"peer", 4},
                               .capacity = peer->capacity,
                               .instance = peer->instance,
                               .epoch = peer->epoch};

    if (peer->role == WIRE_HASHER) {
        hello.algorithms[0] = (struct wire_bytes){"sha512", 6};
        hello.algorithms[1] = (struct wire_bytes){"md5", 3};
        hello.algorithms[2] = (struct wire_bytes){"sha1", 4};
        hello.algorithms_len = 3;
    }
    wire_put_hello(peer->buf, &hello);
    peer_say(peer, false, 0);
}

// HELLO, up to an unproven session.
static inline void
peer_greet(struct peer *peer)
{
    peer_say_hello(peer);
    peer_expect(peer, WIRE_WELCOME);
    assert_int_equal(peer->message.welcome.epoch, peer->epoch);
    peer->session = sessions_find(&peer->world->broker.sessions,
                                  peer->message.welcome.session);
    assert_non_null(peer->session);
    peer_expect(peer, WIRE_PING);
}

static inline void
peer_say_pong(struct peer *peer)
{
    wire_put_pong(peer->buf, 0, NULL, 0);
    peer_say(peer, false, 0);
}

static inline void
peer_join(struct world *world, struct peer *peer, enum wire_role role,
          uint64_t capacity)
{
    peer_connect(world, peer, role, capacity);
    peer_greet(peer);
    peer_say_pong(peer);
    assert_true(peer->session->is_proven);
}

static inline void
peer_leave(struct peer *peer)
{
    frames_close(&peer->frames);
    wire_buf_free(&peer->buf);
    wire_decoder_free(&peer->decoder);
    (void)zmq_close(peer->socket);
}

// The session ends as if the worker had died.
static inline void
peer_die(struct peer *peer)
{
    peer->session->is_crash = true;
    session_doom(peer->session, (enum wire_error)0, "the test ends it");
    sessions_flush(&peer->world->broker);
    peer->session = NULL;
}

#endif
