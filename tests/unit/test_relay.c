// Bodies through the broker: who gets the bytes, whose credit they are, and
// what becomes of a job whose transfer or worker fails.
#include "relay_scene.h"

// --- The good case ---

static void
test_whole_body(void **state)
{
    struct scene *scene = scene_new("sha512,md5", 2, 256 * MIB);
    struct wire_segment both[2];
    struct store_results results;
    const struct store_record *record;
    struct wire_digest item = {.size = 10, .digests_len = 2};

    (void)state;
    say_fetched(scene, 0, FAIL_OK, 10);
    say_fetched(scene, 1, FAIL_OK, 0);
    both[0] = segment(scene, 0, 0, 10, true);
    both[1] = segment(scene, 1, 0, 0, true);
    say_body(&scene->fetcher, both, 2);
    peer_expect(&scene->hasher, WIRE_HASH);
    assert_int_equal(scene->hasher.message.body.suites_len, 1);
    assert_memory_equal(scene->hasher.message.body.suites[0].at, "sha512,md5",
                        10);
    assert_int_equal(scene->hasher.message.body.len, 2);
    assert_memory_equal(zmq_msg_data(&scene->hasher.frames.parts[1]),
                        "bbbbbbbbbb", 10);
    // The fetcher's slot is free once all has passed.
    assert_int_equal(scene->fetcher.session->jobs_len, 0);
    assert_int_equal(scene->hasher.session->jobs_len, 2);
    assert_int_equal(scene->batch->hashing, 2);
    item.job = scene->jobs[0].job;
    item.attempt = scene->jobs[0].attempt;
    item.digests[0].at =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    item.digests[0].len = 64;
    item.digests[1] = (struct wire_bytes){"mmmmmmmmmmmmmmmm", 16};
    wire_put_digests(scene->hasher.buf, 1, &item, 1);
    peer_say(&scene->hasher, false, 0);
    expect_credit(scene, 10, 0);
    record = world_read_record(scene->world, scene->batch->number, &results);
    assert_int_equal(record->outcome, FAIL_OK);
    assert_int_equal(record->size, 10);
    assert_int_equal(record->tries, 1);
    assert_int_equal(record->http_status, 200);
    assert_int_equal(record->digests_len, 80);
    assert_memory_equal(record->digests, item.digests[0].at, 64);
    assert_memory_equal(record->digests + 64, item.digests[1].at, 16);
    store_results_fini(&results);
    check_books(scene);
    scene_free(scene);
}

// A stream stays with its hasher, also when another one is idle.
static void
test_stream(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);
    struct peer idle;
    struct wire_segment two[2];

    (void)state;
    say_part(scene, 0, 0, 1000, false);
    peer_expect(&scene->hasher, WIRE_HASH);
    peer_join(scene->world, &idle, WIRE_HASHER, 0);
    two[0] = segment(scene, 0, 1000, 100000, false);
    two[1] = segment(scene, 0, 101000, 100000, false);
    say_body(&scene->fetcher, two, 2);
    peer_expect(&scene->hasher, WIRE_HASH);
    assert_int_equal(scene->hasher.message.body.segments[1].offset, 101000);
    peer_expect_nothing(&idle);
    say_whole(scene, 1, 5);
    peer_expect(&idle, WIRE_HASH);
    // It leaves credit to the transfer as well as to the window.
    say_taken(&scene->hasher, 1);
    expect_credit(scene, 1000, 1);
    assert_int_equal(scene->fetcher.message.credit.items[0].job,
                     scene->jobs[0].job);
    assert_int_equal(scene->fetcher.message.credit.items[0].bytes, 1000);
    say_fetched(scene, 0, FAIL_OK, 201000);
    say_part(scene, 0, 201000, 0, true); // empty, but the last
    peer_expect(&scene->hasher, WIRE_HASH);
    say_digest(scene, 2, 0, 201000, 64, 1);
    expect_credit(scene, 200000, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_DONE);
    peer_leave(&idle);
    scene_free(scene);
}

static void
test_several_suites(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct batch *other = world_add_batch(scene->world, "c", "md5,sha1", NULL);
    struct wire_segment both[2] = {segment(scene, 0, 0, 3, true)};

    (void)state;
    say_fetched(scene, 0, FAIL_OK, 3);
    world_append(scene->world, other, 1, 1);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    assert_int_equal(scene->jobs_len, 1);
    say_fetched(scene, 0, FAIL_OK, 4);
    both[1] = segment(scene, 0, 0, 4, true);
    say_body(&scene->fetcher, both, 2);
    peer_expect(&scene->hasher, WIRE_HASH);
    assert_int_equal(scene->hasher.message.body.suites_len, 2);
    assert_int_equal(scene->hasher.message.body.segments[0].suite, 0);
    assert_int_equal(scene->hasher.message.body.segments[1].suite, 1);
    assert_memory_equal(scene->hasher.message.body.suites[1].at, "md5,sha1", 8);
    scene_free(scene);
}

// --- Credit ---

static void
test_window_is_kept(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 8 * (int64_t)MIB);
    uint64_t offset = 0;

    (void)state;
    assert_int_equal(scene->fetcher.session->granted, MIB);
    for (int i = 0; i < 4; i++, offset += WIRE_BODY_BYTES_MAX)
        say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
    assert_false(scene->fetcher.session->is_gone);
    assert_int_equal(scene->fetcher.session->outstanding, MIB);
    say_part(scene, 0, offset, 1, false);
    expect_refused(scene, &scene->fetcher, "more bytes than its window allows");
    scene_free(scene);
}

// Random sizes, random takes: the books agree after each step, and what the
// fetcher may send by its own count is never refused.
static void
test_books(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 8 * (int64_t)MIB);
    struct session *fetcher = scene->fetcher.session;
    uint64_t window = fetcher->granted, offset = 0;
    uint64_t job_window = fetcher->job_window;
    unsigned seed = 9;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        uint32_t len = 1 + (uint32_t)rand_r(&seed) % WIRE_BODY_BYTES_MAX;
        struct session *hasher = scene->hasher.session;

        if (window >= len && job_window >= len) {
            say_part(scene, 0, offset, len, false);
            offset += len;
            window -= len;
            job_window -= len;
        } else if (hasher->notes_len) {
            say_taken(&scene->hasher,
                      1 + (unsigned)rand_r(&seed) % hasher->notes_len);
        }
        sessions_flush(scene->broker);
        while (peer_recv(&scene->fetcher)) {
            assert_int_equal(scene->fetcher.message.kind, WIRE_CREDIT);
            window += scene->fetcher.message.credit.bytes;
            for (size_t j = 0; j < scene->fetcher.message.credit.len; j++)
                job_window += scene->fetcher.message.credit.items[j].bytes;
        }
        while (peer_recv(&scene->hasher))
            assert_int_equal(scene->hasher.message.kind, WIRE_HASH);
        check_books(scene);
        assert_int_equal(window + fetcher->credit,
                         fetcher->granted - fetcher->outstanding);
    }
    assert_false(fetcher->is_gone);
    scene_free(scene);
}

// One body may not use more than its own part, whatever else is free.
static void
test_window_of_a_job(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);
    struct session *fetcher = scene->fetcher.session;
    uint64_t offset = 0;

    (void)state;
    assert_true(fetcher->granted > 2 * fetcher->job_window);
    for (; offset < fetcher->job_window; offset += WIRE_BODY_BYTES_MAX)
        say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
    assert_int_equal(job_at(scene, 0)->unpaid, fetcher->job_window);
    // What was taken comes back to it, exactly.
    say_taken(&scene->hasher, 1);
    say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
    assert_false(fetcher->is_gone);
    // Another body has its own; a whole one needs none.
    say_part(scene, 1, 0, WIRE_BODY_BYTES_MAX, false);
    assert_false(fetcher->is_gone);
    say_part(scene, 0, offset + WIRE_BODY_BYTES_MAX, 1, false);
    expect_refused(scene, &scene->fetcher,
                   "more bytes of one body than its window allows");
    scene_free(scene);
}

// A fetcher is not woken for every small body, nor starved for want of credit.
static void
test_credit_is_gathered(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 8 * (int64_t)MIB);
    uint64_t eighth = scene->fetcher.session->granted / 8, offset = 0;

    (void)state;
    scene->fetcher.session->credit = 0; // what joining may have left
    while (offset + WIRE_BODY_BYTES_MAX < eighth) {
        say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX / 4, false);
        offset += WIRE_BODY_BYTES_MAX / 4;
        say_taken(&scene->hasher, 1);
        sessions_flush(scene->broker);
        if (scene->fetcher.session->credit >= eighth)
            break;
        assert_int_equal(scene->fetcher.session->credit_is_due, false);
    }
    say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
    say_taken(&scene->hasher, 1);
    sessions_flush(scene->broker);
    peer_expect(&scene->fetcher, WIRE_CREDIT);
    assert_true(scene->fetcher.message.credit.bytes >= eighth);
    assert_int_equal(scene->fetcher.session->credit, 0);
    scene_free(scene);
}

// Newcomers get their share as the first one's credit comes back.
static void
test_windows_are_shared(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 8 * (int64_t)MIB);
    struct session *fetcher = scene->fetcher.session;
    struct peer others[3];
    uint64_t offset = 0;

    (void)state;
    say_part(scene, 0, 0, 1000, false);
    say_taken(&scene->hasher, 1);
    assert_int_equal(fetcher->granted, 4 * MIB);
    for (size_t i = 0; i < 3; i++)
        peer_join(scene->world, &others[i], WIRE_FETCHER, 10);
    offset = 1000;
    for (int i = 0; i < 40; i++, offset += WIRE_BODY_BYTES_MAX) {
        say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
        say_taken(&scene->hasher, 1);
    }
    assert_int_equal(fetcher->granted, 8 * MIB / 5);
    assert_true(scene->broker->sessions.window_given <= 8 * MIB);
    for (size_t i = 0; i < 3; i++) {
        peer_die(&others[i]);
        peer_leave(&others[i]);
    }
    assert_int_equal(scene->broker->sessions.window_given, fetcher->granted);
    scene_free(scene);
}

// Notes are popped in the order in which the messages went out; the ring grows.
static void
test_notes_in_order(void **state)
{
    struct scene *scene = scene_new("sha512", 50, 256 * MIB);
    unsigned seed = 4;
    size_t sent = 0, taken = 0;

    (void)state;
    for (int round = 0; round < 50; round++) {
        uint64_t items = 0;

        for (size_t i = 0; i < 50; i++, sent++)
            say_part(scene, i, job_at(scene, i)->relayed,
                     1 + (uint32_t)rand_r(&seed) % 100, false);
        while (taken < sent && rand_r(&seed) % 60) {
            size_t i = taken++ % 50;

            say_taken(&scene->hasher, 1);
            flush_credit(scene);
            peer_expect(&scene->fetcher, WIRE_CREDIT);
            assert_int_equal(scene->fetcher.message.credit.len, 1);
            assert_int_equal(scene->fetcher.message.credit.items[0].job,
                             scene->jobs[i].job);
            items++;
        }
        check_books(scene);
    }
    assert_true(scene->hasher.session->notes_room > 64);
    scene_free(scene);
}

static void
test_refund_when_a_hasher_ends(void **state)
{
    struct scene *scene = scene_new("sha512", 3, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 5000, false);
    say_part(scene, 0, 5000, 5000, false);
    say_part(scene, 1, 0, 700, false);
    say_whole(scene, 2, 30);
    assert_int_equal(scene->fetcher.session->outstanding, 10730);
    peer_die(&scene->hasher);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    // All three begin again.
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(job_at(scene, i)->state, JOB_QUEUED);
        assert_int_equal(job_at(scene, i)->lost, 1);
        assert_int_equal(job_at(scene, i)->tries, 0);
    }
    // Both that were still coming in are called off; the third had left.
    peer_expect(&scene->fetcher, WIRE_ABORT);
    assert_int_equal(scene->fetcher.message.abort.len, 2);
    assert_int_equal(scene->fetcher.message.abort.items[0].reason,
                     WIRE_ABORT_HASHER_LOST);
    expect_credit(scene, 10730, scene->fetcher.session->credits_len);
    scene_free(scene);
}

static void
test_more_taken_than_sent(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 10, false);
    say_taken(&scene->hasher, 2);
    expect_refused(scene, &scene->hasher, "more messages taken than were sent");
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    scene_free(scene);
}

// --- Failed transfers ---

static void
test_failure(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);
    struct store_results results;
    const struct store_record *record;

    (void)state;
    say_part(scene, 0, 0, 10, false);
    peer_expect(&scene->hasher, WIRE_HASH);
    say_fetched(scene, 0, FAIL_HTTP, 10);
    sessions_flush(scene->broker);
    peer_expect(&scene->hasher, WIRE_ABORT);
    assert_int_equal(scene->hasher.message.abort.items[0].reason,
                     WIRE_ABORT_FETCH_FAILED);
    record = world_read_record(scene->world, scene->batch->number, &results);
    assert_int_equal(record->outcome, FAIL_HTTP);
    assert_int_equal(record->http_status, 404);
    assert_int_equal(record->tries, 1);
    assert_int_equal(record->digests_len, 0);
    store_results_fini(&results);
    scene_free(scene);
}

// --retry 3: the fourth failure is the last.
static void
test_tries(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct store_results results;
    const struct life_info none = {0};

    (void)state;
    for (uint32_t tries = 1; tries <= 3; tries++) {
        say_fetched(scene, 0, FAIL_CUT, 0);
        assert_int_equal(job_at(scene, 0)->state, JOB_RETRY_WAIT);
        assert_int_equal(job_at(scene, 0)->tries, tries);
        assert_int_equal(
            life_apply(scene->broker, job_at(scene, 0), EV_DUE, &none), 0);
        world_settle(scene->world);
        take_jobs(scene, &scene->fetcher);
        assert_int_equal(scene->jobs_len, 1);
        assert_int_equal(scene->jobs[0].attempt, tries + 1);
    }
    say_fetched(scene, 0, FAIL_CUT, 0);
    assert_int_equal(
        world_read_record(scene->world, scene->batch->number, &results)->tries,
        4);
    assert_int_equal(results.records[0].outcome, FAIL_CUT);
    store_results_fini(&results);
    scene_free(scene);
}

// A line that is tried anew has a life of its own: what a slow hasher says of
// the one before is not taken for it.
static void
test_retried_line(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct store_requeue_row row = {.landed = 1};
    struct store_requeue requeue = {.op = {.kind = STORE_REQUEUE},
                                    .batch = scene->batch->number,
                                    .rows = &row,
                                    .len = 1};

    (void)state;
    row.origin = job_at(scene, 0)->flow->number;
    world_close_batch(scene->world, scene->batch);
    say_part(scene, 0, 0, 100000, false); // the hasher does not take it
    say_fetched(scene, 0, FAIL_CONNECT, 100000);
    world_settle(scene->world);
    assert_int_equal(scene->broker->jobs.len, 0);
    world_run_op(scene->world, &requeue.op);
    assert_int_equal(requeue.requeued, 1);
    batch_on_requeued(scene->broker, &requeue.row, &row, 1);
    store_requeue_fini(&requeue);
    world_settle(scene->world);
    take_jobs(scene, &scene->fetcher);
    assert_int_equal(scene->jobs_len, 1);
    say_part(scene, 0, 0, 10, false);
    say_taken(&scene->hasher, 1); // of the first life
    assert_int_equal(job_at(scene, 0)->unpaid, 10);
    scene_free(scene);
}

// --- Lost workers ---

// Three fetchers die with it in hand, and two when it runs alone.
static void
test_lost_fetchers(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct store_results results;
    const struct store_record *record;

    (void)state;
    for (uint32_t lost = 1; lost <= JOB_LOST_END; lost++) {
        assert_int_equal(scene->jobs[0].attempt, lost);
        peer_die(&scene->fetcher);
        assert_int_equal(job_at(scene, 0)->lost, lost);
        peer_leave(&scene->fetcher);
        peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
        end_rest(scene);
        world_settle(scene->world);
        take_jobs(scene, &scene->fetcher);
        assert_int_equal(scene->jobs_len, lost < JOB_LOST_END);
    }
    record = world_read_record(scene->world, scene->batch->number, &results);
    assert_int_equal(record->outcome, FAIL_WORKER_LOST);
    assert_int_equal(record->tries, 0);
    store_results_fini(&results);
    scene_free(scene);
}

// Only bodies that a hasher can have begun are suspected when it dies.
static void
test_bodies_behind(void **state)
{
    struct scene *scene = scene_new("sha512", 30, 256 * MIB);

    (void)state;
    for (size_t i = 0; i < 30; i++)
        say_whole(scene, i, 10);
    say_taken(&scene->hasher, 5);
    peer_die(&scene->hasher);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(job_at(scene, i)->state, JOB_QUEUED);
        assert_int_equal(job_at(scene, i)->lost, i < 5 + WIRE_UNTOLD_MAX + 1);
    }
    scene_free(scene);
}

// A hasher that aborts it is the same; a worker that says BYE, or
// begins anew, costs nothing.
static void
test_other_losses(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_aborted aborted = {.reason = WIRE_ABORT_GAP};

    (void)state;
    wire_put_bye(scene->fetcher.buf, true);
    peer_say(&scene->fetcher, false, 0);
    sessions_flush(scene->broker);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 0);
    peer_leave(&scene->fetcher);
    peer_join(scene->world, &scene->fetcher, WIRE_FETCHER, 100);
    for (uint32_t lost = 1; lost <= JOB_LOST_END; lost++) {
        say_taken(&scene->hasher, scene->hasher.session->notes_len);
        end_rest(scene);
        world_settle(scene->world);
        take_jobs(scene, &scene->fetcher);
        assert_int_equal(scene->jobs_len, 1);
        say_part(scene, 0, 0, 10, false);
        aborted.job = scene->jobs[0].job;
        aborted.attempt = scene->jobs[0].attempt - 1; // stale: no effect
        wire_put_abort(scene->hasher.buf, &aborted, 1);
        peer_say(&scene->hasher, false, 0);
        assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
        aborted.attempt = scene->jobs[0].attempt;
        wire_put_abort(scene->hasher.buf, &aborted, 1);
        peer_say(&scene->hasher, false, 0);
        assert_int_equal(job_at(scene, 0)->state,
                         lost < JOB_LOST_END ? JOB_QUEUED : JOB_FAILED);
    }
    scene_free(scene);
}

static void
test_no_algorithm(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_aborted aborted = {.reason = WIRE_ABORT_NO_ALGORITHM};
    struct store_results results;

    (void)state;
    say_whole(scene, 0, 10);
    aborted.job = scene->jobs[0].job;
    aborted.attempt = scene->jobs[0].attempt;
    wire_put_abort(scene->hasher.buf, &aborted, 1);
    peer_say(&scene->hasher, false, 0);
    assert_int_equal(
        world_read_record(scene->world, scene->batch->number, &results)
            ->outcome,
        FAIL_DIGEST);
    store_results_fini(&results);
    scene_free(scene);
}

// No hasher is left while a body comes in: it waits for one, at no cost.
static void
test_no_hasher(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    peer_die(&scene->hasher);
    say_part(scene, 0, 0, 10, false);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(job_at(scene, 0)->lost, 0);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    sessions_flush(scene->broker);
    peer_expect(&scene->fetcher, WIRE_ABORT);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_body),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_several_suites),
        cmocka_unit_test(test_window_is_kept),
        cmocka_unit_test(test_books),
        cmocka_unit_test(test_window_of_a_job),
        cmocka_unit_test(test_credit_is_gathered),
        cmocka_unit_test(test_windows_are_shared),
        cmocka_unit_test(test_notes_in_order),
        cmocka_unit_test(test_refund_when_a_hasher_ends),
        cmocka_unit_test(test_more_taken_than_sent),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_retried_line),
        cmocka_unit_test(test_lost_fetchers),
        cmocka_unit_test(test_bodies_behind),
        cmocka_unit_test(test_other_losses),
        cmocka_unit_test(test_no_algorithm),
        cmocka_unit_test(test_no_hasher),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
