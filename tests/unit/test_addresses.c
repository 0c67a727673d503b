#include "fetcher/addresses.h"

#include "common/conf.h"
#include "fetcher/address_policy.h"
#include "fetcher/dns.h"
#include "fetcher/resolver.h"

#include <curl/curl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void
hosts_are_found(void **state)
{
    static const struct {
        const char *url, *name, *port;
        bool is_known;
    } rows[] = {
        {"http://a.test/", "a.test", "80", false},
        {"https://a.test/x:1", "a.test", "443", false},
        {"http://u:p@A.test:81/", "A.test", "81", false},
        {"http://a.test./", "a.test.", "80", false},
        {"http://127.0.0.1/", "127.0.0.1", "80", true},
        {"http://0x7f.1:5/", "127.0.0.1", "5", true},
        {"http://[::1]:5/", "[::1]", "5", true},
        {"http://localhost/", "localhost", "80", true},
        {"http://a.LocalHost./", "a.LocalHost.", "80", true},
        {"http://alocalhost/", "alocalhost", "80", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct host host;

        assert_int_equal(host_init(&host, rows[i].url), 0);
        assert_string_equal(host.name, rows[i].name);
        assert_string_equal(host.port, rows[i].port);
        assert_int_equal(host.is_known, rows[i].is_known);
        host_fini(&host);
        host_fini(&host);
    }
}

static void
what_has_no_host_is_refused(void **state)
{
    struct host host;

    (void)state;
    assert_int_equal(host_init(&host, ""), -EINVAL);
    assert_int_equal(host_init(&host, "http://"), -EINVAL);
}

static const struct dns_address found[] = {
    {AF_INET6, {[15] = 1}},
    {AF_INET6, {0x20, 0x01, 0x48, 0x60, [15] = 0x88}},
    {AF_INET, {10, 0, 0, 1}},
    {AF_INET, {192, 0, 9, 1}},
};

static void
check(const struct address_policy *policy, size_t len, const char *want,
      const char *want_refusal)
{
    const struct resolver_result result = {
        .verdict = RESOLVER_FOUND, .addresses = found, .len = len};
    struct curl_slist *list = NULL;
    const char *refusal = NULL;
    struct host host;
    int err;

    assert_int_equal(host_init(&host, "https://a.test:81/"), 0);
    err = host_addresses(&host, &result, policy, &list, &refusal);
    if (want) {
        assert_int_equal(err, 0);
        assert_string_equal(list->data, want);
        assert_null(list->next);
    } else {
        assert_int_equal(err, -EACCES);
        assert_string_equal(refusal, want_refusal);
        assert_null(list);
    }
    curl_slist_free_all(list);
    host_fini(&host);
}

static void
allowed_addresses_are_handed_over(void **state)
{
    const struct conf_list none = {NULL, 0};
    struct address_policy *policy = NULL;
    const char *bad, *why;

    (void)state;
    assert_int_equal(address_policy_new(&none, &policy, &bad, &why), 0);
    check(NULL, 4, "+a.test:81:[::1],[2001:4860::88],10.0.0.1,192.0.9.1", NULL);
    check(policy, 4, "+a.test:81:[2001:4860::88],192.0.9.1", NULL);
    check(policy, 1, NULL, "a loopback address");
    address_policy_free(&policy);
}

static void
servers_are_read(void **state)
{
    static const char *const good[] = {
        "127.0.0.1", "127.0.0.1:5353", "::1",
        "[::1]",     "[::1]:53",       "fd00::1,10.0.0.1,[fd00::2]:65535"};
    static const char *const bad[] = {"",
                                      ",",
                                      "a.test",
                                      "127.0.0.1,",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:5x",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "[::1",
                                      "::1]",
                                      "[127.0.0.1]:53",
                                      "127.0.0.1 127.0.0.2"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(dns_servers_are_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (dns_servers_are_valid(bad[i]))
            fail_msg("%s is taken", bad[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_found),
        cmocka_unit_test(what_has_no_host_is_refused),
        cmocka_unit_test(allowed_addresses_are_handed_over),
        cmocka_unit_test(servers_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
