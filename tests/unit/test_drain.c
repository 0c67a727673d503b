// Every list comes to its end: short and long, few and many origins, cancelled
// or not, within the memory it may have.
#include "schedule_scene.h"

// --- Draining lists ---

static void
drain_shape(size_t urls, size_t origins)
{
    struct scene *scene = scene_new(8, 1000);
    struct batch *batch;
    uint64_t number;

    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = batch->number;
    for (size_t left = urls; left;) {
        size_t len = left < SUBMIT_URLS_MAX ? left : SUBMIT_URLS_MAX;

        world_append(scene->world, batch, len, origins);
        left -= len;
    }
    world_close_batch(scene->world, batch);
    assert_int_equal(drain(scene), urls);
    check_drained(scene, number, urls);
    scene_free(scene);
}

static void
test_one_origin(void **state)
{
    (void)state;
    drain_shape(5000, 1);
}

static void
test_many_origins(void **state)
{
    (void)state;
    drain_shape(5000, 5000);
}

// More origins than may be in memory; more come while the store is searched
// for those that were left out.
static void
test_more_origins_than_flows(void **state)
{
    struct scene *scene = scene_new(8, 2000);
    struct batch *batch;
    uint64_t number, size = 0;
    size_t done = 0;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = batch->number;
    for (size_t i = 0; i < 9; i++, size += 2500)
        world_append(scene->world, batch, 2500, 40000);
    assert_int_equal(scene->broker->batches.flows_len, FLOWS_MAX / 4 * 3);
    while (size < 30000) {
        world_settle(scene->world);
        done += finish_leases(scene, &scene->fetcher);
        world_append(scene->world, batch, 1500, 40000);
        size += 1500;
    }
    world_close_batch(scene->world, batch);
    done += drain(scene);
    assert_int_equal(done, size);
    check_drained(scene, number, size);
    scene_free(scene);
}

// An origin that is left out behind the place where the search is.
static void
test_left_out_behind_the_search(void **state)
{
    struct scene *scene = scene_new(8, 2000);
    struct batches *batches = &scene->broker->batches;
    struct batch *batch;
    uint64_t number;
    size_t flows;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = batch->number;
    // 400 that nobody told memory about: the search takes two pages.
    flows = batches->flows_len;
    batches->flows_len = FLOWS_MAX;
    world_append(scene->world, batch, 400, 1000);
    batches->flows_len = flows;
    assert_int_equal(batches->flows_len, 0);
    batches_refill(scene->broker); // asks for the first page
    store_flush(scene->broker->store);
    (void)world_read_row(scene->world, number); // it is here now
    assert_false(batch->scan_is_first);
    flows = batches->flows_len;
    batches->flows_len = FLOWS_MAX;
    world_append(scene->world, batch, 400, 1000); // some below the place
    batches->flows_len = flows;
    world_close_batch(scene->world, batch);
    assert_int_equal(drain(scene), 800);
    check_drained(scene, number, 800);
    scene_free(scene);
}

// URLs that come while their flow is read, and after it has ended.
static void
test_appends_between(void **state)
{
    struct scene *scene = scene_new(8, 1000);
    struct batch *batch;
    uint64_t number;
    size_t done = 0;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = batch->number;
    for (int i = 0; i < 50; i++) {
        world_append(scene->world, batch, 7, 3);
        if (i % 3)
            world_turn(scene->world); // refills are out at the next append
        if (i % 10 == 0)
            done += drain(scene);
    }
    world_close_batch(scene->world, batch);
    done += drain(scene);
    assert_int_equal(done, 350);
    check_drained(scene, number, 350);
    scene_free(scene);
}

// A batch of lines that are no URLs.
static struct batch *
add_invalid_lines(struct scene *scene)
{
    struct store_url urls[2000];
    struct store_append append = {
        .op = {.kind = STORE_APPEND}, .urls = urls, .len = 2000};
    struct batch *batch = world_add_batch(scene->world, "b", "sha512", NULL);

    append.batch = batch->number;
    for (size_t i = 0; i < 2000; i++)
        urls[i] = (struct store_url){"no url", 6, ORIGIN_NONE};
    world_run_op(scene->world, &append.op);
    batch_on_appended(scene->broker, batch, urls, 2000, 2000);
    world_close_batch(scene->world, batch);
    return batch;
}

// Lines that are no URLs get their records without any worker.
static void
test_invalid_lines(void **state)
{
    struct scene *scene = scene_new(8, 10);
    uint64_t number;

    (void)state;
    number = add_invalid_lines(scene)->number;
    assert_int_equal(drain(scene), 0);
    check_drained(scene, number, 2000);
    assert_int_equal(world_read_row(scene->world, number).failed, 2000);
    scene_free(scene);
}

// Those that are read while the broker ends stay in the queue: nothing of them
// is lost, and nothing is wrong with the store.
static void
test_invalid_lines_at_the_end(void **state)
{
    struct scene *scene = scene_new(8, 10);

    (void)state;
    (void)add_invalid_lines(scene);
    world_turn(scene->world); // a read is on its way
    store_close(&scene->broker->store);
    assert_true(scene->broker->jobs.len > 0);
    assert_int_equal(scene->broker->trouble.unrecorded, 0);
    scene_free(scene);
}

// --- Cancelling ---

static void
cancel_at(size_t settles, size_t origins)
{
    struct scene *scene = scene_new(8, 100);
    struct store_mark mark = {.op = {.kind = STORE_CANCEL}};
    struct batch *batch;
    struct store_batch row;
    uint64_t number;
    size_t done = 0;

    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = mark.batch = batch->number;
    world_append(scene->world, batch, 3000, origins);
    world_close_batch(scene->world, batch);
    for (size_t i = 0; i < settles; i++) {
        if (i)
            done += finish_leases(scene, &scene->fetcher);
        world_settle(scene->world);
    }
    world_run_op(scene->world, &mark.op);
    assert_int_equal(mark.op.err, 0);
    store_mark_fini(&mark);
    batch_cancel(scene->broker, batch);
    assert_int_equal(scene->fetcher.session->jobs_len, 0);
    assert_int_equal(drain(scene), 0); // none is handed out any more
    row = world_read_row(scene->world, number);
    assert_int_equal(row.cancelled, 3000 - done);
    check_drained(scene, number, 3000);
    scene_free(scene);
}

static void
test_cancel(void **state)
{
    (void)state;
    for (size_t settles = 0; settles < 4; settles++) {
        cancel_at(settles, 1);
        cancel_at(settles, 10);
        cancel_at(settles, 3000);
    }
}

// The fetcher is told about each job it had.
static void
test_cancel_aborts(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;
    size_t told = 0;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 90, 90);
    world_settle(scene->world);
    while (peer_recv(&scene->fetcher))
        assert_int_equal(scene->fetcher.message.kind, WIRE_JOBS);
    batch_cancel(scene->broker, batch);
    sessions_flush(scene->broker);
    while (peer_recv(&scene->fetcher)) {
        assert_int_equal(scene->fetcher.message.kind, WIRE_ABORT);
        for (size_t i = 0; i < scene->fetcher.message.abort.len; i++)
            assert_int_equal(scene->fetcher.message.abort.items[i].reason,
                             WIRE_ABORT_CANCELLED);
        told += scene->fetcher.message.abort.len;
    }
    assert_int_equal(told, 90);
    scene_free(scene);
}

// A host that sends all away for long keeps no other from its turn, nor does it
// fill the memory.
static void
test_long_waits(void **state)
{
    struct scene *scene = scene_new(1000, 1000);
    struct life_info info = {.due_ms = UINT64_MAX,
                             .from = scene->fetcher.session};
    struct batch *batch;
    bool is_new;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    for (int i = 0; i < 2; i++)
        world_append(scene->world, batch, SUBMIT_URLS_MAX, 1);
    do {
        world_settle(scene->world);
        is_new = scene->fetcher.session->jobs != NULL;
        while (scene->fetcher.session->jobs)
            assert_int_equal(life_apply(scene->broker,
                                        scene->fetcher.session->jobs,
                                        EV_FAILED_SOFT, &info),
                             0);
        while (peer_recv(&scene->fetcher)) {
        }
    } while (is_new);
    assert_in_range(batch->retrying, FLOW_RETRYING_MAX,
                    FLOW_RETRYING_MAX + 2 * REFILL_MAX);
    // All the same it goes on when some of them are over.
    batch_cancel(scene->broker, batch);
    world_settle(scene->world);
    assert_int_equal(batch->landed, 2 * SUBMIT_URLS_MAX);
    scene_free(scene);
}

// A list that nobody can digest does not take all the room from one that can
// be.
static void
test_stuck_batch_leaves_room(void **state)
{
    struct scene *scene = scene_new(8, 1000);
    struct batch *stuck, *batch;
    uint64_t number;

    (void)state;
    stuck = world_add_batch(scene->world, "stuck", "sha256", NULL);
    for (int i = 0; i < 20; i++)
        world_append(scene->world, stuck, SUBMIT_URLS_MAX, 20000);
    world_settle(scene->world);
    assert_int_equal(stuck->fetching, 0);
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    number = batch->number;
    world_append(scene->world, batch, 1000, 1000);
    world_close_batch(scene->world, batch);
    assert_int_equal(drain(scene), 1000);
    assert_int_equal(world_read_row(scene->world, number).landed, 1000);
    assert_int_equal(stuck->landed, 0);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_origin),
        cmocka_unit_test(test_many_origins),
        cmocka_unit_test(test_more_origins_than_flows),
        cmocka_unit_test(test_left_out_behind_the_search),
        cmocka_unit_test(test_appends_between),
        cmocka_unit_test(test_invalid_lines),
        cmocka_unit_test(test_invalid_lines_at_the_end),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_aborts),
        cmocka_unit_test(test_long_waits),
        cmocka_unit_test(test_stuck_batch_leaves_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
