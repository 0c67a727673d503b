// schedule_scene.h - a fetcher of any capacity, a hasher, and their work done
#ifndef TESTS_UNIT_SCHEDULE_SCENE_H
#define TESTS_UNIT_SCHEDULE_SCENE_H
#include "broker_world.h"

struct scene {
    struct world *world;
    struct broker *broker;
    struct peer fetcher, hasher;
};

static inline struct scene *
scene_new(int64_t parallel_max_host, uint64_t capacity)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->world = world_new(parallel_max_host);
    scene->broker = &scene->world->broker;
    world_open_endpoints(scene->world);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, capacity);
    peer_join(scene->world, &scene->hasher, WIRE_HASHER, 0);
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

// The batch's jobs are in memory, but nobody has taken one.
static inline void
load_only(struct scene *scene)
{
    scene->broker->is_draining = true;
    world_settle(scene->world);
    scene->broker->is_draining = false;
}

static inline void
finish_one(struct scene *scene, struct peer *fetcher)
{
    struct job *job = fetcher->session->jobs;
    const struct life_info info = {.from = fetcher->session};

    assert_int_equal(life_apply(scene->broker, job, EV_FETCHED, &info), 0);
    assert_int_equal(life_apply(scene->broker, job, EV_DIGESTED, &info), 0);
}

// Fetches and digests all that is leased. Returns how many there were.
static inline size_t
finish_leases(struct scene *scene, struct peer *fetcher)
{
    size_t len = 0;

    for (; fetcher->session->jobs; len++)
        finish_one(scene, fetcher);
    while (peer_recv(fetcher)) {
    }
    return len;
}

// Works until a turn brings nothing more; returns the records written.
static inline size_t
drain(struct scene *scene)
{
    size_t total = 0, len;

    do {
        world_settle(scene->world);
        len = finish_leases(scene, &scene->fetcher);
        total += len;
    } while (len);
    world_settle(scene->world);
    return total;
}

static inline void
check_drained(struct scene *scene, uint64_t batch, uint64_t size)
{
    struct store_batch row = world_read_row(scene->world, batch);

    assert_int_equal(row.submitted, size);
    assert_int_equal(row.landed, size);
    assert_true(row.finished_wall_ms != 0);
    // Nothing of it stays in memory.
    assert_int_equal(scene->broker->jobs.len, 0);
    assert_int_equal(scene->broker->batches.len, 0);
    assert_int_equal(scene->broker->batches.flows_len, 0);
    assert_int_equal(scene->broker->batches.refills_out, 0);
    assert_null(scene->broker->hosts.origins);
    assert_null(scene->broker->batches.hungry);
}

#endif
