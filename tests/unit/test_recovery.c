// After a start: every unfinished batch comes back, page by page, and no more
// of them than there is room for.
#include "broker_world.h"
#include "common/log.h"

#define BATCHES 600 // three pages

static void
on_over(void *arg, int err)
{
    int *calls = arg;

    assert_int_equal(err, 0);
    ++*calls;
}

static void
ignore(struct store_op *op)
{
    assert_int_equal(op->err, 0);
}

// Batches in the store that nobody has in memory; every tenth is finished.
static void
make_batches(struct world *world)
{
    struct store_create *creates = calloc(BATCHES, sizeof(*creates));
    struct store_mark *closes = calloc(BATCHES, sizeof(*closes));

    assert_non_null(creates);
    assert_non_null(closes);
    for (int i = 0; i < BATCHES; i++) {
        creates[i].op = (struct store_op){.kind = STORE_CREATE, .done = ignore};
        (void)snprintf(creates[i].batch.id, sizeof(creates[i].batch.id), "b%d",
                       i);
        (void)snprintf(creates[i].batch.algorithms,
                       sizeof(creates[i].batch.algorithms), "sha512");
        store_push(world->broker.store, &creates[i].op);
    }
    world_settle(world);
    for (int i = 0; i < BATCHES; i += 10) {
        closes[i].op = (struct store_op){.kind = STORE_CLOSE, .done = ignore};
        closes[i].batch = creates[i].batch.batch;
        store_push(world->broker.store, &closes[i].op);
    }
    world_settle(world);
    for (int i = 0; i < BATCHES; i++) {
        store_create_fini(&creates[i]);
        store_mark_fini(&closes[i]);
    }
    free(creates);
    free(closes);
}

static void
settle(struct world *world)
{
    for (int i = 0; i < 10; i++) {
        recovery_run(&world->broker);
        world_settle(world);
    }
}

static void
test_all_come_back(void **state)
{
    struct world *world = world_new(8);
    struct broker *broker = &world->broker;
    int calls = 0;

    (void)state;
    make_batches(world);
    recovery_start(broker, on_over, &calls);
    assert_int_equal(calls, 0); // from a later turn
    settle(world);
    assert_int_equal(calls, 1);
    assert_false(broker->recovery.has_more);
    assert_int_equal(broker->batches.len, BATCHES - BATCHES / 10);
    assert_null(batch_find(broker, "b0"));
    assert_non_null(batch_find(broker, "b599"));
    world_free(world);
}

static void
test_empty(void **state)
{
    struct world *world = world_new(8);
    int calls = 0;

    (void)state;
    recovery_start(&world->broker, on_over, &calls);
    settle(world);
    assert_int_equal(calls, 1);
    assert_false(world->broker.recovery.has_more);
    world_free(world);
}

// The broker serves with what has room; the rest comes when others are gone.
static void
test_no_room(void **state)
{
    struct world *world = world_new(8);
    struct broker *broker = &world->broker;
    const size_t others = BATCHES_MAX - 300;
    int calls = 0;

    (void)state;
    make_batches(world);
    broker->batches.len = others; // as if they were there
    recovery_start(broker, on_over, &calls);
    settle(world);
    assert_int_equal(calls, 1);
    assert_true(broker->recovery.has_more);
    assert_int_equal(broker->batches.len, others + 256);
    assert_null(batch_find(broker, "b599"));
    broker->batches.len -= others;
    settle(world);
    assert_int_equal(calls, 1);
    assert_false(broker->recovery.has_more);
    assert_int_equal(broker->batches.len, BATCHES - BATCHES / 10);
    assert_non_null(batch_find(broker, "b599"));
    world_free(world);
}

// Clients made batches while a page was on its way: what has no room any more
// is not passed over.
static void
test_room_goes_meanwhile(void **state)
{
    struct world *world = world_new(8);
    struct broker *broker = &world->broker;
    const size_t others = BATCHES_MAX - 100;
    int calls = 0;

    (void)state;
    make_batches(world);
    recovery_start(broker, on_over, &calls); // asks for the first page
    broker->batches.len = others;
    settle(world);
    assert_int_equal(calls, 1);
    assert_int_equal(broker->batches.len, BATCHES_MAX);
    broker->batches.len -= others;
    settle(world);
    assert_int_equal(broker->batches.len, BATCHES - BATCHES / 10);
    world_free(world);
}

// A batch that found no room comes in the end, also when the page that is on
// its way was asked for before it.
static void
test_again(void **state)
{
    struct world *world = world_new(8);
    struct broker *broker = &world->broker;
    struct store_mark mark = {.op = {.kind = STORE_STATUS}, .id = "b1"};
    struct store_requeue_row none = {0};
    size_t len;
    int calls = 0;

    (void)state;
    make_batches(world);
    world_run_op(world, &mark.op);
    broker->batches.len = BATCHES_MAX;
    recovery_start(broker, on_over, &calls); // no room: it waits
    broker->batches.len = 0;
    broker->recovery.after = mark.row.batch; // as if it had been finished then
    settle(world);
    assert_null(batch_find(broker, "b1"));
    broker->recovery.has_more = true;
    recovery_run(broker); // a page is out
    len = broker->batches.len;
    broker->batches.len = BATCHES_MAX;
    batch_on_requeued(broker, &mark.row, &none, 0);
    broker->batches.len = len;
    settle(world);
    assert_non_null(batch_find(broker, "b1"));
    store_mark_fini(&mark);
    world_free(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_come_back),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_room_goes_meanwhile),
        cmocka_unit_test(test_again),
    };

    log_set_level(LOG_ERROR); // a line for each batch is too much
    return cmocka_run_group_tests(tests, NULL, NULL);
}
