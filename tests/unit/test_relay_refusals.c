// Workers that break the rules of bodies and digests, and those that are merely
// late.
#include "relay_scene.h"

// --- What a BODY must not be ---

static void
test_gap_and_overlap(void **state)
{
    static const uint64_t wrong[] = {0, 99, 101, WIRE_SIZE_MAX - 10};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct scene *scene = scene_new("sha512", 1, 256 * MIB);

        say_part(scene, 0, 0, 100, false);
        say_part(scene, 0, wrong[i], 10, false);
        expect_refused(scene, &scene->fetcher,
                       "a segment does not begin where the last one ended");
        assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
        scene_free(scene);
    }
}

// Also inside one message; nothing of such a message takes effect.
static void
test_gap_inside(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_segment three[3];

    (void)state;
    three[0] = segment(scene, 0, 0, 100, false);
    three[1] = segment(scene, 0, 100, 100, false);
    three[2] = segment(scene, 0, 201, 100, false);
    say_body(&scene->fetcher, three, 3);
    assert_int_equal(job_at(scene, 0)->relayed, 0);
    peer_expect_nothing(&scene->hasher);
    expect_refused(scene, &scene->fetcher,
                   "a segment does not begin where the last one ended");
    scene_free(scene);
}

static void
test_last_before_fetched(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 100, true);
    expect_refused(scene, &scene->fetcher,
                   "the last segment came before FETCHED");
    scene_free(scene);
}

static void
test_wrong_size(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_fetched(scene, 0, FAIL_OK, 100);
    say_part(scene, 0, 0, 99, true);
    expect_refused(scene, &scene->fetcher,
                   "the body's length is not what FETCHED said");
    scene_free(scene);
    scene = scene_new("sha512", 1, 256 * MIB);
    say_fetched(scene, 0, FAIL_OK, 100);
    say_part(scene, 0, 0, 101, false); // would never come to its end
    expect_refused(scene, &scene->fetcher,
                   "the body is longer than FETCHED said");
    scene_free(scene);
}

// The encoder would not write it: a whole body beside a part of another one.
static void
test_mixture(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);
    unsigned char head[64] = {0x92, 6, 0x92};
    size_t len = 3;

    (void)state;
    say_fetched(scene, 0, FAIL_OK, 10);
    for (size_t i = 0; i < 2; i++) {
        const unsigned char rest[] = {1, 0, 10, i == 0};

        head[len++] = 0x95;
        head[len++] = 0xcf;
        for (int shift = 56; shift >= 0; shift -= 8)
            head[len++] = (unsigned char)(scene->jobs[i].job >> shift);
        memcpy(head + len, rest, sizeof(rest));
        len += sizeof(rest);
    }
    assert_int_equal(frames_send_copy(scene->fetcher.socket, head, len, true),
                     0);
    assert_int_equal(frames_send_copy(scene->fetcher.socket,
                                      "bbbbbbbbbbbbbbbbbbbb", 20, false),
                     0);
    sessions_on_message(scene->broker, WIRE_FETCHER);
    expect_refused(scene, &scene->fetcher,
                   "segments: a part of a body beside another job's");
    scene_free(scene);
}

static void
test_raw_frame_is_the_sum(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_segment part = segment(scene, 0, 0, 100, false);

    (void)state;
    wire_put_body(scene->fetcher.buf, &part, 1);
    peer_say(&scene->fetcher, true, 99);
    expect_refused(scene, &scene->fetcher,
                   "the raw frame's length is not the sum of its segments");
    scene_free(scene);
}

static void
test_wrong_direction(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    wire_put_digests(scene->fetcher.buf, 0, NULL, 0);
    peer_say(&scene->fetcher, false, 0);
    expect_refused(scene, &scene->fetcher,
                   "a message that is not for a worker of this role to send");
    scene_free(scene);
}

// --- Stale things ---

static void
test_stale_body(void **state)
{
    struct scene *scene = scene_new("sha512", 3, 256 * MIB);
    struct wire_segment wholes[2];

    (void)state;
    // An older attempt: credited, and called off.
    scene->jobs[0].attempt += 1;
    say_part(scene, 0, 777, 100, false);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    sessions_flush(scene->broker);
    peer_expect(&scene->fetcher, WIRE_ABORT);
    assert_int_equal(scene->fetcher.message.abort.items[0].reason,
                     WIRE_ABORT_STALE);
    expect_credit(scene, 100, 0);
    // Its LAST is not worth a word.
    say_part(scene, 0, 777, 100, true);
    expect_credit(scene, 100, 0);
    peer_expect_nothing(&scene->fetcher);
    peer_expect_nothing(&scene->hasher);
    // Beside a living one it goes along.
    say_fetched(scene, 1, FAIL_OK, 5);
    wholes[0] = segment(scene, 0, 0, 9, true);
    wholes[1] = segment(scene, 1, 0, 5, true);
    say_body(&scene->fetcher, wholes, 2);
    peer_expect(&scene->hasher, WIRE_HASH);
    assert_int_equal(scene->hasher.message.body.len, 2);
    // Its digest is dropped.
    say_digest(scene, 0, 0, 9, 64, 1);
    assert_false(scene->hasher.session->is_gone);
    say_digest(scene, 1, 1, 5, 64, 1);
    assert_int_equal(job_at(scene, 1)->state, JOB_DONE);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    scene_free(scene);
}

// A job is its fetcher's alone.
static void
test_foreign_body(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct wire_segment part = segment(scene, 0, 0, 10, false);
    struct peer other;

    (void)state;
    peer_join(scene->world, &other, WIRE_FETCHER, 10);
    say_body(&other, &part, 1);
    assert_int_equal(job_at(scene, 0)->relayed, 0);
    peer_expect_nothing(&scene->hasher);
    sessions_flush(scene->broker);
    peer_expect(&other, WIRE_ABORT);
    peer_leave(&other);
    scene_free(scene);
}

static void
test_stale_fetched(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);

    (void)state;
    scene->jobs[0].attempt += 1;
    say_fetched(scene, 0, FAIL_TLS, 0);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    // Said twice: the second time it is no news.
    say_fetched(scene, 1, FAIL_OK, 10);
    say_fetched(scene, 1, FAIL_TLS, 0);
    assert_int_equal(job_at(scene, 1)->state, JOB_HASHING);
    assert_int_equal(job_at(scene, 1)->tries, 1);
    assert_false(scene->fetcher.session->is_gone);
    scene_free(scene);
}

// The body of a batch that is cancelled meanwhile.
static void
test_cancelled_on_the_way(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 10, false);
    say_whole(scene, 1, 20);
    batch_cancel(scene->broker, scene->batch);
    say_part(scene, 0, 10, 10, false);
    say_digest(scene, 2, 1, 20, 64, 1);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    assert_int_equal(scene->hasher.session->backlog, 0);
    assert_false(scene->fetcher.session->is_gone);
    assert_false(scene->hasher.session->is_gone);
    world_settle(scene->world);
    assert_int_equal(
        world_read_row(scene->world, scene->batch->number).cancelled, 2);
    scene_free(scene);
}

// --- What DIGESTS must not be ---

static void
refuse_digest(uint64_t size, size_t digest_bytes, size_t digests,
              const char *why)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    say_whole(scene, 0, 20);
    say_digest(scene, 1, 0, size, digest_bytes, digests);
    expect_refused(scene, &scene->hasher, why);
    assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
    assert_int_equal(scene->fetcher.session->outstanding, 0);
    scene_free(scene);
}

static void
test_bad_digests(void **state)
{
    (void)state;
    refuse_digest(19, 64, 1, "digested bytes are not the body's size");
    refuse_digest(20, 63, 1, "a digest of the wrong length");
    refuse_digest(20, 16, 1, "a digest of the wrong length");
    refuse_digest(20, 64, 2, "not one digest an algorithm");
}

static void
test_digest_too_early(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    say_part(scene, 0, 0, 10, false);
    say_digest(scene, 1, 0, 10, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_LEASED);
    say_fetched(scene, 0, FAIL_OK, 10);
    say_digest(scene, 0, 0, 10, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_HASHING);
    say_part(scene, 0, 10, 0, true);
    say_digest(scene, 1, 0, 10, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_DONE);
    scene_free(scene);
}

// A digest of another hasher, or of an older attempt.
static void
test_stale_digest(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct peer other, first;

    (void)state;
    say_whole(scene, 0, 20);
    peer_join(scene->world, &other, WIRE_HASHER, 0);
    first = scene->hasher;
    scene->hasher = other;
    say_digest(scene, 0, 0, 20, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_HASHING);
    other = scene->hasher;
    scene->hasher = first;
    scene->jobs[0].attempt -= 1;
    say_digest(scene, 1, 0, 20, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_HASHING);
    peer_leave(&other);
    scene_free(scene);
}

// --- Again and again ---

// Breaks the protocol over the first job, and comes back.
static void
break_it(struct scene *scene, struct peer *peer)
{
    enum wire_role role = peer->role;

    if (role == WIRE_HASHER) {
        say_whole(scene, 0, 20);
        say_digest(scene, 1, 0, 19, 64, 1);
    } else {
        say_part(scene, 0, 0, 20, false);
        say_taken(&scene->hasher, 1);
        say_part(scene, 0, 10, 20, false);
    }
    assert_true(peer->session->is_gone);
    sessions_flush(scene->broker);
    peer_leave(peer);
    peer_join(scene->world, peer, role, role == WIRE_HASHER ? 0 : 100);
}

// The URL over which it happens comes to its end all the same.
static void
break_until_it_ends(bool is_hasher)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    struct store_results results;

    for (uint32_t lost = 1; lost <= JOB_LOST_END; lost++) {
        assert_int_equal(scene->jobs_len, 1);
        break_it(scene, is_hasher ? &scene->hasher : &scene->fetcher);
        assert_int_equal(job_at(scene, 0)->lost, lost);
        end_rest(scene);
        world_settle(scene->world);
        take_jobs(scene, &scene->fetcher);
    }
    assert_int_equal(
        world_read_record(scene->world, scene->batch->number, &results)
            ->outcome,
        FAIL_WORKER_LOST);
    store_results_fini(&results);
    scene_free(scene);
}

// No other URL pays for it.
static void
break_beside_another(bool is_hasher)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);
    struct job *other = job_at(scene, 1);

    if (is_hasher)
        say_whole(scene, 1, 5);
    break_it(scene, is_hasher ? &scene->hasher : &scene->fetcher);
    assert_int_equal(other->state, JOB_QUEUED);
    assert_int_equal(other->lost, 0);
    scene_free(scene);
}

static void
test_again_and_again(void **state)
{
    (void)state;
    for (int is_hasher = 0; is_hasher < 2; is_hasher++) {
        break_until_it_ends(is_hasher);
        break_beside_another(is_hasher);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap_and_overlap),
        cmocka_unit_test(test_gap_inside),
        cmocka_unit_test(test_last_before_fetched),
        cmocka_unit_test(test_wrong_size),
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_raw_frame_is_the_sum),
        cmocka_unit_test(test_wrong_direction),
        cmocka_unit_test(test_stale_body),
        cmocka_unit_test(test_foreign_body),
        cmocka_unit_test(test_stale_fetched),
        cmocka_unit_test(test_cancelled_on_the_way),
        cmocka_unit_test(test_bad_digests),
        cmocka_unit_test(test_again_and_again),
        cmocka_unit_test(test_digest_too_early),
        cmocka_unit_test(test_stale_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
