// Bodies that begin anew within their attempt, as those do whose server sends
// the whole again instead of what was missing.
#include "relay_scene.h"

static void
say_restart(struct scene *scene, size_t i, uint32_t length)
{
    struct wire_segment part = segment(scene, i, 0, length, false);

    part.flags |= WIRE_SEGMENT_RESTART;
    say_body(&scene->fetcher, &part, 1);
}

static void
expect_hash(struct scene *scene, uint64_t offset, uint32_t length,
            unsigned flags)
{
    const struct wire_segment *got;

    peer_expect(&scene->hasher, WIRE_HASH);
    got = &scene->hasher.message.body.segments[0];
    assert_int_equal(got->offset, offset);
    assert_int_equal(got->length, length);
    assert_int_equal(got->flags, flags);
}

static void
test_shorter_than_before(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 200000, false);
    expect_hash(scene, 0, 200000, 0);
    say_restart(scene, 0, 0);
    expect_hash(scene, 0, 0, WIRE_SEGMENT_RESTART);
    assert_int_equal(job_at(scene, 0)->relayed, 0);
    // What came before was paid for, and its credit comes back as ever.
    assert_int_equal(job_at(scene, 0)->unpaid, 200000);
    say_fetched(scene, 0, FAIL_OK, 5);
    say_part(scene, 0, 0, 5, true);
    expect_hash(scene, 0, 5, WIRE_SEGMENT_LAST);
    say_digest(scene, 3, 0, 5, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_DONE);
    expect_credit(scene, 200005, 1);
    check_books(scene);
    scene_free(scene);
}

// The bytes of the first beginning are counted against the body's window too.
static void
test_window(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    uint64_t offset = 0, window = scene->fetcher.session->job_window;

    (void)state;
    for (; offset < window; offset += WIRE_BODY_BYTES_MAX)
        say_part(scene, 0, offset, WIRE_BODY_BYTES_MAX, false);
    say_restart(scene, 0, 0);
    assert_false(scene->fetcher.session->is_gone);
    say_part(scene, 0, 0, 1, false);
    expect_refused(scene, &scene->fetcher,
                   "more bytes of one body than its window allows");
    scene_free(scene);
}

// With bytes, and more segments behind it; and again.
static void
test_with_bytes(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_segment two[2];

    (void)state;
    say_part(scene, 0, 0, 100, false);
    expect_hash(scene, 0, 100, 0);
    two[0] = segment(scene, 0, 0, 30, false);
    two[0].flags = WIRE_SEGMENT_RESTART;
    two[1] = segment(scene, 0, 30, 30, false);
    say_body(&scene->fetcher, two, 2);
    expect_hash(scene, 0, 30, WIRE_SEGMENT_RESTART);
    assert_int_equal(job_at(scene, 0)->relayed, 60);
    say_restart(scene, 0, 10);
    expect_hash(scene, 0, 10, WIRE_SEGMENT_RESTART);
    say_fetched(scene, 0, FAIL_OK, 20);
    say_part(scene, 0, 10, 10, true);
    expect_hash(scene, 10, 10, WIRE_SEGMENT_LAST);
    say_digest(scene, 4, 0, 20, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_DONE);
    scene_free(scene);
}

static void
test_gap_behind_it(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 100, false);
    say_restart(scene, 0, 0);
    say_part(scene, 0, 100, 10, false); // as if it had gone on
    expect_refused(scene, &scene->fetcher,
                   "a segment does not begin where the last one ended");
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    scene_free(scene);
}

static void
test_after_fetched(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 100, false);
    say_fetched(scene, 0, FAIL_OK, 200);
    say_restart(scene, 0, 10);
    expect_refused(scene, &scene->fetcher, "a body begins anew after FETCHED");
    scene_free(scene);
}

// Of an attempt that is over it reaches no hasher.
static void
test_stale(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 100, false);
    expect_hash(scene, 0, 100, 0);
    batch_cancel(scene->broker, scene->batch);
    say_restart(scene, 0, 10);
    sessions_flush(scene->broker);
    while (peer_recv(&scene->hasher))
        assert_int_equal(scene->hasher.message.kind, WIRE_ABORT);
    assert_false(scene->fetcher.session->is_gone);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shorter_than_before),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_with_bytes),
        cmocka_unit_test(test_gap_behind_it),
        cmocka_unit_test(test_after_fetched),
        cmocka_unit_test(test_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
