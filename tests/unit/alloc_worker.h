// alloc_worker.h - a fetcher or hasher for a broker without memory: it begins a
// session again and again, answers at once, and fetches nothing
#ifndef TESTS_UNIT_ALLOC_WORKER_H
#define TESTS_UNIT_ALLOC_WORKER_H
#include "common/clock.h"
#include "common/frames.h"
#include "proto/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <zmq.h>

#include <cmocka.h>

struct worker {
    void *socket;
    enum wire_role role;
    const char *unreachable; // a fetcher's: it cannot connect to this URL
    uint64_t epoch;
    uint64_t greeted_ms; // 0: not since the last session
    bool is_live;
    struct wire_buf *buf;
    struct wire_decoder *decoder;
};

static inline void
say(struct worker *worker, const void *raw, size_t len)
{
    assert_int_equal(wire_buf_error(worker->buf), 0);
    (void)zmq_send(worker->socket, wire_buf_data(worker->buf),
                   wire_buf_len(worker->buf),
                   ZMQ_DONTWAIT | (raw ? ZMQ_SNDMORE : 0));
    if (raw)
        (void)zmq_send(worker->socket, raw, len, ZMQ_DONTWAIT);
}

static inline void
greet(struct worker *worker)
{
    struct wire_hello hello = {.version_min = WIRE_VERSION,
                               .version_max = WIRE_VERSION,
                               .role = worker->role,
                               .name = {"it", 2},
                               .instance = (uint64_t)worker->role,
                               .epoch = ++worker->epoch};

    if (worker->role == WIRE_FETCHER) {
        hello.capacity = 8;
    } else {
        hello.algorithms[0] = (struct wire_bytes){"sha512", 6};
        hello.algorithms_len = 1;
    }
    worker->greeted_ms = clock_now_ms();
    wire_put_hello(worker->buf, &hello);
    say(worker, NULL, 0);
}

static inline void
fetch(struct worker *worker, const struct wire_job *job)
{
    struct wire_fetched fetched = {.job = job->job, .attempt = job->attempt};
    struct wire_segment segment = {.job = job->job,
                                   .attempt = job->attempt,
                                   .length = 5,
                                   .flags = WIRE_SEGMENT_LAST};

    wire_facts_init(&fetched.facts);
    fetched.facts.message = (struct wire_bytes){"some words", 10};
    if (job->url.len == strlen(worker->unreachable) &&
        memcmp(job->url.at, worker->unreachable, job->url.len) == 0) {
        fetched.outcome = FAIL_CONNECT;
        wire_put_fetched(worker->buf, &fetched, 1);
        say(worker, NULL, 0);
        return;
    }
    fetched.outcome = FAIL_OK;
    fetched.size = 5;
    wire_put_fetched(worker->buf, &fetched, 1);
    say(worker, NULL, 0);
    wire_put_body(worker->buf, &segment, 1);
    say(worker, "hello", 5);
}

static inline void
digest(struct worker *worker, const struct wire_message *message)
{
    struct wire_digest items[WIRE_ENTRIES_MAX];
    static char raw[64] = "the digest of it";
    size_t len = 0;

    for (size_t i = 0; i < message->body.len; i++) {
        const struct wire_segment *segment = &message->body.segments[i];

        items[len++] = (struct wire_digest){.job = segment->job,
                                            .attempt = segment->attempt,
                                            .size = segment->length,
                                            .digests_len = 1,
                                            .digests = {{raw, sizeof(raw)}}};
    }
    wire_put_digests(worker->buf, 1, items, len);
    say(worker, NULL, 0);
}

static inline void
hear(struct worker *worker, const struct wire_message *message)
{
    if (message->kind == WIRE_WELCOME) {
        worker->is_live = message->welcome.epoch == worker->epoch;
    } else if (message->kind == WIRE_ERROR || message->kind == WIRE_BYE) {
        worker->is_live = false;
        worker->greeted_ms = 0;
    } else if (message->kind == WIRE_PING) {
        wire_put_pong(worker->buf, 0, NULL, 0);
        say(worker, NULL, 0);
    } else if (message->kind == WIRE_JOBS) {
        for (size_t i = 0; i < message->jobs.len; i++)
            fetch(worker, &message->jobs.jobs[i]);
    } else if (message->kind == WIRE_HASH) {
        digest(worker, message);
    }
}

// Returns false when the broker sent what cannot be read.
static inline bool
worker_turn(struct worker *worker)
{
    struct frames frames;
    struct wire_message message;

    if (!worker->is_live &&
        (!worker->greeted_ms || clock_now_ms() - worker->greeted_ms > 500))
        greet(worker);
    while (frames_recv(worker->socket, &frames) == 0) {
        if (wire_decode(worker->decoder, zmq_msg_data(&frames.parts[0]),
                        zmq_msg_size(&frames.parts[0]), &message) != 0)
            return false;
        hear(worker, &message);
        frames_close(&frames);
    }
    return true;
}

#endif
