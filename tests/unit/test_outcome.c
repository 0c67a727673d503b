#include "fetcher/outcome.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum fail
of(CURLcode code, int status)
{
    return outcome(&(struct outcome_of){
        .curl_code = (int)code, .http_status = status, .is_asked = status > 0});
}

static void
only_whole_2xx_succeeds(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        enum fail want = FAIL_HTTP;

        if (status == 206)
            want = FAIL_PROTOCOL;
        else if (status >= 200 && status < 300)
            want = FAIL_OK;
        assert_int_equal(of(CURLE_OK, status), want);
    }
    assert_int_equal(of(CURLE_OK, 0), FAIL_HTTP);
}

// What libcurl calls by other names.
static void
strange_headers_break_the_rules(void **state)
{
    struct outcome_of it = {.curl_code = CURLE_OUT_OF_MEMORY, .is_asked = true};

    (void)state;
    assert_int_equal(outcome(&it), FAIL_INTERNAL);
    it.is_in_header = true;
    assert_int_equal(outcome(&it), FAIL_PROTOCOL);
    it = (struct outcome_of){.curl_code = CURLE_BAD_FUNCTION_ARGUMENT};
    assert_int_equal(outcome(&it), FAIL_INTERNAL);
    it.http_status = 200;
    assert_int_equal(outcome(&it), FAIL_PROTOCOL);
}

// Whatever goes wrong, and with whatever status, is not a success.
static void
no_code_but_ok_succeeds(void **state)
{
    (void)state;
    for (int code = 1; code < CURL_LAST; code++) {
        assert_int_not_equal(of((CURLcode)code, 200), FAIL_OK);
        assert_int_not_equal(of((CURLcode)code, 0), FAIL_OK);
    }
}

static void
codes_have_their_fails(void **state)
{
    static const struct {
        CURLcode code;
        enum fail fail;
    } rows[] = {
        {CURLE_URL_MALFORMAT, FAIL_INVALID_URL},
        {CURLE_COULDNT_RESOLVE_HOST, FAIL_DNS},
        {CURLE_COULDNT_CONNECT, FAIL_CONNECT},
        {CURLE_OPERATION_TIMEDOUT, FAIL_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, FAIL_TLS},
        {CURLE_SSL_CONNECT_ERROR, FAIL_TLS},
        {CURLE_TOO_MANY_REDIRECTS, FAIL_REDIRECTS},
        {CURLE_PARTIAL_FILE, FAIL_CUT},
        {CURLE_RECV_ERROR, FAIL_CUT},
        {CURLE_SEND_ERROR, FAIL_CUT},
        {CURLE_GOT_NOTHING, FAIL_CUT},
        {CURLE_HTTP2_STREAM, FAIL_CUT},
        {CURLE_WEIRD_SERVER_REPLY, FAIL_PROTOCOL},
        {CURLE_FILESIZE_EXCEEDED, FAIL_TOO_LARGE},
        {CURLE_OUT_OF_MEMORY, FAIL_INTERNAL},
        {CURLE_WRITE_ERROR, FAIL_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(of(rows[i].code, 200), rows[i].fail);
}

static void
unsupported_protocol_is_two_things(void **state)
{
    struct outcome_of facts = {.curl_code = CURLE_UNSUPPORTED_PROTOCOL};

    (void)state;
    assert_int_equal(outcome(&facts), FAIL_SCHEME); // ftp://
    facts.is_asked = true;
    assert_int_equal(outcome(&facts), FAIL_PROTOCOL); // HTTP/0.9
}

static void
own_reason_wins(void **state)
{
    struct outcome_of facts = {.curl_code = CURLE_WRITE_ERROR,
                               .http_status = 200,
                               .stopped = FAIL_TOO_LARGE};

    (void)state;
    assert_int_equal(outcome(&facts), FAIL_TOO_LARGE);
    facts.curl_code = CURLE_PARTIAL_FILE; // an error page that was cut
    facts.stopped = FAIL_HTTP;
    assert_int_equal(outcome(&facts), FAIL_HTTP);
}

static void
codes_shown_are_those_of_curl(void **state)
{
    (void)state;
    assert_int_equal(outcome_curl_code(FAIL_HTTP, CURLE_OK), 22);
    assert_int_equal(outcome_curl_code(FAIL_TOO_LARGE, CURLE_WRITE_ERROR), 63);
    assert_int_equal(outcome_curl_code(FAIL_PROTOCOL, CURLE_OK), 8);
    assert_int_equal(outcome_curl_code(FAIL_CUT, CURLE_RECV_ERROR), 56);
    assert_int_equal(outcome_curl_code(FAIL_REDIRECTS, CURLE_OK), 47);
    assert_int_equal(outcome_curl_code(FAIL_SCHEME, CURLE_OK), 1);
    assert_int_equal(outcome_curl_code(FAIL_INVALID_URL, CURLE_OK), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_2xx_succeeds),
        cmocka_unit_test(strange_headers_break_the_rules),
        cmocka_unit_test(no_code_but_ok_succeeds),
        cmocka_unit_test(codes_have_their_fails),
        cmocka_unit_test(unsupported_protocol_is_two_things),
        cmocka_unit_test(own_reason_wins),
        cmocka_unit_test(codes_shown_are_those_of_curl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
