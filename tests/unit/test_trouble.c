// A store that refuses: nothing is told or leased that could not be recorded,
// and all goes on when it works again.
#include "common/clock.h"
#include "schedule_scene.h"

static void
check_hindrance(const struct broker *broker, const char *why, bool is_store)
{
    int64_t since_wall_ms = -1;
    bool got_store = !is_store;
    const char *got = broker_hindrance(broker, &since_wall_ms, &got_store);

    if (why)
        assert_string_equal(got, why);
    else
        assert_null(got);
    assert_int_equal(got_store, is_store);
    assert_int_equal(since_wall_ms != 0, why != NULL);
    assert_true(since_wall_ms <= clock_wall_ms());
}

static void
test_answers_are_no_refusals(void **state)
{
    static const int answers[] = {0,       -ENOENT, -EPIPE,    -ERANGE,
                                  -EILSEQ, -EBUSY,  -ESHUTDOWN};
    static const int refusals[] = {-ENOSPC, -EIO, -EACCES, -EROFS, -ENOMEM};
    struct scene *scene = scene_new(8, 100);

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        assert_false(trouble_is_refusal(answers[i]));
        broker_note_store(scene->broker, answers[i]);
        check_hindrance(scene->broker, NULL, false);
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
        assert_true(trouble_is_refusal(refusals[i]));
    scene_free(scene);
}

// Nothing has been refused for a while.
static void
quiet(struct broker *broker)
{
    broker->trouble.refused_ms -= TROUBLE_QUIET_MS;
    trouble_beat(broker);
}

// In order of importance, each seen when the one before is gone.
static void
test_order(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct broker *broker = scene->broker;

    (void)state;
    broker->is_draining = true;
    scene->fetcher.session->is_draining = true;
    scene->hasher.session->is_draining = true;
    broker_note_store(broker, -ENOSPC);
    check_hindrance(broker, "the broker's disk is full", true);
    broker_note_store(broker, -EIO);
    check_hindrance(broker, "the broker cannot write to its disk", true);
    broker_note_store(broker, -ENOENT); // says nothing
    check_hindrance(broker, "the broker cannot write to its disk", true);
    // It takes something, and refuses something else: no news.
    broker_note_store(broker, 0);
    trouble_beat(broker);
    check_hindrance(broker, "the broker cannot write to its disk", true);
    broker_note_store(broker, -EIO);
    quiet(broker); // for nobody asks: it has not worked since
    check_hindrance(broker, "the broker cannot write to its disk", true);
    broker_note_store(broker, 0);
    trouble_beat(broker);
    check_hindrance(broker, "no fetcher is connected", false);
    scene->fetcher.session->is_draining = false;
    check_hindrance(broker, "no hasher is connected", false);
    scene->hasher.session->is_draining = false;
    check_hindrance(broker, "the broker is about to stop", false);
    broker->is_draining = false;
    check_hindrance(broker, NULL, false);
    scene_free(scene);
}

// Since when: the beat that saw it first.
static void
test_since(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct trouble *trouble = &scene->broker->trouble;
    int64_t since_wall_ms;
    bool is_store;

    (void)state;
    scene->fetcher.session->is_draining = true;
    trouble_beat(scene->broker);
    trouble->hindered_wall_ms = 4711;
    trouble_beat(scene->broker);
    assert_string_equal(
        broker_hindrance(scene->broker, &since_wall_ms, &is_store),
        "no fetcher is connected");
    assert_int_equal(since_wall_ms, 4711);
    scene_free(scene);
}

// A refused submission that nobody repeats is not told for ever.
static void
test_forgotten(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct trouble *trouble = &scene->broker->trouble;

    (void)state;
    broker_note_store(scene->broker, -ENOSPC);
    check_hindrance(scene->broker, "the broker's disk is full", true);
    trouble->refused_ms -= TROUBLE_FORGET_MS;
    check_hindrance(scene->broker, NULL, false);
    scene_free(scene);
}

struct record {
    struct job *job;
    struct broker *broker;
    bool is_in;
};

static void
on_record(struct store_op *op)
{
    struct record *record = op->arg;

    record->is_in = broker_note_finish(record->broker, record->job);
    loop_end(record->broker->loop);
}

// The record of a job that nobody has, as life.c writes it, once refused.
static void
refuse(struct scene *scene, struct batch *batch, struct record *record)
{
    struct job *job = scene->broker->jobs.by_id;

    *record = (struct record){.job = job, .broker = scene->broker};
    job->finish = (struct store_finish){
        .op = {.kind = STORE_FINISH,
               .err = -ENOSPC,
               .done = on_record,
               .arg = record},
        .batch = batch->number,
        .origin = job->flow->number,
        .record = {.seq = job_seq(job),
                   .outcome = FAIL_CANCELLED,
                   .url = job->url,
                   .url_len = job->url_len},
    };
    assert_false(broker_note_finish(scene->broker, job));
}

static void
test_record_is_parked(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct broker *broker = scene->broker;
    struct trouble *trouble = &broker->trouble;
    struct batch *batch;
    struct record record;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 20, 20);
    load_only(scene);
    refuse(scene, batch, &record);
    assert_int_equal(trouble->unrecorded, 1);
    assert_ptr_equal(trouble->parked, record.job);
    check_hindrance(broker, "the broker's disk is full", true);
    // Nothing is leased, though there are workers and room.
    world_settle(scene->world);
    assert_int_equal(batch->fetching, 0);
    // Another write that works does not make this one recorded.
    broker_note_store(broker, 0);
    check_hindrance(broker, "the broker's disk is full", true);
    // It is not yet time...
    trouble_beat(broker);
    assert_ptr_equal(trouble->parked, record.job);
    // ... but now; and while it is on its way, still nothing is leased.
    trouble->again_ms = loop_now_ms(broker->loop);
    trouble_beat(broker);
    assert_null(trouble->parked);
    assert_int_equal(trouble->unrecorded, 1);
    schedule_run(broker);
    assert_int_equal(batch->fetching, 0);
    store_flush(broker->store);
    loop_run(broker->loop);
    assert_true(record.is_in);
    assert_int_equal(trouble->unrecorded, 0);
    quiet(broker);
    check_hindrance(broker, NULL, false);
    assert_int_equal(world_read_row(scene->world, batch->number).landed, 1);
    schedule_run(broker);
    assert_int_equal(batch->fetching, 20);
    scene_free(scene);
}

// What was parked when the broker ended goes once more with all else.
static void
test_last_chance(void **state)
{
    struct scene *scene = scene_new(8, 100);
    struct batch *batch;
    struct record record;

    (void)state;
    batch = world_add_batch(scene->world, "b", "sha512", NULL);
    world_append(scene->world, batch, 1, 1);
    load_only(scene);
    refuse(scene, batch, &record);
    trouble_push_all(scene->broker);
    store_close(&scene->broker->store);
    assert_true(record.is_in);
    assert_int_equal(scene->broker->trouble.unrecorded, 0);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_no_refusals),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_record_is_parked),
        cmocka_unit_test(test_last_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
