// test_curve.c - what a failed handshake means to who connected; key options
#include "common/curve.h"
#include "common/monitor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zmq.h>
// cmocka wants the four at the top.
#include <cmocka.h>

static void
test_failures(void **state)
{
    const struct curve on = {.is_on = true}, off = {0};
    const struct {
        unsigned event;
        int32_t value;
        enum curve_failure with, without;
    } rows[] = {
        {ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, 400, CURVE_REFUSED, CURVE_REFUSED},
        {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH, CURVE_NO_KEYS,
         CURVE_WANTS_KEYS},
        {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC, CURVE_IMPOSTOR, CURVE_IMPOSTOR},
        {ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
         ZMQ_PROTOCOL_ERROR_ZMTP_MALFORMED_COMMAND_READY, CURVE_BROKEN,
         CURVE_BROKEN},
        {ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, EPIPE, CURVE_HUNG_UP,
         CURVE_BROKEN},
        {ZMQ_EVENT_DISCONNECTED, 5, CURVE_FINE, CURVE_FINE},
        {ZMQ_EVENT_CLOSED, 5, CURVE_FINE, CURVE_FINE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct monitor_event event = {rows[i].event, rows[i].value};

        assert_int_equal(curve_failure_of(&on, &event), rows[i].with);
        assert_int_equal(curve_failure_of(&off, &event), rows[i].without);
        assert_int_equal(curve_failure_of(NULL, &event), rows[i].without);
    }
    // What may pass by itself is tried again.
    assert_true(curve_is_final(CURVE_REFUSED));
    assert_true(curve_is_final(CURVE_WANTS_KEYS));
    assert_true(curve_is_final(CURVE_NO_KEYS));
    assert_true(curve_is_final(CURVE_IMPOSTOR));
    assert_false(curve_is_final(CURVE_HUNG_UP));
    assert_false(curve_is_final(CURVE_BROKEN));
    assert_false(curve_is_final(CURVE_FINE));
}

static void
test_options(void **state)
{
    struct curve_options options = {0};
    struct curve curve;
    char why[512] = "";

    (void)state;
    assert_int_equal(curve_load(&options, &curve, why, sizeof(why)), 0);
    assert_false(curve.is_on);
    options.key_file = options.broker_key_file = ""; // as compose files make it
    assert_int_equal(curve_load(&options, &curve, why, sizeof(why)), 0);
    assert_false(curve.is_on);
    options.key_file = "/none";
    assert_int_equal(curve_load(&options, &curve, why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "without --broker-key-file"));
    options.broker_key_file = "/none";
    assert_int_equal(curve_load(&options, &curve, why, sizeof(why)), -EINVAL);
    assert_string_equal(why, "--key-file /none: No such file or directory");
    assert_false(curve.is_on);
    curve_fini(&curve);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
