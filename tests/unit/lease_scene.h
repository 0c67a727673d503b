// lease_scene.h - jobs in hand, and time that passes over them
#ifndef TESTS_UNIT_LEASE_SCENE_H
#define TESTS_UNIT_LEASE_SCENE_H
#include "relay_scene.h"

#include "broker/lease.h"

#define LIMIT_MS(scene) (LEASE_TTLS * (uint64_t)(scene)->world->config.ttl_ms)

static inline struct scene *
scene_with(size_t jobs)
{
    struct scene *scene = scene_new("sha512", jobs, 256 * MIB);

    scene->world->config.ttl_ms = 1000;
    return scene;
}

// As if nothing had moved for so long.
static inline void
age(struct scene *scene, size_t i, uint64_t ms)
{
    struct job *job = job_at(scene, i);

    job->renewed_ms = loop_now_ms(scene->broker->loop) - ms;
    if (job->fetcher)
        job->fetcher->lease_due_ms = 0;
}

#endif
