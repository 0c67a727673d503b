// resolver_scene.h - a resolver whose questions a test answers, and who waits
#ifndef TESTS_UNIT_RESOLVER_SCENE_H
#define TESTS_UNIT_RESOLVER_SCENE_H
#include "fetcher/resolver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define QUESTIONS 4096

// A source that answers when the test says so.
struct scene {
    struct resolver *resolver;
    struct resolver_stats stats;
    uint64_t now_ms;
    struct {
        void *token;
        char name[64]; // empty: a probe
    } asked[QUESTIONS];
    size_t asked_len, answered;
    size_t probes;
    bool is_broken; // asking fails
};

struct waiter {
    struct resolver_wait wait;
    struct scene *scene;
    int told;
    enum resolver_verdict verdict;
    const char *why;
    size_t addresses;
    unsigned char last_byte; // of the first address
    struct waiter *cancels;  // when it is told
};

static inline int
ask(void *arg, const char *name, void *token)
{
    struct scene *scene = arg;

    if (scene->is_broken)
        return -ENOMEM;
    assert_true(scene->asked_len < QUESTIONS);
    scene->asked[scene->asked_len].token = token;
    (void)snprintf(scene->asked[scene->asked_len].name, 64, "%s",
                   name ? name : "");
    scene->asked_len++;
    scene->probes += !name;
    return 0;
}

static inline const char *
describe(void *arg, char *text, size_t room)
{
    (void)arg;
    (void)snprintf(text, room, "none");
    return text;
}

static inline int
set_up(void **state)
{
    static struct scene scene;
    const struct resolver_source source = {&scene, ask, describe};
    const struct resolver_config config = {.outage_ms_max = 60000};

    scene = (struct scene){.now_ms = 1000000};
    *state = &scene;
    return resolver_new(&config, &source, &scene.stats, &scene.resolver);
}

static inline int
tear_down(void **state)
{
    struct scene *scene = *state;

    resolver_free(&scene->resolver);
    assert_null(scene->resolver);
    assert_int_equal(metrics_get(&scene->stats.waiting), 0);
    return 0;
}

static inline void
on_told(void *arg, const struct resolver_result *result)
{
    struct waiter *waiter = arg;

    waiter->told++;
    waiter->verdict = result->verdict;
    waiter->why = result->why;
    waiter->addresses = result->len;
    if (result->len)
        waiter->last_byte = result->addresses[0].bytes[3];
    if (waiter->cancels)
        resolver_cancel(waiter->scene->resolver, &waiter->cancels->wait);
}

static inline void
turn(struct scene *scene)
{
    resolver_turn(scene->resolver, scene->now_ms);
}

static inline void
later(struct scene *scene, uint64_t ms)
{
    scene->now_ms += ms;
    turn(scene);
}

static inline void
want(struct scene *scene, struct waiter *waiter, const char *name)
{
    *waiter = (struct waiter){.scene = scene};
    waiter->wait.done = on_told;
    waiter->wait.arg = waiter;
    assert_int_equal(
        resolver_ask(scene->resolver, &waiter->wait, name, scene->now_ms), 0);
}

// Answers the oldest question that has none yet.
static inline void
answer(struct scene *scene, enum dns_status status, uint32_t ttl_s)
{
    static const struct dns_address addresses[] = {{AF_INET, {192, 0, 2, 7}},
                                                   {AF_INET6, {0x20, 0x01}}};
    const struct dns_answer given = {
        .status = status,
        .why = status == DNS_FOUND ? NULL : "because",
        .addresses = addresses,
        .len = status == DNS_FOUND ? 2 : 0,
        .ttl_s = ttl_s,
    };

    assert_true(scene->answered < scene->asked_len);
    resolver_on_answer(scene->resolver, scene->asked[scene->answered++].token,
                       &given, scene->now_ms);
}

static inline const char *
next_asked(const struct scene *scene)
{
    return scene->answered < scene->asked_len
               ? scene->asked[scene->answered].name
               : NULL;
}

static inline void
answer_turn(struct scene *scene, enum dns_status status)
{
    answer(scene, status, 300);
    turn(scene);
}

#endif
