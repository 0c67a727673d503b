// test_outbound.c - replies are counted as long as libzmq has them
#include "broker/outbound.h"
#include "common/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka wants the four above.
#include <cmocka.h>

static void
on_sent(void *arg)
{
    loop_end(arg);
}

static void
wrap(struct outbound *outbound, struct unread *unread, size_t len,
     zmq_msg_t *frame)
{
    unsigned char *data = calloc(1, len);

    assert_non_null(data);
    assert_int_equal(outbound_wrap(outbound, unread, data, len, frame), 0);
}

static void
test_counted_until_it_is_gone(void **state)
{
    struct loop *loop;
    struct outbound *outbound;
    struct unread *one, *other;
    zmq_msg_t frames[2];

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(outbound_new(loop, on_sent, loop, &outbound), 0);
    one = unread_new(outbound);
    other = unread_new(outbound);
    wrap(outbound, one, 1000, &frames[0]);
    wrap(outbound, other, 300, &frames[1]);
    assert_int_equal(unread_bytes(one), 1000);
    assert_int_equal(unread_bytes(other), 300);
    assert_int_equal(outbound_bytes(outbound), 1300);

    (void)zmq_msg_close(&frames[0]);
    loop_run(loop); // ends when it is told
    assert_int_equal(unread_bytes(one), 0);
    assert_int_equal(outbound_bytes(outbound), 300);

    (void)zmq_msg_close(&frames[1]);
    unread_unref(&one);
    unread_unref(&other);
    outbound_free(&outbound);
    loop_free(&loop);
}

// libzmq may keep a reply until after its socket is closed: the sanitizers say
// whether all is freed, once.
static void
test_outlives_its_owner(void **state)
{
    struct loop *loop;
    struct outbound *outbound;
    struct unread *unread;
    zmq_msg_t frame;

    (void)state;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(outbound_new(loop, on_sent, loop, &outbound), 0);
    unread = unread_new(outbound);
    wrap(outbound, unread, 1000, &frame);
    unread_unref(&unread);
    outbound_free(&outbound);
    loop_free(&loop);
    (void)zmq_msg_close(&frame);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_until_it_is_gone),
        cmocka_unit_test(test_outlives_its_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
