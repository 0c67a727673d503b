// The resolver on its loop. The name asked for is one that nobody may have, so
// that no server is asked.
#include "fetcher/names.h"

#include "common/loop.h"
#include "fetcher/fetcher.h"
#include "fetcher/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h> // needs those above

#define GIVE_UP_MS 5000

struct scene {
    struct loop *loop;
    struct names *names;
    struct loop_timer *give_up;
    struct resolver_wait wait;
    bool has_asked, is_told, is_late;
};

static void
on_told(void *arg, const struct resolver_result *result)
{
    struct scene *scene = arg;

    assert_int_equal(result->verdict, RESOLVER_ABSENT);
    scene->is_told = true;
    loop_end(scene->loop);
}

static void
on_give_up(void *arg)
{
    struct scene *scene = arg;

    scene->is_late = true;
    loop_end(scene->loop);
}

// As the fetcher's: the names have had their turn when a request wants one.
static void
on_flush(void *arg)
{
    struct scene *scene = arg;

    names_turn(scene->names);
    if (scene->has_asked)
        return;
    scene->has_asked = true;
    assert_int_equal(names_ask(scene->names, &scene->wait, "some.invalid"), 0);
}

static void
the_loop_does_not_sleep_over_a_question(void **state)
{
    const struct fetcher_config config = {.dns_servers = "127.0.0.1:9",
                                          .dns_timeout_ms = 1000};
    struct resolver_stats stats = {0};
    struct scene scene = {.wait = {.done = on_told, .arg = &scene}};

    (void)state;
    assert_int_equal(loop_new(&scene.loop), 0);
    assert_int_equal(names_new(scene.loop, &config, &stats, &scene.names), 0);
    assert_int_equal(
        loop_timer_new(scene.loop, on_give_up, &scene, &scene.give_up), 0);
    loop_timer_start(scene.give_up, GIVE_UP_MS, 0);
    loop_add_flush(scene.loop, on_flush, &scene);
    loop_run(scene.loop);
    assert_true(scene.is_told && !scene.is_late);
    names_cancel(scene.names, &scene.wait);
    names_free(&scene.names);
    loop_timer_free(&scene.give_up);
    loop_free(&scene.loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_does_not_sleep_over_a_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
