// The store's file is looked at beside the loop, which goes on when that hangs.
#include "broker/disk.h"
#include "common/loop.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

// A file system that hangs: statvfs(2) waits as long as is_hanging.
static sem_t called, may_return;
static bool is_hanging;

int __real_statvfs(const char *path, struct statvfs *about);
int __wrap_statvfs(const char *path, struct statvfs *about);

int
__wrap_statvfs(const char *path, struct statvfs *about)
{
    if (is_hanging) {
        (void)sem_post(&called);
        (void)sem_wait(&may_return);
    }
    return __real_statvfs(path, about);
}

struct scene {
    char folder[32], path[64], log_path[72];
    struct loop *loop;
    struct disk *disk;
    struct loop_timer *timer;
    int turns;
    struct disk_sizes sizes;
};

static void
put_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
}

static int
set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    (void)snprintf(scene->folder, sizeof(scene->folder), "/tmp/disk.XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    (void)snprintf(scene->path, sizeof(scene->path), "%s/store.db",
                   scene->folder);
    (void)snprintf(scene->log_path, sizeof(scene->log_path), "%s-wal",
                   scene->path);
    put_file(scene->path, 3000);
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(sem_init(&called, 0, 0), 0);
    assert_int_equal(sem_init(&may_return, 0, 0), 0);
    is_hanging = false;
    *state = scene;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *scene = *state;

    loop_timer_free(&scene->timer);
    disk_free(&scene->disk);
    loop_free(&scene->loop);
    (void)unlink(scene->path);
    (void)unlink(scene->log_path);
    (void)rmdir(scene->folder);
    free(scene);
    return 0;
}

static void
on_turn(void *arg)
{
    struct scene *scene = arg;

    scene->sizes = disk_sizes(scene->disk);
    if (scene->sizes.is_free_known || ++scene->turns == 1000)
        loop_end(scene->loop);
}

static void
begin(struct scene *scene)
{
    assert_int_equal(disk_new(scene->loop, scene->path, &scene->disk), 0);
    assert_int_equal(loop_timer_new(scene->loop, on_turn, scene, &scene->timer),
                     0);
    loop_timer_start(scene->timer, 1, 1);
}

static void
file_and_log_count(void **state)
{
    struct scene *scene = *state;

    put_file(scene->log_path, 500);
    begin(scene);
    assert_int_equal(disk_sizes(scene->disk).file_bytes, 0); // not yet
    loop_run(scene->loop);
    assert_true(scene->sizes.is_free_known);
    assert_int_equal(scene->sizes.file_bytes, 3500);
    assert_true(scene->sizes.free_bytes > 0);
}

static void
there_need_be_no_log(void **state)
{
    struct scene *scene = *state;

    begin(scene);
    loop_run(scene->loop);
    assert_int_equal(scene->sizes.file_bytes, 3000);
}

// A broker without --http, or with a temporary store, has none.
static void
no_disk_tells_nothing(void **state)
{
    (void)state;
    assert_int_equal(disk_sizes(NULL).file_bytes, 0);
    assert_false(disk_sizes(NULL).is_free_known);
}

static void
the_loop_goes_on_while_it_hangs(void **state)
{
    struct scene *scene = *state;

    is_hanging = true;
    begin(scene);
    loop_run(scene->loop);
    assert_int_equal(scene->turns, 1000);
    assert_false(scene->sizes.is_free_known);
    assert_int_equal(sem_wait(&called), 0); // it was asked, and hangs
    // Nobody wants to know any more; the answer comes all the same.
    disk_free(&scene->disk);
    assert_null(scene->disk);
    is_hanging = false;
    assert_int_equal(sem_post(&may_return), 0);
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(file_and_log_count),
        CASE(there_need_be_no_log),
        CASE(no_disk_tells_nothing),
        CASE(the_loop_goes_on_while_it_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
