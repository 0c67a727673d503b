#include "hasher/lane.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"
#include "hasher/digest.h"
#include "hasher/hash_stats.h"
#include "hasher/streams.h"
#include "proto/worker_link.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages that may wait in this process for one lane: 8 MiB of bodies.
#define RECV_MESSAGES_MAX 32
// An answer goes out after so many HASH messages or bytes at the latest, and at
// the end of every turn: the fetcher's credit waits for it. So many, because
// SHA-512 does eight bodies at once.
#define ANSWER_MESSAGES WIRE_UNTOLD_MAX
#define ANSWER_BYTES (4 * 1024 * 1024)
// Aborts sent in one message.
#define ABORTS_MAX 64

// What is to be told to the broker at the next flush. Digests and aborts never
// wait together, so the broker hears all in the order in which it happened.
struct answers {
    uint64_t taken;       // HASH messages since the last DIGESTS
    uint64_t taken_bytes; // their bodies
    struct wire_digest digests[WIRE_ENTRIES_MAX];
    size_t digests_len;
    // The digests' bytes; room for a full list of SHA-512 alone.
    unsigned char bytes[WIRE_ENTRIES_MAX * 64];
    size_t bytes_used;
    struct wire_aborted aborts[ABORTS_MAX];
    size_t aborts_len;
};

// A message's list of algorithms.
struct asked_suite {
    int err; // of digest_suite_parse()
    struct digest_suite suite;
};

struct lane {
    struct lane_config config;
    char name[WIRE_NAME_MAX + 1];
    char label[WIRE_NAME_MAX * 4 + 3]; // the name as it may stand in the log
    struct role role;                  // lane_stop()'s door to the loop
    pthread_t thread;
    // What follows belongs to the thread.
    struct loop *loop;
    struct worker_link *link;
    struct digest_kit *kit;
    struct streams *streams;
    struct loop_timer *grace_timer;
    bool is_draining;
    bool has_failed;
    bool has_warned; // of an algorithm we lack: once, then only at debug
    // Bodies that are gathered: messages taken since the last flush.
    zmq_msg_t held[ANSWER_MESSAGES];
    size_t held_len;
    uint64_t held_since_us; // when the first of them came
    struct answers answers;
};

// --- Answers ---

static void
fail_lane(struct lane *lane, const char *what, int err)
{
    if (!lane->has_failed)
        log_error("hasher.failed", "worker=%s what=%s error=\"%s\"",
                  lane->label, what, strerror(-err));
    lane->has_failed = true;
    if (lane->loop)
        loop_end(lane->loop);
}

// Sends what the link's buffer holds.
static void
send_answer(struct lane *lane)
{
    int err = worker_link_send(lane->link, worker_link_buf(lane->link), NULL);

    // A lost session is normal: the broker gives its jobs out again. A digest
    // that could not be said for any other reason would be waited for forever.
    if (err && err != -ENOTCONN)
        fail_lane(lane, "send", err);
}

static void
flush_digests(struct lane *lane)
{
    struct answers *answers = &lane->answers;

    if (!answers->taken && !answers->digests_len)
        return;
    digest_kit_flush(lane->kit); // now the digests are written
    wire_put_digests(worker_link_buf(lane->link), answers->taken,
                     answers->digests, answers->digests_len);
    send_answer(lane);
    answers->taken = 0;
    answers->taken_bytes = 0;
    answers->digests_len = 0;
    answers->bytes_used = 0;
}

static void
flush_aborts(struct lane *lane)
{
    struct answers *answers = &lane->answers;

    if (!answers->aborts_len)
        return;
    wire_put_abort(worker_link_buf(lane->link), answers->aborts,
                   answers->aborts_len);
    send_answer(lane);
    answers->aborts_len = 0;
}

// Does what is gathered and lets go of its messages.
static void
finish_held(struct lane *lane)
{
    digest_kit_flush(lane->kit);
    while (lane->held_len)
        (void)zmq_msg_close(&lane->held[--lane->held_len]);
}

static void
flush(struct lane *lane)
{
    struct lane_stats *stats = lane->config.stats;
    bool has_worked = lane->held_len > 0;

    finish_held(lane);
    flush_aborts(lane);
    flush_digests(lane);
    if (has_worked)
        metrics_observe(&stats->batch_time, &metrics_shape_work,
                        clock_now_us() - lane->held_since_us);
    metrics_set(&stats->streams, streams_len(lane->streams));
}

// The end of every turn.
static void
on_turn_end(void *arg)
{
    struct lane *lane = arg;

    flush(lane);
    metrics_set(&lane->config.stats->turned_ms, loop_now_ms(lane->loop));
}

static void
say_abort(struct lane *lane, const struct wire_segment *segment,
          enum wire_abort reason)
{
    struct answers *answers = &lane->answers;

    log_debug("hasher.abort",
              "job=" LOG_JOB " attempt=%" PRIu32 " worker=%s reason=%s",
              LOG_JOB_ARG(segment->job), segment->attempt, lane->label,
              wire_abort_name(reason));
    if (answers->digests_len)
        flush_digests(lane);
    if (answers->aborts_len == ABORTS_MAX)
        flush_aborts(lane);
    metrics_add(&lane->config.stats->aborts, 1);
    answers->aborts[answers->aborts_len++] = (struct wire_aborted){
        .job = segment->job, .attempt = segment->attempt, .reason = reason};
}

// Room for the digests of one more body.
static unsigned char *
reserve_digests(struct lane *lane, const struct digest_suite *suite)
{
    struct answers *answers = &lane->answers;

    flush_aborts(lane);
    if (answers->digests_len == WIRE_ENTRIES_MAX ||
        answers->bytes_used + suite->bytes > sizeof(answers->bytes))
        flush_digests(lane);
    return answers->bytes + answers->bytes_used;
}

// The bytes have been written where reserve_digests() said.
static void
add_digests(struct lane *lane, const struct digest_suite *suite,
            const struct wire_segment *segment)
{
    struct answers *answers = &lane->answers;
    struct wire_digest *digest = &answers->digests[answers->digests_len++];

    digest->job = segment->job;
    digest->attempt = segment->attempt;
    digest->size = segment->offset + segment->length;
    digest->digests_len = suite->len;
    for (size_t i = 0; i < suite->len; i++) {
        digest->digests[i].at =
            (const char *)answers->bytes + answers->bytes_used;
        digest->digests[i].len = suite->sizes[i];
        answers->bytes_used += suite->sizes[i];
    }
    metrics_add(&lane->config.stats->bodies, 1);
    metrics_observe(&lane->config.stats->body_size, &metrics_shape_bytes,
                    digest->size);
    log_debug("hash.end",
              "job=" LOG_JOB " attempt=%" PRIu32 " worker=%s size=%" PRIu64,
              LOG_JOB_ARG(digest->job), digest->attempt, lane->label,
              digest->size);
}

// --- Work ---

static void
take_segment(struct lane *lane, const struct asked_suite *asked,
             const struct wire_segment *segment, const unsigned char *data)
{
    enum wire_abort reason = WIRE_ABORT_RESOURCES;
    unsigned char *out_digests;

    if (asked->err) {
        if (asked->err != -ENOMEM)
            reason = WIRE_ABORT_NO_ALGORITHM;
        if (streams_drop(lane->streams, segment->job, segment->attempt))
            say_abort(lane, segment, reason);
        return;
    }
    if (segment->offset == 0)
        log_debug("hash.start", "job=" LOG_JOB " attempt=%" PRIu32 " worker=%s",
                  LOG_JOB_ARG(segment->job), segment->attempt, lane->label);
    out_digests = reserve_digests(lane, &asked->suite);
    if (wire_segment_is_whole(segment) &&
        !streams_has(lane->streams, segment->job)) {
        if (digest_whole(&asked->suite, data, segment->length, out_digests))
            say_abort(lane, segment, reason);
        else
            add_digests(lane, &asked->suite, segment);
        return;
    }
    switch (streams_push(lane->streams, &asked->suite, segment, data,
                         out_digests, &reason)) {
    case STREAMS_MORE:
    case STREAMS_IGNORED:
        return;
    case STREAMS_DONE:
        add_digests(lane, &asked->suite, segment);
        return;
    case STREAMS_REFUSED:
        say_abort(lane, segment, reason);
        return;
    }
}

static void
warn_algorithm(struct lane *lane, const struct wire_bytes *suite)
{
    char text[128];

    (void)log_escape(suite->at, suite->len, text, sizeof(text));
    // A batch of a million URLs wants one line, not a million.
    if (lane->has_warned)
        log_debug("hasher.no_algorithm", "worker=%s suite=%s", lane->label,
                  text);
    else
        log_warn("hasher.no_algorithm", "worker=%s suite=%s", lane->label,
                 text);
    lane->has_warned = true;
}

static void
on_hash(struct lane *lane, const struct wire_message *message, zmq_msg_t *body)
{
    struct asked_suite asked[WIRE_SUITES_MAX];
    zmq_msg_t *held = &lane->held[lane->held_len++];
    const unsigned char *data;

    if (lane->held_len == 1)
        lane->held_since_us = clock_now_us();
    // Moved first: the bytes of a tiny message move with it.
    (void)zmq_msg_init(held);
    (void)zmq_msg_move(held, body);
    data = zmq_msg_data(held);

    for (size_t i = 0; i < message->body.suites_len; i++) {
        const struct wire_bytes *suite = &message->body.suites[i];

        asked[i].err = digest_suite_parse(lane->kit, suite->at, suite->len,
                                          &asked[i].suite);
        if (asked[i].err)
            warn_algorithm(lane, suite);
    }
    for (size_t i = 0; i < message->body.len; i++) {
        const struct wire_segment *segment = &message->body.segments[i];

        take_segment(lane, &asked[segment->suite], segment, data);
        data += segment->length;
    }
    metrics_add(&lane->config.stats->messages, 1);
    metrics_add(&lane->config.stats->bytes, message->body.bytes);
    lane->answers.taken++;
    lane->answers.taken_bytes += message->body.bytes;
    if (lane->held_len == ANSWER_MESSAGES ||
        lane->answers.taken_bytes >= ANSWER_BYTES)
        flush(lane);
}

static void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct lane *lane = arg;

    if (message->kind == WIRE_HASH) {
        on_hash(lane, message, body);
    } else if (message->kind == WIRE_ABORT) {
        for (size_t i = 0; i < message->abort.len; i++) {
            const struct wire_aborted *aborted = &message->abort.items[i];

            log_debug("hash.aborted",
                      "job=" LOG_JOB " attempt=%" PRIu32 " worker=%s reason=%s",
                      LOG_JOB_ARG(aborted->job), aborted->attempt, lane->label,
                      wire_abort_name(aborted->reason));
            (void)streams_drop(lane->streams, aborted->job, aborted->attempt);
        }
    } else {
        // JOBS and CREDIT are a fetcher's; the broker has mixed us up.
        log_warn("hasher.not_ours", "worker=%s kind=%s", lane->label,
                 wire_kind_name(message->kind));
    }
}

static void
leave(struct lane *lane)
{
    flush(lane);
    worker_link_bye(lane->link, true);
    loop_end(lane->loop);
}

static void
drop_all(struct lane *lane)
{
    streams_clear(lane->streams);
    finish_held(lane);
    lane->answers.taken = 0;
    lane->answers.taken_bytes = 0;
    lane->answers.digests_len = 0;
    lane->answers.bytes_used = 0;
    lane->answers.aborts_len = 0;
}

static void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct lane *lane = arg;

    (void)welcome; // the windows are the fetchers'
    drop_all(lane);
}

static void
on_lost(void *arg)
{
    struct lane *lane = arg;

    drop_all(lane);
    if (lane->is_draining)
        leave(lane); // let go, or the broker is gone: nothing to wait for
}

static void
on_ping(void *arg, bool is_list_due, struct worker_pong *out_pong)
{
    const struct lane *lane = arg;

    (void)is_list_due; // bodies are vouched for by DIGESTS
    out_pong->load = streams_len(lane->streams);
}

// --- Life ---

static void
on_grace_over(void *arg)
{
    struct lane *lane = arg;

    log_warn("hasher.drain_timeout", "worker=%s streams=%zu", lane->label,
             streams_len(lane->streams));
    leave(lane);
}

static void
on_stop(void *arg, int stops)
{
    struct lane *lane = arg;

    if (stops > 1 || !worker_link_is_live(lane->link)) {
        leave(lane);
        return;
    }
    if (lane->is_draining)
        return;
    // The broker lets us go when it has everything back: on_lost().
    lane->is_draining = true;
    worker_link_bye(lane->link, false);
    loop_timer_start(lane->grace_timer, lane->config.grace_ms, 0);
}

static int
open_lane(struct lane *lane)
{
    const struct worker_link_config link = {
        .endpoint = lane->config.endpoint,
        .role = WIRE_HASHER,
        .name = lane->name,
        .algorithms = lane->config.algorithms,
        .curve = lane->config.curve,
        .recv_messages_max = RECV_MESSAGES_MAX,
        .stats = &lane->config.stats->link,
    };
    const struct worker_link_owner owner = {
        .arg = lane,
        .on_welcome = on_welcome,
        .on_lost = on_lost,
        .on_message = on_message,
        .on_ping = on_ping,
    };
    int err;

    if ((err = digest_kit_new(true, &lane->kit)) ||
        (err = streams_new(HASHER_STREAMS_MAX, &lane->streams)) ||
        (err = loop_new(&lane->loop)) ||
        (err = loop_timer_new(lane->loop, on_grace_over, lane,
                              &lane->grace_timer)) ||
        (err = worker_link_new(lane->loop, lane->config.zmq, &link, &owner,
                               &lane->link)) ||
        (err = role_attach(&lane->role, lane->loop, on_stop, lane)))
        return err;
    loop_add_flush(lane->loop, on_turn_end, lane);
    return 0;
}

static void
close_lane(struct lane *lane)
{
    role_detach(&lane->role);
    worker_link_free(&lane->link);
    loop_timer_free(&lane->grace_timer);
    if (lane->loop)
        loop_free(&lane->loop);
    streams_free(&lane->streams);
    if (lane->kit)
        finish_held(lane);
    digest_kit_free(&lane->kit);
}

static void *
run_lane(void *arg)
{
    struct lane *lane = arg;
    int err = open_lane(lane);

    if (err) {
        fail_lane(lane, "start", err);
    } else {
        log_info("hasher.started", "worker=%s endpoint=\"%s\"", lane->label,
                 lane->config.endpoint);
        loop_run(lane->loop);
        log_info("hasher.ended", "worker=%s bodies=%" PRIu64 " bytes=%" PRIu64,
                 lane->label, metrics_get(&lane->config.stats->bodies),
                 metrics_get(&lane->config.stats->bytes));
    }
    close_lane(lane);
    metrics_set(&lane->config.stats->turned_ms, 0);
    lane->config.on_end(lane->config.arg, lane->has_failed);
    return NULL;
}

// Signals are the main thread's: a lane must not be where they land.
static int
start_thread(struct lane *lane)
{
    sigset_t all;
    sigset_t before;
    int err;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&lane->thread, NULL, run_lane, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        (void)pthread_setname_np(lane->thread, "hasher"); // for ps and perf
    return -err;
}

int
lane_start(const struct lane_config *config, struct lane **out_lane)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    int err;

    if (!lane)
        return -ENOMEM;
    lane->config = *config;
    (void)snprintf(lane->name, sizeof(lane->name), "%s", config->name);
    lane->config.name = lane->name;
    role_init(&lane->role, config->zmq, false);
    err = start_thread(lane);
    if (err) {
        role_fini(&lane->role);
        free(lane);
        return err;
    }
    *out_lane = lane;
    return 0;
}

void
lane_stop(struct lane *lane)
{
    role_stop(&lane->role);
}

void
lane_join(struct lane **lane)
{
    if (!*lane)
        return;
    (void)pthread_join((*lane)->thread, NULL); // fails for no thread of ours
    role_fini(&(*lane)->role);
    free(*lane);
    *lane = NULL;
}
