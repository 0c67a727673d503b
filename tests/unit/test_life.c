// The life table, cell by cell: every state with every event, in memory and in
// the store alike.
#include "broker/life.h"

#include "broker_world.h"

// What the table must say, written down a second time: a cell that changes has
// to be changed here too, on purpose.
static const struct cell {
    enum job_state state;
    enum job_event event;
    enum job_state next;
} cells[] = {
    {JOB_NONE, EV_LOADED, JOB_QUEUED},
    {JOB_NONE, EV_REFUSED, JOB_FAILED},
    {JOB_NONE, EV_CANCELLED, JOB_CANCELLED},
    {JOB_QUEUED, EV_LEASED, JOB_LEASED},
    {JOB_QUEUED, EV_GIVEN_UP, JOB_FAILED},
    {JOB_QUEUED, EV_CANCELLED, JOB_CANCELLED},
    {JOB_LEASED, EV_FETCHED, JOB_HASHING},
    {JOB_LEASED, EV_FAILED_SOFT, JOB_RETRY_WAIT},
    {JOB_LEASED, EV_FAILED_HARD, JOB_FAILED},
    {JOB_LEASED, EV_LEASE_LOST, JOB_QUEUED},
    {JOB_LEASED, EV_CANCELLED, JOB_CANCELLED},
    {JOB_HASHING, EV_DIGESTED, JOB_DONE},
    {JOB_HASHING, EV_FAILED_HARD, JOB_FAILED},
    {JOB_HASHING, EV_LEASE_LOST, JOB_QUEUED},
    {JOB_HASHING, EV_CANCELLED, JOB_CANCELLED},
    {JOB_RETRY_WAIT, EV_DUE, JOB_QUEUED},
    {JOB_RETRY_WAIT, EV_CANCELLED, JOB_CANCELLED},
};

struct scene {
    struct world *world;
    struct broker *broker; // of the world
    struct session fetcher, hasher;
    struct batch *batch;
    struct flow *flow;
};

static struct store_batch
read_row(struct scene *scene)
{
    return world_read_row(scene->world, scene->batch->number);
}

static bool
is_in_queue(struct scene *scene, uint64_t seq)
{
    struct store_refill refill = {.op = {.kind = STORE_REFILL},
                                  .batch = scene->batch->number,
                                  .origin = scene->flow->number,
                                  .from_seq = seq,
                                  .max = 1};
    bool is_there;

    world_run_op(scene->world, &refill.op);
    assert_int_equal(refill.op.err, 0);
    is_there = refill.len == 1 && refill.jobs[0].seq == seq;
    store_refill_fini(&refill);
    return is_there;
}

static int
set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->world = world_new(8);
    scene->broker = &scene->world->broker;
    // Workers without a connection: nothing is sent to who is gone.
    scene->fetcher = (struct session){
        .role = WIRE_FETCHER, .capacity = 100, .is_gone = true};
    scene->hasher = (struct session){.role = WIRE_HASHER, .is_gone = true};
    scene->batch = world_add_batch(scene->world, "t", "sha512", NULL);
    world_append(scene->world, scene->batch, 256, 1);
    scene->flow = scene->batch->flows;
    assert_non_null(scene->flow);
    *state = scene;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *scene = *state;

    world_free(scene->world);
    free(scene);
    return 0;
}

static void
apply(struct scene *scene, struct job *job, enum job_event event)
{
    const struct life_info info = {.fetcher = &scene->fetcher,
                                   .outcome = FAIL_CUT,
                                   .due_ms = 1000,
                                   .reason = WIRE_ABORT_CANCELLED};

    assert_int_equal(life_apply(scene->broker, job, event, &info), 0);
    // The scheduler sends these at once; here nobody is there to get them.
    scene->fetcher.jobs_out_len = 0;
}

// A job of its own, brought into the state by the events that lead there.
static struct job *
make_job(struct scene *scene, uint64_t seq, enum job_state state)
{
    const struct store_job row = {.seq = seq,
                                  .url = "http://h0.example/0",
                                  .len = strlen("http://h0.example/0")};
    struct job *job =
        jobs_add(&scene->broker->jobs, scene->flow, scene->batch->number, &row);

    assert_non_null(job);
    scene->flow->jobs_len++;
    if (state != JOB_NONE)
        apply(scene, job, EV_LOADED);
    if (state == JOB_LEASED || state == JOB_HASHING ||
        state == JOB_RETRY_WAIT || state == JOB_DONE || state == JOB_FAILED)
        apply(scene, job, EV_LEASED);
    if (state == JOB_HASHING || state == JOB_DONE)
        apply(scene, job, EV_FETCHED);
    if (state == JOB_RETRY_WAIT)
        apply(scene, job, EV_FAILED_SOFT);
    if (state == JOB_DONE)
        apply(scene, job, EV_DIGESTED);
    if (state == JOB_FAILED)
        apply(scene, job, EV_FAILED_HARD);
    if (state == JOB_CANCELLED)
        apply(scene, job, EV_CANCELLED);
    assert_int_equal(job->state, state);
    return job;
}

static enum job_state
expected(enum job_state state, enum job_event event)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
        if (cells[i].state == state && cells[i].event == event)
            return cells[i].next;
    }
    return JOB_STATE_COUNT;
}

static bool
is_final(enum job_state state)
{
    return state == JOB_DONE || state == JOB_FAILED || state == JOB_CANCELLED;
}

// Where the job is, besides what its state says.
static void
check_places(const struct scene *scene, const struct job *job)
{
    bool is_active = job->state == JOB_LEASED || job->state == JOB_HASHING;

    assert_int_equal(scene->flow->queue_len, job->state == JOB_QUEUED);
    assert_int_equal(scene->flow->origin->running, job->state == JOB_LEASED);
    assert_int_equal(scene->batch->fetching, job->state == JOB_LEASED);
    assert_int_equal(scene->batch->hashing, job->state == JOB_HASHING);
    assert_int_equal(scene->batch->retrying, job->state == JOB_RETRY_WAIT);
    assert_int_equal(scene->broker->retries.len, job->state == JOB_RETRY_WAIT);
    assert_int_equal(scene->fetcher.jobs_len, is_active);
    assert_int_equal(scene->hasher.jobs_len, 0);
}

static void
walk_cell(struct scene *scene, uint64_t seq, enum job_state state,
          enum job_event event)
{
    struct job *job = make_job(scene, seq, state);
    const struct life_info info = {.fetcher = &scene->fetcher,
                                   .outcome = FAIL_HTTP,
                                   .due_ms = 1000,
                                   .reason = WIRE_ABORT_CANCELLED};
    enum job_state next = expected(state, event);
    uint64_t landed = scene->batch->landed;
    bool ends = is_final(next == JOB_STATE_COUNT ? state : next);
    int err = life_apply(scene->broker, job, event, &info);
    struct store_batch row;

    scene->fetcher.jobs_out_len = 0;
    assert_int_equal(err, next == JOB_STATE_COUNT ? -EPROTO : 0);
    assert_int_equal(job->state, next == JOB_STATE_COUNT ? state : next);
    check_places(scene, job);
    // The store: a record exactly when the state is final, else the queue row.
    row = read_row(scene);
    assert_int_equal(row.landed, landed + ends);
    assert_int_equal(is_in_queue(scene, seq), !ends);
    if (ends) {
        assert_null(jobs_find(&scene->broker->jobs,
                              job_id_make(scene->batch->number, seq)));
        return;
    }
    // Out of the way of the next cell.
    if (life_next(job->state, EV_CANCELLED) != JOB_STATE_COUNT)
        apply(scene, job, EV_CANCELLED);
    (void)read_row(scene);
}

static void
test_every_cell(void **state)
{
    struct scene *scene = *state;
    uint64_t seq = 0;

    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int event = 0; event < EV_COUNT; event++)
            walk_cell(scene, seq++, (enum job_state)from,
                      (enum job_event)event);
    }
    assert_true(seq <= 256);
    assert_int_equal(scene->broker->jobs.len, 0);
}

static void
test_table_is_what_is_expected(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int event = 0; event < EV_COUNT; event++)
            assert_int_equal(
                life_next((enum job_state)from, (enum job_event)event),
                expected((enum job_state)from, (enum job_event)event));
    }
}

static void
test_tries_are_stored(void **state)
{
    struct scene *scene = *state;
    struct job *job = make_job(scene, 0, JOB_LEASED);
    struct store_refill refill = {.op = {.kind = STORE_REFILL},
                                  .batch = scene->batch->number,
                                  .origin = scene->flow->number,
                                  .max = 1};

    job->tries = 2;
    job->lost = 1;
    apply(scene, job, EV_FAILED_SOFT);
    world_run_op(scene->world, &refill.op);
    assert_int_equal(refill.len, 1);
    assert_int_equal(refill.jobs[0].tries, 2);
    assert_int_equal(refill.jobs[0].lost, 1);
    store_refill_fini(&refill);
}

static void
test_second_record_is_refused(void **state)
{
    struct scene *scene = *state;
    struct job *job = make_job(scene, 5, JOB_DONE);
    struct store_finish twice;

    (void)job;
    (void)read_row(scene);
    twice =
        (struct store_finish){.op = {.kind = STORE_FINISH},
                              .batch = scene->batch->number,
                              .origin = scene->flow->number,
                              .record = {.seq = 5, .url = "x", .url_len = 1}};
    world_run_op(scene->world, &twice.op);
    assert_int_equal(twice.op.err, -ENOENT);
    assert_int_equal(read_row(scene).landed, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_what_is_expected),
        cmocka_unit_test_setup_teardown(test_every_cell, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tries_are_stored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_second_record_is_refused, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
