// The outbox and, above it, bodies: what is sent, how it is cut, in which
// order.
#include "fetcher/body.h"
#include "fetcher/chunk.h"
#include "fetcher/outbox.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS_MAX 2048
#define UNTOLD UINT64_MAX

// What a broker would know of a job.
struct seen {
    bool is_fetched, is_ended;
    uint64_t size;   // as FETCHED told
    uint64_t bytes;  // as BODY brought
    unsigned sum;    // of the bytes, by place
    size_t messages; // with segments of it
    size_t suites;   // messages that name algorithms for it
    size_t restarts;
};

struct fixture {
    struct wire_decoder *decoder;
    struct outbox *outbox;
    struct chunk_pool *pool;
    struct body_sink sink;
    struct seen seen[JOBS_MAX];
    size_t messages, bodies;
    int answer; // of the next sends
    uint64_t connected;
};

static unsigned
sum_of(unsigned sum, const unsigned char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + data[i];
    return sum;
}

static void
see_fetched(struct fixture *f, const struct wire_message *message)
{
    for (size_t i = 0; i < message->fetched.len; i++) {
        const struct wire_fetched *item = &message->fetched.items[i];

        assert_false(f->seen[item->job].is_fetched);
        f->seen[item->job].is_fetched = true;
        f->seen[item->job].size = item->size;
    }
}

static void
see_body(struct fixture *f, const struct wire_message *message, zmq_msg_t *body)
{
    const unsigned char *at = zmq_msg_data(body);

    assert_int_equal(zmq_msg_size(body), message->body.bytes);
    assert_true(zmq_msg_size(body) <= WIRE_BODY_BYTES_MAX);
    f->bodies++;
    for (size_t i = 0; i < message->body.len; i++) {
        const struct wire_segment *segment = &message->body.segments[i];
        struct seen *seen = &f->seen[segment->job];
        bool is_last = segment->flags & WIRE_SEGMENT_LAST;

        assert_false(seen->is_ended);
        if (segment->flags & WIRE_SEGMENT_RESTART) {
            assert_false(seen->is_fetched);
            seen->restarts++;
            seen->bytes = seen->sum = 0;
        }
        assert_int_equal(segment->offset, seen->bytes);
        // Only whole bodies share a message.
        if (!wire_segment_is_whole(segment))
            assert_int_equal(message->body.len, 1);
        seen->sum = sum_of(seen->sum, at, segment->length);
        seen->bytes += segment->length;
        seen->messages++;
        at += segment->length;
        if (is_last) {
            assert_true(seen->is_fetched); // the outcome came first
            assert_int_equal(seen->size, seen->bytes);
            seen->is_ended = true;
        }
    }
}

static void
see_suite(struct fixture *f, const struct wire_message *message)
{
    for (size_t i = 0; i < message->suite.len; i++) {
        struct seen *seen = &f->seen[message->suite.items[i].job];

        assert_false(seen->is_fetched); // and so before its body, too
        assert_int_equal(seen->messages, 0);
        seen->suites++;
    }
}

static int
see(void *arg, const struct wire_buf *buf, zmq_msg_t *body)
{
    struct fixture *f = arg;
    struct wire_message message;

    if (f->answer)
        return f->answer;
    f->messages++;
    assert_int_equal(wire_decode(f->decoder, wire_buf_data(buf),
                                 wire_buf_len(buf), &message),
                     0);
    if (message.kind == WIRE_FETCHED)
        see_fetched(f, &message);
    else if (message.kind == WIRE_BODY)
        see_body(f, &message, body);
    else if (message.kind == WIRE_SUITE)
        see_suite(f, &message);
    else
        fail();
    return 0;
}

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(wire_decoder_new(&f->decoder), 0);
    assert_int_equal(outbox_new(see, f, &f->outbox), 0);
    assert_int_equal(chunk_pool_new(2, &f->pool), 0);
    f->sink.outbox = f->outbox;
    f->sink.pool = f->pool;
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    outbox_free(&f->outbox);
    chunk_pool_free(&f->pool);
    wire_decoder_free(&f->decoder);
    free(f);
    return 0;
}

static int
count_connected(void *arg, const struct wire_buf *buf, zmq_msg_t *body)
{
    struct fixture *f = arg;
    struct wire_message message;

    assert_null(body);
    assert_int_equal(wire_decode(f->decoder, wire_buf_data(buf),
                                 wire_buf_len(buf), &message),
                     0);
    assert_int_equal(message.kind, WIRE_CONNECTED);
    for (size_t i = 0; i < message.connected.len; i++)
        assert_int_equal(message.connected.items[i].job, f->connected++);
    return 0;
}

// Together, at the latest at the turn's end, or when there are many.
static void
connections_are_told(void **state)
{
    struct fixture *f = *state;
    struct outbox *outbox = NULL;

    assert_int_equal(outbox_new(count_connected, f, &outbox), 0);
    for (uint64_t i = 0; i < WIRE_ENTRIES_MAX + 3; i++)
        assert_int_equal(outbox_add_connected(outbox, i, 1), 0);
    assert_int_equal(f->connected, WIRE_ENTRIES_MAX);
    assert_int_equal(outbox_flush(outbox), 0);
    assert_int_equal(f->connected, WIRE_ENTRIES_MAX + 3);
    assert_int_equal(outbox_flush(outbox), 0); // nothing more
    assert_int_equal(outbox_add_connected(outbox, 7, 1), 0);
    outbox_reset(outbox); // it was of a session that is gone
    assert_int_equal(outbox_flush(outbox), 0);
    assert_int_equal(f->connected, WIRE_ENTRIES_MAX + 3);
    outbox_free(&outbox);
}

// Writes a body in deliveries of step bytes and ends it. Returns its sum.
static unsigned
put_body(struct fixture *f, uint64_t job, size_t len, size_t step,
         uint64_t expected)
{
    struct wire_fetched outcome = {.job = job, .attempt = 1, .size = len};
    struct body body;
    unsigned char data[16384];
    uint64_t paid = 0;
    unsigned sum = 0;

    wire_facts_init(&outcome.facts);
    outcome.facts.etag = (struct wire_bytes){"\"tag\"", 5};
    body_init(&body, &f->sink, job, 1);
    for (size_t at = 0; at < len; at += step) {
        size_t part = len - at < step ? len - at : step;

        for (size_t i = 0; i < part; i++)
            data[i] = (unsigned char)((at + i) * 7 + job);
        sum = sum_of(sum, data, part);
        paid += body_need(&body, part, expected);
        assert_int_equal(body_write(&body, data, part, expected), 0);
    }
    paid += body_end_need(&body);
    assert_int_equal(paid, len); // every byte is paid for, once
    assert_int_equal(body_end(&body, &outcome), 0);
    assert_int_equal(body_drop(&body), 0);
    return sum;
}

static void
bodies_arrive_whole(void **state)
{
    static const size_t lens[] = {0,      1,      10240,  65535,
                                  65536,  65537,  262143, 262144,
                                  262145, 524288, 700000, 3000000};
    struct fixture *f = *state;
    uint64_t job = 0;

    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        static const size_t steps[] = {1000, 16384};

        for (size_t k = 0; k < 4; k++) {
            uint64_t expected = k & 1 ? UNTOLD : lens[i];
            unsigned sum = put_body(f, job, lens[i], steps[k / 2], expected);

            assert_int_equal(outbox_flush(f->outbox), 0);
            assert_true(f->seen[job].is_ended);
            assert_int_equal(f->seen[job].bytes, lens[i]);
            assert_int_equal(f->seen[job].sum, sum);
            job++;
        }
    }
}

static void
small_bodies_share_messages(void **state)
{
    struct fixture *f = *state;

    // 25 x 10 KiB fit in 256 KiB, and 1,024 entries in a message.
    for (uint64_t job = 0; job < 50; job++)
        (void)put_body(f, job, 10240, 10240, 10240);
    assert_int_equal(f->bodies, 1); // the second is not full yet
    assert_int_equal(outbox_flush(f->outbox), 0);
    assert_int_equal(f->bodies, 2);
    assert_int_equal(f->messages, 4);
    for (uint64_t job = 50; job < 50 + 1025; job++)
        (void)put_body(f, job, 1, 1, 1);
    assert_int_equal(f->bodies, 3);
    assert_int_equal(outbox_flush(f->outbox), 0);
    assert_int_equal(f->bodies, 4);
    for (uint64_t job = 0; job < 50 + 1025; job++)
        assert_true(f->seen[job].is_ended);
    assert_int_equal(outbox_flush(f->outbox), 0);
    assert_int_equal(f->bodies, 4); // nothing is sent of nothing
}

static void
streams_leave_at_the_end_of_a_turn(void **state)
{
    struct fixture *f = *state;
    struct body body;
    unsigned char data[16384] = {0};

    body_init(&body, &f->sink, 7, 1);
    assert_int_equal(body_write(&body, data, sizeof(data), 1000000), 0);
    assert_int_equal(f->messages, 0);
    assert_int_equal(body_flush_streams(&f->sink), 0);
    assert_int_equal(f->seen[7].bytes, sizeof(data));
    assert_int_equal(body_flush_streams(&f->sink), 0);
    assert_int_equal(f->messages, 1);
    assert_int_equal(body_drop(&body), 0);
}

static void
few_streams_hold_bytes_at_once(void **state)
{
    struct fixture *f = *state;
    static struct body bodies[100];
    unsigned char data[16384] = {0};

    for (uint64_t job = 0; job < 100; job++) {
        body_init(&bodies[job], &f->sink, job, 1);
        assert_int_equal(body_write(&bodies[job], data, sizeof(data), 1000000),
                         0);
        assert_true(f->sink.unsent_len <= 16);
    }
    assert_int_equal(f->messages, 84);
    assert_int_equal(body_flush_streams(&f->sink), 0);
    for (uint64_t job = 0; job < 100; job++) {
        assert_int_equal(f->seen[job].bytes, sizeof(data));
        assert_int_equal(body_drop(&bodies[job]), 0);
    }
    assert_int_equal(f->sink.unsent_len, 0);
}

// The broker must know what a body is digested with before its first byte.
static void
suites_come_before_bodies(void **state)
{
    struct fixture *f = *state;
    // Small, alone, a stream; then more than a message of suites holds.
    static const size_t lens[] = {10, 65536, 1000000};
    uint64_t job = 0;

    for (; job < 1500; job++) {
        const struct wire_suite suite = {job, 1, 1, {{"md5", strlen("md5")}}};

        assert_int_equal(outbox_add_suite(f->outbox, &suite), 0);
        if (job < 3)
            (void)put_body(f, job, lens[job], 16384, lens[job]);
    }
    assert_int_equal(outbox_flush(f->outbox), 0);
    while (job--)
        assert_int_equal(f->seen[job].suites, 1);
    assert_true(f->seen[0].is_ended && f->seen[2].is_ended);
}

static void
bodies_begin_anew(void **state)
{
    struct fixture *f = *state;
    struct wire_fetched outcome = {.job = 1, .attempt = 1, .size = 100};
    unsigned char data[16384] = {1, 2, 3};
    uint64_t unsent = 7;
    struct body body;

    wire_facts_init(&outcome.facts);
    // A small one has left nothing behind, and took no credit.
    body_init(&body, &f->sink, 0, 1);
    assert_int_equal(body_write(&body, data, 10, 100), 0);
    assert_int_equal(body_restart(&body, &unsent), 0);
    assert_int_equal(unsent, 0);
    assert_int_equal(body.size, 0);
    assert_int_equal(body_drop(&body), 0);
    // Nor has a stream whose bytes are all here, but it had paid for them.
    body_init(&body, &f->sink, 1, 1);
    assert_int_equal(body_write(&body, data, sizeof(data), 1000000), 0);
    assert_int_equal(body_restart(&body, &unsent), 0);
    assert_int_equal(unsent, sizeof(data));
    assert_int_equal(f->messages, 0);
    // One that is on its way is taken back; it may end small.
    assert_int_equal(body_write(&body, data, sizeof(data), 1000000), 0);
    assert_int_equal(body_flush_streams(&f->sink), 0);
    assert_int_equal(body_write(&body, data, 50, 1000000), 0);
    assert_int_equal(body_restart(&body, &unsent), 0);
    assert_int_equal(unsent, 50);
    assert_int_equal(f->seen[1].restarts, 1);
    assert_int_equal(body_need(&body, 100, 100), 100); // as streams do
    assert_int_equal(body_write(&body, data, 100, 100), 0);
    assert_int_equal(body_end_need(&body), 0);
    assert_int_equal(body_end(&body, &outcome), 0);
    assert_int_equal(body_drop(&body), 0);
    assert_true(f->seen[1].is_ended);
    assert_int_equal(f->seen[1].sum, sum_of(0, data, 100));
}

static void
dropped_bytes_return_their_credit(void **state)
{
    struct fixture *f = *state;
    struct body body;
    unsigned char data[16384] = {0};

    body_init(&body, &f->sink, 7, 1);
    assert_int_equal(body_write(&body, data, 10, 100),
                     0); // small: paid nothing
    assert_int_equal(body_drop(&body), 0);
    body_init(&body, &f->sink, 8, 1);
    assert_int_equal(body_write(&body, data, sizeof(data), 1000000), 0);
    assert_int_equal(body_drop(&body), sizeof(data));
    assert_int_equal(body_drop(&body), 0);
    assert_null(f->sink.unsent);
    assert_int_equal(body_flush_streams(&f->sink), 0);
    assert_int_equal(f->messages, 0);
}

static void
failures_need_no_body(void **state)
{
    struct fixture *f = *state;
    char url[60000];

    memset(url, 'u', sizeof(url));
    // Long final URLs: more than one message's worth.
    for (uint64_t job = 0; job < 100; job++) {
        struct wire_fetched outcome = {
            .job = job, .attempt = 1, .outcome = FAIL_HTTP};

        wire_facts_init(&outcome.facts);
        outcome.facts.final_url = (struct wire_bytes){url, sizeof(url)};
        assert_int_equal(outbox_add_fetched(f->outbox, &outcome), 0);
    }
    assert_int_equal(outbox_flush(f->outbox), 0);
    for (uint64_t job = 0; job < 100; job++)
        assert_true(f->seen[job].is_fetched);
    assert_int_equal(f->bodies, 0);
    assert_true(f->messages > 1);
}

static void
a_lost_session_loses_its_messages(void **state)
{
    struct fixture *f = *state;

    (void)put_body(f, 1, 100, 100, 100);
    f->answer = -ENOTCONN;
    assert_int_equal(outbox_flush(f->outbox), 0);
    f->answer = 0;
    (void)put_body(f, 2, 100, 100, 100);
    outbox_reset(f->outbox);
    assert_int_equal(outbox_flush(f->outbox), 0);
    assert_int_equal(f->messages, 0);
    (void)put_body(f, 3, 100, 100, 100);
    f->answer = -ENOMEM; // what went wrong is not hidden
    assert_int_equal(outbox_flush(f->outbox), -ENOMEM);
}

// In the embedded run a message may outlive the fetcher.
static void
chunks_may_outlive_their_owner(void **state)
{
    struct chunk_pool *pool = NULL;
    struct chunk *chunk, *again;
    zmq_msg_t msg;

    (void)state;
    assert_int_equal(chunk_pool_new(1, &pool), 0);
    chunk = chunk_new(pool);
    assert_non_null(chunk);
    again = chunk;
    chunk_free(&chunk);
    chunk = chunk_new(pool);
    assert_ptr_equal(chunk, again); // recycled
    chunk->bytes[99] = 42;
    assert_int_equal(chunk_take_to_msg(&chunk, 100, &msg), 0);
    assert_null(chunk);
    chunk_pool_free(&pool);
    assert_int_equal(((unsigned char *)zmq_msg_data(&msg))[99], 42);
    assert_int_equal(zmq_msg_close(&msg), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_arrive_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_bodies_share_messages, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(streams_leave_at_the_end_of_a_turn,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(few_streams_hold_bytes_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(dropped_bytes_return_their_credit,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(suites_come_before_bodies, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(connections_are_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bodies_begin_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_need_no_body, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lost_session_loses_its_messages,
                                        set_up, tear_down),
        cmocka_unit_test(chunks_may_outlive_their_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
