// relay_scene.h - a fetcher with jobs and a hasher, and the words they say
#ifndef TESTS_UNIT_RELAY_SCENE_H
#define TESTS_UNIT_RELAY_SCENE_H
#include "broker_world.h"

#define MIB ((uint64_t)1024 * 1024)

struct scene {
    struct world *world;
    struct broker *broker;
    struct peer fetcher, hasher;
    struct batch *batch;
    struct wire_job jobs[64]; // what the fetcher was given; no URLs
    size_t jobs_len;
};

// Takes what JOBS messages are there.
static inline void
take_jobs(struct scene *scene, struct peer *fetcher)
{
    scene->jobs_len = 0;
    while (peer_recv(fetcher)) {
        if (fetcher->message.kind != WIRE_JOBS)
            continue;
        for (size_t i = 0; i < fetcher->message.jobs.len; i++) {
            assert_true(scene->jobs_len < 64);
            scene->jobs[scene->jobs_len] = fetcher->message.jobs.jobs[i];
            scene->jobs[scene->jobs_len++].url.at = NULL;
        }
    }
}

// A fetcher that has the jobs of a batch, and a hasher.
static inline struct scene *
scene_new(const char *algorithms, size_t jobs, int64_t buffer_memory)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->world = world_new(1000);
    scene->world->config.buffer_memory = buffer_memory;
    scene->broker = &scene->world->broker;
    world_open_endpoints(scene->world);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    peer_join(scene->world, &scene->hasher, WIRE_HASHER, 0);
    scene->batch = world_add_batch(scene->world, "b", algorithms, NULL);
    world_append(scene->world, scene->batch, jobs, 1);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    assert_int_equal(scene->jobs_len, jobs);
    return scene;
}

static inline void
scene_free(struct scene *scene)
{
    peer_leave(&scene->fetcher);
    peer_leave(&scene->hasher);
    world_free(scene->world);
    free(scene);
}

static inline struct job *
job_at(struct scene *scene, size_t i)
{
    return jobs_find(&scene->broker->jobs, scene->jobs[i].job);
}

// A suspect that was lost with the only worker runs again after as long a rest
// as it ran: that is over.
static inline void
end_rest(struct scene *scene)
{
    scene->broker->suspects.rest_until_ms = 0;
}

// --- What the workers say ---

static inline void
say_fetched(struct scene *scene, size_t i, enum fail outcome, uint64_t size)
{
    struct wire_fetched item = {.job = scene->jobs[i].job,
                                .attempt = scene->jobs[i].attempt,
                                .outcome = outcome,
                                .size = size};

    wire_facts_init(&item.facts);
    item.facts.http_status = outcome == FAIL_HTTP ? 404 : 200;
    wire_put_fetched(scene->fetcher.buf, &item, 1);
    peer_say(&scene->fetcher, false, 0);
}

static inline struct wire_segment
segment(const struct scene *scene, size_t i, uint64_t offset, uint32_t length,
        bool is_last)
{
    return (struct wire_segment){.job = scene->jobs[i].job,
                                 .attempt = scene->jobs[i].attempt,
                                 .offset = offset,
                                 .length = length,
                                 .flags = is_last ? WIRE_SEGMENT_LAST : 0};
}

static inline void
say_body(struct peer *fetcher, const struct wire_segment *segments, size_t len)
{
    size_t bytes = 0;

    for (size_t i = 0; i < len; i++)
        bytes += segments[i].length;
    wire_put_body(fetcher->buf, segments, len);
    peer_say(fetcher, true, bytes);
}

static inline void
say_part(struct scene *scene, size_t i, uint64_t offset, uint32_t length,
         bool is_last)
{
    struct wire_segment part = segment(scene, i, offset, length, is_last);

    say_body(&scene->fetcher, &part, 1);
}

// A whole body, announced and sent.
static inline void
say_whole(struct scene *scene, size_t i, uint32_t length)
{
    say_fetched(scene, i, FAIL_OK, length);
    say_part(scene, i, 0, length, true);
}

static inline void
say_digest(struct scene *scene, uint64_t taken, size_t i, uint64_t size,
           size_t digest_bytes, size_t digests)
{
    static const char bytes[64] = "digest";
    struct wire_digest item = {.job = scene->jobs[i].job,
                               .attempt = scene->jobs[i].attempt,
                               .size = size,
                               .digests_len = digests};

    for (size_t j = 0; j < digests; j++)
        item.digests[j] = (struct wire_bytes){bytes, digest_bytes};
    wire_put_digests(scene->hasher.buf, taken, &item, 1);
    peer_say(&scene->hasher, false, 0);
}

static inline void
say_taken(struct peer *hasher, uint64_t taken)
{
    wire_put_digests(hasher->buf, taken, NULL, 0);
    peer_say(hasher, false, 0);
}

// The worker broke the protocol: it is told, and its session is over.
static inline void
expect_refused(struct scene *scene, struct peer *peer, const char *why)
{
    assert_true(peer->session->is_gone);
    sessions_flush(scene->broker);
    do {
        if (!peer_recv(peer))
            fail_msg("no ERROR came");
    } while (peer->message.kind != WIRE_ERROR);
    assert_int_equal(peer->message.error.code, WIRE_ERROR_BAD_FRAME);
    assert_int_equal(peer->message.error.text.len, strlen(why));
    assert_memory_equal(peer->message.error.text.at, why, strlen(why));
    assert_null(peer->role == WIRE_FETCHER ? scene->broker->sessions.fetchers
                                           : scene->broker->sessions.hashers);
}

// Small credit is gathered until a message is worth it: these tests want to see
// it at once.
static inline void
flush_credit(struct scene *scene)
{
    struct session *fetcher = scene->fetcher.session;

    fetcher->credit_is_due = fetcher->credit || fetcher->credits_len;
    sessions_flush(scene->broker);
}

static inline void
expect_credit(struct scene *scene, uint64_t at_least, size_t items)
{
    flush_credit(scene);
    peer_expect(&scene->fetcher, WIRE_CREDIT);
    assert_true(scene->fetcher.message.credit.bytes >= at_least);
    assert_int_equal(scene->fetcher.message.credit.len, items);
}

// What the fetcher may still send, by the broker's books, is what it thinks.
static inline void
check_books(const struct scene *scene)
{
    const struct session *fetcher = scene->fetcher.session;
    uint64_t notes = 0;

    for (size_t i = 0; i < scene->hasher.session->notes_len; i++)
        notes += scene->hasher.session
                     ->notes[(scene->hasher.session->notes_first + i) %
                             scene->hasher.session->notes_room]
                     .bytes;
    assert_int_equal(fetcher->outstanding, notes);
    assert_int_equal(scene->hasher.session->backlog, notes);
    assert_int_equal(fetcher->granted, scene->broker->sessions.window_given);
    assert_true(fetcher->granted >= fetcher->outstanding);
    assert_true(fetcher->granted <=
                (uint64_t)scene->world->config.buffer_memory);
}

#endif
