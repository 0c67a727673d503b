// test_tls.c - what libcurl says of TLS, in words that help
#include "fetcher/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> // needs those above

static void
test_hints(void **state)
{
    (void)state;
    assert_non_null(
        strstr(tls_hint("SSL certificate problem: self-signed certificate"),
               "cacert"));
    assert_non_null(strstr(tls_hint("SSL certificate problem: self-signed "
                                    "certificate in certificate chain"),
                           "cacert"));
    assert_non_null(strstr(tls_hint("x: wrong version number"), "TLS"));
    assert_string_equal(tls_hint(""), "");
    assert_string_equal(tls_hint("Couldn't connect to server"), "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
