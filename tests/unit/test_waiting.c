// What `urlsum status --stuck` prints of an answer, hostile ones too.
#include "client/text.h"
#include "client/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    Urlsum__V1__Batch batch;
    Urlsum__V1__WaitingJob job;
    Urlsum__V1__WaitingJob *jobs[1];
    Urlsum__V1__Waiting waiting;
};

static void
scene_init(struct scene *scene)
{
    urlsum__v1__batch__init(&scene->batch);
    urlsum__v1__waiting_job__init(&scene->job);
    urlsum__v1__waiting__init(&scene->waiting);
    scene->jobs[0] = &scene->job;
    scene->job.seq = 41;
    scene->job.url.data = (uint8_t *)(uintptr_t) "http://h/\x1b[2J\xff";
    scene->job.url.len = 14;
    scene->job.state = (char *)(uintptr_t) "LEASED";
    scene->job.why = (char *)(uintptr_t) "no answer\n";
    scene->job.fetcher = (char *)(uintptr_t) "f1";
    scene->job.lost = 2;
    scene->job.quiet_ms = 12900;
    scene->batch.submitted = 100;
    scene->batch.done = 90;
    scene->batch.closed = 1;
    scene->waiting.batch = &scene->batch;
    scene->waiting.jobs = scene->jobs;
    scene->waiting.n_jobs = 1;
    scene->waiting.in_memory = 4;
}

static void
expect_shown(const struct scene *scene, const char *wanted)
{
    struct text text = {0};

    waiting_show(&scene->waiting, &text);
    text_putc(&text, '\0');
    assert_string_equal(text.at, wanted);
    text_fini(&text);
}

static void
test_table(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    expect_shown(&scene,
                 "waiting     for 10 URLs\n\n         SEQ  URL\n"
                 "          41  http://h/\\x1b[2J\\xff\n"
                 "              LEASED for 12 s: no answer\\x0a; 2 workers "
                 "lost with it  [f1]\n"
                 "and 3 more at hand (-n N shows more)\n"
                 "and 6 in the store, which wait for their turn\n");
}

// The row and the jobs are not of the same instant.
static void
test_counts_that_differ(void **state)
{
    struct scene scene;

    (void)state;
    scene_init(&scene);
    scene.batch.done = 101;
    scene.waiting.in_memory = 1;
    scene.job.lost = 0;
    scene.job.fetcher = (char *)(uintptr_t) "";
    expect_shown(&scene, "waiting     for 1 URLs\n\n         SEQ  URL\n"
                         "          41  http://h/\\x1b[2J\\xff\n"
                         "              LEASED for 12 s: no answer\\x0a\n");
    scene.waiting.n_jobs = scene.waiting.in_memory = 0;
    scene.batch.done = 100;
    expect_shown(&scene, "waiting     for nothing\n");
    scene.batch.closed = 0;
    expect_shown(&scene, "waiting     for more URLs\n");
}

static void
test_json(void **state)
{
    struct scene scene;
    struct text text = {0};

    (void)state;
    scene_init(&scene);
    waiting_to_json(&scene.waiting, &text);
    text_putc(&text, '\0');
    assert_string_equal(
        text.at, "{\"seq\":41,\"url_bytes\":\"aHR0cDovL2gvG1sySv8=\","
                 "\"state\":\"LEASED\",\"why\":\"no answer\\u000a\","
                 "\"fetcher\":\"f1\",\"attempts\":0,\"lost\":2,\"bytes\":0,"
                 "\"quiet_ms\":12900}\n");
    text_fini(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_counts_that_differ),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
