// test_endpoint.c - what users write as an endpoint, and what becomes of it
#include "common/endpoint.h"
#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above.
#include <cmocka.h>

static void
check(const char *text, int port, const char *want)
{
    char got[ENDPOINT_MAX] = "untouched";
    int err = endpoint_resolve(text, port, got);

    if (want) {
        assert_int_equal(err, 0);
        assert_string_equal(got, want);
    } else {
        if (!err)
            fail_msg("%s was accepted as %s", text, got);
        assert_int_equal(err, -EINVAL);
        assert_string_equal(got, "untouched");
    }
}

static void
test_tcp(void **state)
{
    (void)state;
    check("broker", PORT_CLIENT, "tcp://broker:5550");
    check("broker", PORT_FETCHER, "tcp://broker:5551");
    check("tcp://broker", PORT_HASHER, "tcp://broker:5552");
    check("tcp://broker:9", PORT_HASHER, "tcp://broker:9");
    check("broker:65535", PORT_HASHER, "tcp://broker:65535");
    check("10.0.0.1:7", PORT_CLIENT, "tcp://10.0.0.1:7");
    check("tcp://*", PORT_CLIENT, "tcp://*:5550");
    check("tcp://127.0.0.1:*", PORT_CLIENT, "tcp://127.0.0.1:*");
    check("[::1]", PORT_CLIENT, "tcp://[::1]:5550");
    check("tcp://[fe80::1%eth0]:8", PORT_CLIENT, "tcp://[fe80::1%eth0]:8");
}

static void
test_other_transports(void **state)
{
    (void)state;
    check("ipc:///run/u.sock", PORT_CLIENT, "ipc:///run/u.sock");
    check("ipc:///run/u/", PORT_CLIENT, "ipc:///run/u/client.sock");
    check("ipc:///run/u/", PORT_FETCHER, "ipc:///run/u/fetcher.sock");
    check("ipc:///run/u/", PORT_HASHER, "ipc:///run/u/hasher.sock");
    check("inproc://x", PORT_CLIENT, "inproc://x-client");
    check("inproc://x", PORT_FETCHER, "inproc://x-fetcher");
    check("inproc://x", PORT_HASHER, "inproc://x-hasher");
}

static void
test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "tcp://",
        "ipc://",
        "inproc://",
        "tcp://:9",
        ":9",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:9x",
        "host:000009",
        "::1",
        "fe80::1",
        "[::1",
        "[]:9",
        "[::1]9",
        "[::1]:",
        "http://host",
        "udp://host",
        "a b",
        "tcp://a/b",
        "tcp://a;b:9",
        "tcp://host:9:9",
        "host\n",
        "tcp://tcp://x",
        "TCP://host",
        "host:**",
        "user@host",
        "h\xc3\xb6st",
        "tcp://[a]b]:1",
        "tcp://?",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check(bad[i], PORT_CLIENT, NULL);
}

// A name of len letters after prefix.
static const char *
long_text(const char *prefix, size_t len, const char *suffix)
{
    static char text[1024];
    size_t at = strlen(prefix);

    memcpy(text, prefix, at);
    memset(text + at, 'a', len);
    strcpy(text + at + len, suffix);
    return text;
}

static void
test_lengths(void **state)
{
    char got[ENDPOINT_MAX];

    (void)state;
    // "tcp://" + host + ":5550" + end = 300
    assert_int_equal(endpoint_resolve(long_text("", 288, ""), PORT_CLIENT, got),
                     0);
    assert_int_equal(strlen(got), ENDPOINT_MAX - 1);
    check(long_text("", 289, ""), PORT_CLIENT, NULL);
    check(long_text("", 600, ""), PORT_CLIENT, NULL);
    check(long_text("tcp://", 600, ":1"), PORT_CLIENT, NULL);
    // sun_path has 108 bytes with its end.
    assert_int_equal(
        endpoint_resolve(long_text("ipc:///", 106, ""), PORT_CLIENT, got), 0);
    check(long_text("ipc:///", 107, ""), PORT_CLIENT, NULL);
    // "/" + 95 + "/" + "client.sock" = 108: one too many
    assert_int_equal(
        endpoint_resolve(long_text("ipc:///", 94, "/"), PORT_CLIENT, got), 0);
    check(long_text("ipc:///", 95, "/"), PORT_CLIENT, NULL);
    check(long_text("inproc://", 284, ""), PORT_CLIENT, NULL);
    assert_int_equal(
        endpoint_resolve(long_text("inproc://", 283, ""), PORT_CLIENT, got), 0);
}

static void
test_split(void **state)
{
    static const struct {
        const char *text, *host, *port; // host NULL: refused
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1", "80"},
        {"localhost", "localhost", "5553"},
        {"[::1]:65535", "::1", "65535"},
        {"[::]", "::", "5553"},
        {"", NULL, NULL},
        {":80", NULL, NULL},
        {"[]:80", NULL, NULL},
        {"::1", NULL, NULL},
        {"[::1", NULL, NULL},
        {"[::1]80", NULL, NULL},
        {"a:0", NULL, NULL},
        {"a:*", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:1:2", NULL, NULL},
        {"tcp://a:1", NULL, NULL},
        {"a/b:1", NULL, NULL},
    };
    char host[ENDPOINT_MAX], port[6];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int err = endpoint_split(rows[i].text, PORT_HTTP, host, port);

        assert_int_equal(err, rows[i].host ? 0 : -EINVAL);
        if (err)
            continue;
        assert_string_equal(host, rows[i].host);
        assert_string_equal(port, rows[i].port);
    }
    assert_int_equal(
        endpoint_split(long_text("", 299, ""), PORT_HTTP, host, port), 0);
    assert_int_equal(
        endpoint_split(long_text("", 300, ""), PORT_HTTP, host, port), -EINVAL);
}

// Whom strangers can reach: anything that is not for sure this machine's own.
static void
test_who_is_local(void **state)
{
    static const char *const local[] = {
        "ipc:///run/urlsum/client.sock", "inproc://urlsum-client",
        "tcp://127.0.0.1:5550",          "tcp://127.0.0.1:*",
        "tcp://127.255.3.4:1",           "tcp://[::1]:5550",
        "tcp://[::ffff:127.0.0.1]:5550",
    };
    static const char *const open[] = {
        "tcp://*:5550",
        "tcp://0.0.0.0:5550",
        "tcp://0.0.0.0:*",
        "tcp://[::]:5550",
        "tcp://[::ffff:10.0.0.1]:5550",
        "tcp://[fe80::1]:5550",
        "tcp://10.0.0.5:5550",
        "tcp://128.0.0.1:5550",
        "tcp://1270.0.0.1:5550",
        "tcp://127.1:5550",
        "tcp://lo:5550",
        "tcp://eth0:5550",
        "tcp://localhost:5550",
        "tcp://127.0.0.1.example.org:5550",
        "pgm://127.0.0.1:5550",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++) {
        if (!endpoint_is_local(local[i]))
            fail_msg("%s is this machine's own", local[i]);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
        if (endpoint_is_local(open[i]))
            fail_msg("%s can be reached by strangers", open[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),     cmocka_unit_test(test_other_transports),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_split),   cmocka_unit_test(test_who_is_local),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
