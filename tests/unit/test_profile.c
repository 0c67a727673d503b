// test_profile.c - what may stand in request options
#include "proto/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h> // needs those above

static struct wire_bytes
bytes(const char *text)
{
    return (struct wire_bytes){text, strlen(text)};
}

static void
test_header_lines(void **state)
{
    static const char *const good[] = {"X-A: b",
                                       "X-A:b",
                                       "X-A:",
                                       "X-A;",
                                       "X-A; ",
                                       "Accept: */*",
                                       "Cookie: a=b;c",
                                       "X: \xc3\xa4\tb",
                                       "Range:",
                                       "Content-Length:",
                                       "Host: elsewhere",
                                       "User-Agent: x",
                                       "If-None-Match: \"x\""};
    static const char *const bad[] = {"",
                                      "X-A",
                                      ":",
                                      ": b",
                                      "X A: b",
                                      "X-A; b",
                                      "X-A: b\rc",
                                      "X-A: b\nX-B: c",
                                      "X-A: b\n",
                                      "X\n: b",
                                      "X-A\t: b",
                                      "X-A: \x01",
                                      "X-A: \x7f",
                                      "X\xc3\xa4: b",
                                      "Range: bytes=0-1",
                                      "IF-RANGE: x",
                                      "content-length: 3",
                                      "Transfer-Encoding: chunked",
                                      "Transfer-Encoding;",
                                      "Upgrade: h2c",
                                      "HTTP2-Settings: AAA",
                                      "Proxy-Authorization: Basic x",
                                      "GET / HTTP/1.1"};
    static char nul[] = "X-A: b\0c";
    static char longest[WIRE_PROFILE_HEADER_BYTES_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (profile_header_complaint(bytes(good[i])))
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (!profile_header_complaint(bytes(bad[i])))
            fail_msg("%s", bad[i]);
    }
    assert_non_null(
        profile_header_complaint((struct wire_bytes){nul, sizeof(nul) - 1}));
    memset(longest, 'x', sizeof(longest) - 1);
    longest[1] = ':';
    assert_non_null(profile_header_complaint(bytes(longest)));
    longest[WIRE_PROFILE_HEADER_BYTES_MAX] = '\0';
    assert_null(profile_header_complaint(bytes(longest)));
}

static void
test_header_names(void **state)
{
    enum profile_header how;
    struct wire_bytes name;

    (void)state;
    name = profile_header_name(bytes("X-A: b:c;d"), &how);
    assert_int_equal(name.len, 3);
    assert_int_equal(how, PROFILE_HEADER_SEND);
    name = profile_header_name(bytes("X-A:  "), &how);
    assert_int_equal(name.len, 3);
    assert_int_equal(how, PROFILE_HEADER_REMOVE);
    name = profile_header_name(bytes("X-A;"), &how);
    assert_int_equal(name.len, 3);
    assert_int_equal(how, PROFILE_HEADER_EMPTY);
    assert_true(profile_header_travels(bytes("ACCEPT-Language")));
    assert_true(profile_header_travels(bytes("User-Agent")));
    assert_false(profile_header_travels(bytes("Authorization")));
    assert_false(profile_header_travels(bytes("Cookie")));
    assert_false(profile_header_travels(bytes("Host")));
    assert_false(profile_header_travels(bytes("X-Api-Key")));
    assert_false(profile_header_travels(bytes("")));
}

static void
test_user(void **state)
{
    (void)state;
    assert_null(profile_user_complaint(bytes("me:pass:word")));
    assert_null(profile_user_complaint(bytes(":")));
    assert_non_null(profile_user_complaint(bytes("me")));
    assert_non_null(profile_user_complaint(bytes("")));
    assert_non_null(profile_user_complaint(bytes("me:a\nb")));
    assert_non_null(profile_user_complaint((struct wire_bytes){"m:\0", 3}));
}

static void
test_proxy(void **state)
{
    static const char *const good[] = {
        "host",          "host:1",     "http://h:1",  "HTTPS://u:p@h",
        "socks5h://h:1", "socks4://h", "socks4a://h", "socks5://[::1]:9"};
    static const char *const bad[] = {"", "ftp://h", "h ost", "h\n",
                                      "file:///x"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_null(profile_proxy_complaint(bytes(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_non_null(profile_proxy_complaint(bytes(bad[i])));
}

static void
test_resolve(void **state)
{
    static const char *const good[] = {"h:1:127.0.0.1", "+h:80:1.2.3.4,::1",
                                       "*:443:[::1]",
                                       "h:65535:::1,[fe80::1],10.0.0.1"};
    static const char *const bad[] = {"",
                                      "h",
                                      "h:80",
                                      "h:80:",
                                      "h:0:1.2.3.4",
                                      "h:65536:1.2.3.4",
                                      "h:x:1.2.3.4",
                                      ":80:1.2.3.4",
                                      "-h:80",
                                      "h:80:name",
                                      "h:80:1.2.3.4,",
                                      "h:80:1.2.3.4 ",
                                      "h:80:[]",
                                      "h:99999999999999999999:1.2.3.4",
                                      "h:80:1.2.3.4\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (profile_resolve_complaint(bytes(good[i])))
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (!profile_resolve_complaint(bytes(bad[i])))
            fail_msg("%s", bad[i]);
    }
}

static void
test_all_together(void **state)
{
    static struct wire_bytes many[WIRE_PROFILE_ITEMS_MAX + 1];
    static char large[WIRE_PROFILE_HEADER_BYTES_MAX];
    struct wire_profile profile;

    (void)state;
    wire_profile_init(&profile);
    assert_null(profile_complaint(&profile));
    assert_true(wire_profile_is_empty(&profile));
    profile.ip_version = 5;
    assert_non_null(profile_complaint(&profile));
    profile.ip_version = 6;
    profile.http_version = 10;
    assert_non_null(profile_complaint(&profile));
    profile.http_version = 20;
    profile.insecure = 2;
    assert_non_null(profile_complaint(&profile));
    profile.insecure = 1;
    assert_null(profile_complaint(&profile));
    assert_false(wire_profile_is_empty(&profile));
    profile.cacert = bytes("nothing");
    assert_non_null(profile_complaint(&profile));
    profile.cacert = bytes("x\n-----BEGIN CERTIFICATE-----\nx");
    assert_null(profile_complaint(&profile));
    for (size_t i = 0; i <= WIRE_PROFILE_ITEMS_MAX; i++)
        many[i] = bytes("X-A: b");
    profile.headers = many;
    profile.headers_len = WIRE_PROFILE_ITEMS_MAX;
    assert_null(profile_complaint(&profile));
    profile.headers_len++;
    assert_non_null(profile_complaint(&profile));
    profile.headers_len = 5; // of 8 KiB: more than 32 KiB
    memset(large, 'x', sizeof(large));
    large[1] = ':';
    for (size_t i = 0; i < 5; i++)
        many[i] = (struct wire_bytes){large, sizeof(large)};
    assert_non_null(profile_complaint(&profile));
    profile.headers_len = 4;
    assert_null(profile_complaint(&profile));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_lines),
        cmocka_unit_test(test_header_names),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_all_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
