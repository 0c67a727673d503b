// test_streams.c - pieces that continue a body, and all those that do not
#include "hasher/streams.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants setjmp, stdarg, stddef and stdint.
#include <cmocka.h>

#define STREAMS_MAX 8
#define JOB UINT64_C(0x10000000001)
// A reason that streams_push() never gives: it was not set.
#define NO_REASON WIRE_ABORT_CANCELLED

static const char text[] = "the quick brown fox jumps over the lazy dog";
#define TEXT_LEN (sizeof(text) - 1)

static struct digest_kit *kit;
static struct streams *streams;
static struct digest_suite sha512, both;
static unsigned char digests[DIGEST_SUITE_BYTES_MAX];
static enum wire_abort reason;

static int
make(void **state)
{
    (void)state;
    memset(digests, 0, sizeof(digests));
    if (digest_kit_new(false, &kit) || streams_new(STREAMS_MAX, &streams) ||
        digest_suite_parse(kit, "sha512", 6, &sha512) ||
        digest_suite_parse(kit, "sha512,md5", 10, &both))
        return -1;
    return 0;
}

static int
drop(void **state)
{
    (void)state;
    streams_free(&streams);
    digest_kit_free(&kit);
    return streams ? -1 : 0;
}

// Pushes text[offset .. offset + length).
static enum streams_step
push(uint64_t job, uint32_t attempt, size_t offset, size_t length, bool is_last)
{
    struct wire_segment segment = {
        .job = job,
        .attempt = attempt,
        .offset = offset,
        .length = (uint32_t)length,
        .flags = is_last ? WIRE_SEGMENT_LAST : 0,
    };

    reason = NO_REASON;
    return streams_push(streams, &sha512, &segment, text + offset, digests,
                        &reason);
}

static void
assert_refused(enum streams_step step, enum wire_abort want)
{
    assert_int_equal(step, STREAMS_REFUSED);
    assert_int_equal(reason, want);
}

static void
assert_text_digest(void)
{
    unsigned char want[EVP_MAX_MD_SIZE];

    assert_int_equal(EVP_Digest(text, TEXT_LEN, want, NULL, EVP_sha512(), NULL),
                     1);
    assert_memory_equal(digests, want, 64);
    memset(digests, 0, sizeof(digests));
}

static void
test_pieces_equal_whole(void **state)
{
    (void)state;
    for (size_t at = 1; at < TEXT_LEN; at++) {
        assert_int_equal(push(JOB, 1, 0, at, false), STREAMS_MORE);
        assert_true(streams_has(streams, JOB));
        assert_int_equal(streams_len(streams), 1);
        assert_int_equal(push(JOB, 1, at, TEXT_LEN - at, true), STREAMS_DONE);
        assert_text_digest();
        assert_false(streams_has(streams, JOB));
    }
    // The end may come with no byte.
    assert_int_equal(push(JOB, 2, 0, TEXT_LEN, false), STREAMS_MORE);
    assert_int_equal(push(JOB, 2, TEXT_LEN, 0, true), STREAMS_DONE);
    assert_text_digest();
    // So may the whole body.
    assert_int_equal(push(JOB, 3, 0, TEXT_LEN, true), STREAMS_DONE);
    assert_text_digest();
    assert_int_equal(push(JOB, 4, 0, 0, true), STREAMS_DONE);
    assert_int_equal(streams_len(streams), 0);
}

static void
test_interleaved(void **state)
{
    (void)state;
    for (size_t at = 0; at < TEXT_LEN; at++) {
        for (uint64_t job = 0; job < STREAMS_MAX; job++) {
            bool is_last = at + 1 == TEXT_LEN;

            assert_int_equal(push(job, 1, at, 1, is_last),
                             is_last ? STREAMS_DONE : STREAMS_MORE);
            if (is_last)
                assert_text_digest();
        }
    }
    assert_int_equal(streams_len(streams), 0);
}

// Every offset but the right one is refused, once; then silence until the body
// begins anew.
static void
test_gap_overlap_replay(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < 30; offset++) {
        if (offset == 10)
            continue;
        assert_int_equal(push(JOB, 1, 0, 4, false), STREAMS_MORE);
        assert_int_equal(push(JOB, 1, 4, 6, false), STREAMS_MORE);
        assert_refused(push(JOB, 1, offset, 5, offset & 1), WIRE_ABORT_GAP);
        assert_false(streams_has(streams, JOB));
        assert_int_equal(push(JOB, 1, 10, 5, false), STREAMS_IGNORED);
        assert_int_equal(push(JOB, 1, 15, 5, true), STREAMS_IGNORED);
        assert_int_equal(reason, NO_REASON);
    }
    for (size_t i = 0; i < sizeof(digests); i++)
        assert_int_equal(digests[i], 0); // nothing came out
    assert_int_equal(push(JOB, 1, 0, TEXT_LEN - 1, false), STREAMS_MORE);
    assert_int_equal(push(JOB, 1, TEXT_LEN - 1, 1, true), STREAMS_DONE);
    assert_text_digest();
}

static void
test_middle_of_an_unknown_body(void **state)
{
    (void)state;
    assert_refused(push(JOB, 1, 5, 5, false), WIRE_ABORT_GAP);
    assert_int_equal(push(JOB, 1, 10, 5, false), STREAMS_IGNORED);
    // Another attempt, another job: refused for themselves.
    assert_refused(push(JOB, 2, 5, 5, true), WIRE_ABORT_GAP);
    assert_refused(push(JOB + 1, 1, 5, 5, false), WIRE_ABORT_GAP);
    // After a restart the attempt may be refused anew.
    assert_int_equal(push(JOB, 1, 0, 5, false), STREAMS_MORE);
    assert_refused(push(JOB, 1, 6, 5, false), WIRE_ABORT_GAP);
    assert_int_equal(push(JOB, 1, 11, 5, false), STREAMS_IGNORED);
}

static void
test_newer_attempt_replaces(void **state)
{
    (void)state;
    assert_int_equal(push(JOB, 1, 0, 10, false), STREAMS_MORE);
    assert_int_equal(push(JOB, 2, 0, 5, false), STREAMS_MORE);
    assert_int_equal(streams_len(streams), 1);
    // The older one's left-overs: it was replaced, nobody needs to be told.
    assert_int_equal(push(JOB, 1, 10, 10, true), STREAMS_IGNORED);
    assert_int_equal(push(JOB, 2, 5, TEXT_LEN - 5, true), STREAMS_DONE);
    assert_text_digest();
}

static void
test_older_attempt_is_stale(void **state)
{
    (void)state;
    assert_int_equal(push(JOB, 5, 0, 10, false), STREAMS_MORE);
    assert_refused(push(JOB, 4, 0, 10, false), WIRE_ABORT_STALE);
    assert_int_equal(push(JOB, 4, 10, 10, false), STREAMS_IGNORED);
    assert_refused(push(JOB, 3, 10, 10, false), WIRE_ABORT_STALE);
    assert_int_equal(push(JOB, 5, 10, TEXT_LEN - 10, true), STREAMS_DONE);
    assert_text_digest();
}

// The newer attempt's middle: a gap, and the older one is over as well.
static void
test_newer_attempt_from_the_middle(void **state)
{
    (void)state;
    assert_int_equal(push(JOB, 1, 0, 10, false), STREAMS_MORE);
    assert_refused(push(JOB, 2, 10, 10, false), WIRE_ABORT_GAP);
    assert_int_equal(streams_len(streams), 0);
    assert_int_equal(push(JOB, 1, 10, TEXT_LEN - 10, true), STREAMS_IGNORED);
}

static void
test_dropped_by_the_broker(void **state)
{
    (void)state;
    assert_int_equal(push(JOB, 1, 0, 10, false), STREAMS_MORE);
    assert_true(streams_drop(streams, JOB, 1));
    assert_false(streams_has(streams, JOB));
    assert_false(streams_drop(streams, JOB, 1));
    assert_int_equal(push(JOB, 1, 10, 10, false), STREAMS_IGNORED);
    // An abort of another attempt leaves the open one alone.
    assert_int_equal(push(JOB, 2, 0, 10, false), STREAMS_MORE);
    assert_true(streams_drop(streams, JOB, 3));
    assert_int_equal(push(JOB, 2, 10, TEXT_LEN - 10, true), STREAMS_DONE);
    assert_text_digest();
}

static void
test_ceiling(void **state)
{
    (void)state;
    for (uint64_t job = 0; job < STREAMS_MAX; job++)
        assert_int_equal(push(job, 1, 0, 10, false), STREAMS_MORE);
    assert_refused(push(JOB, 1, 0, 10, false), WIRE_ABORT_RESOURCES);
    assert_int_equal(push(JOB, 1, 10, 10, false), STREAMS_IGNORED);
    assert_int_equal(streams_len(streams), STREAMS_MAX);
    // The open ones go on, and leave room.
    assert_int_equal(push(3, 1, 10, TEXT_LEN - 10, true), STREAMS_DONE);
    assert_text_digest();
    assert_int_equal(push(JOB, 2, 0, 10, false), STREAMS_MORE);
}

// More refused attempts than are remembered: the forgotten ones are refused
// again, the recent ones stay silent.
static void
test_memory_of_refusals_is_bounded(void **state)
{
    (void)state;
    for (uint64_t job = 0; job < 5000; job++)
        assert_refused(push(job, 1, 5, 5, false), WIRE_ABORT_GAP);
    assert_int_equal(push(4999, 1, 10, 5, false), STREAMS_IGNORED);
    assert_int_equal(push(4900, 1, 10, 5, false), STREAMS_IGNORED);
    assert_refused(push(0, 1, 10, 5, false), WIRE_ABORT_GAP);
}

static void
test_suite_cannot_change(void **state)
{
    struct wire_segment segment = {
        .job = JOB, .attempt = 1, .offset = 10, .length = 5, .flags = 0};

    (void)state;
    assert_int_equal(push(JOB, 1, 0, 10, false), STREAMS_MORE);
    assert_refused(
        streams_push(streams, &both, &segment, text + 10, digests, &reason),
        WIRE_ABORT_GAP);
}

// The body begins anew within its attempt: what came before is void.
static void
test_restart(void **state)
{
    struct wire_segment again = {
        .job = JOB, .attempt = 1, .flags = WIRE_SEGMENT_RESTART};

    (void)state;
    for (uint32_t length = 0; length < 20; length += 10) {
        again.length = length;
        assert_int_equal(push(JOB, 1, 0, 30, false), STREAMS_MORE);
        assert_int_equal(
            streams_push(streams, &sha512, &again, text, digests, &reason),
            STREAMS_MORE);
        assert_int_equal(streams_len(streams), 1);
        assert_int_equal(push(JOB, 1, length, TEXT_LEN - length, true),
                         STREAMS_DONE);
        assert_text_digest();
    }
    // With its end in it, of another suite, and where nothing was.
    assert_int_equal(push(JOB, 1, 0, 30, false), STREAMS_MORE);
    again.length = (uint32_t)TEXT_LEN;
    again.flags |= WIRE_SEGMENT_LAST;
    assert_int_equal(
        streams_push(streams, &both, &again, text, digests, &reason),
        STREAMS_DONE);
    assert_text_digest();
    assert_int_equal(
        streams_push(streams, &sha512, &again, text, digests, &reason),
        STREAMS_DONE);
    assert_text_digest();
    assert_int_equal(streams_len(streams), 0);
    // An older attempt cannot.
    assert_int_equal(push(JOB, 2, 0, 30, false), STREAMS_MORE);
    assert_refused(
        streams_push(streams, &sha512, &again, text, digests, &reason),
        WIRE_ABORT_STALE);
    assert_int_equal(push(JOB, 2, 30, TEXT_LEN - 30, true), STREAMS_DONE);
    assert_text_digest();
}

static void
test_clear(void **state)
{
    (void)state;
    assert_int_equal(push(1, 1, 0, 10, false), STREAMS_MORE);
    assert_int_equal(push(2, 1, 0, 10, false), STREAMS_MORE);
    assert_refused(push(3, 1, 5, 5, false), WIRE_ABORT_GAP);
    streams_clear(streams);
    assert_int_equal(streams_len(streams), 0);
    assert_refused(push(1, 1, 10, 10, false), WIRE_ABORT_GAP);
    assert_refused(push(3, 1, 5, 5, false), WIRE_ABORT_GAP);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, make, drop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_pieces_equal_whole),
        CASE(test_interleaved),
        CASE(test_gap_overlap_replay),
        CASE(test_middle_of_an_unknown_body),
        CASE(test_newer_attempt_replaces),
        CASE(test_older_attempt_is_stale),
        CASE(test_newer_attempt_from_the_middle),
        CASE(test_dropped_by_the_broker),
        CASE(test_ceiling),
        CASE(test_memory_of_refusals_is_bounded),
        CASE(test_suite_cannot_change),
        CASE(test_restart),
        CASE(test_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
