#include "fetcher/address_policy.h"

#include "common/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct address_policy *
policy_of(const char **items, size_t len)
{
    const struct conf_list list = {items, len};
    struct address_policy *policy = NULL;
    const char *bad = NULL, *why = NULL;

    assert_int_equal(address_policy_new(&list, &policy, &bad, &why), 0);
    return policy;
}

static const char *
refusal(const struct address_policy *policy, const char *text)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};

    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
        address.v6.sin6_family = AF_INET6;
    }
    return address_policy_refusal(policy, &address.any);
}

// First and last of each range, and what stands just outside of it.
static const char *const denied[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "febf:ffff::1",
    "fec0::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};
static const char *const open_to_all[] = {
    "1.0.0.0",       "1.1.1.1",         "8.8.8.8",       "9.255.255.255",
    "11.0.0.0",      "100.63.255.255",  "100.128.0.0",   "126.255.255.255",
    "128.0.0.0",     "169.253.255.255", "169.255.0.0",   "172.15.255.255",
    "172.32.0.0",    "191.255.255.255", "192.0.1.0",     "192.0.3.0",
    "192.167.255.1", "192.169.0.0",     "198.17.255.1",  "198.20.0.0",
    "198.51.99.255", "198.51.101.0",    "203.0.112.255", "203.0.114.0",
    "223.255.255.1", "168.63.129.15",   "2000::1",       "2001:200::1",
    "2001:db7::1",   "2001:db9::1",     "2001:4860::1",  "2003::1",
    "2606:4700::1",  "2a00::1",         "3ffe:ffff::1",  "3fff:1000::1",
};

static void
the_inside_is_denied(void **state)
{
    struct address_policy *policy = policy_of(NULL, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(denied) / sizeof(*denied); i++) {
        if (!refusal(policy, denied[i]))
            fail_msg("%s is allowed", denied[i]);
    }
    for (size_t i = 0; i < sizeof(open_to_all) / sizeof(*open_to_all); i++) {
        const char *what = refusal(policy, open_to_all[i]);

        if (what)
            fail_msg("%s is %s", open_to_all[i], what);
    }
    address_policy_free(&policy);
    assert_null(policy);
    address_policy_free(&policy);
}

static void
refusals_name_what_it_is(void **state)
{
    struct address_policy *policy = policy_of(NULL, 0);

    (void)state;
    assert_string_equal(refusal(policy, "127.0.0.1"), "a loopback address");
    assert_string_equal(refusal(policy, "::1"), "a loopback address");
    assert_string_equal(refusal(policy, "10.1.2.3"), "a private address");
    assert_string_equal(refusal(policy, "255.255.255.255"),
                        "the broadcast address");
    assert_string_equal(refusal(policy, "169.254.169.254"),
                        "a cloud's metadata address");
    assert_string_equal(refusal(policy, "::ffff:1.1.1.1"),
                        "an IPv4-mapped address");
    assert_string_equal(refusal(policy, "5f00::1"), "a reserved address");
    address_policy_free(&policy);
}

static void
without_policy_all_is_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(denied) / sizeof(*denied); i++)
        assert_null(refusal(NULL, denied[i]));
}

static void
networks_are_opened(void **state)
{
    const char *items[] = {"10.1.0.0/16", "127.0.0.1", "fd00:1::/32", "::1/128",
                           "192.168.7.128/25"};
    struct address_policy *policy = policy_of(items, 5);
    static const char *const still[] = {
        "10.0.255.255", "10.2.0.0",        "127.0.0.2",
        "fd00:2::1",    "192.168.7.127",   "::ffff:127.0.0.1",
        "::127.0.0.1",  "64:ff9b::7f00:1", "::ffff:10.1.0.1"};
    static const char *const now[] = {"10.1.0.0",  "10.1.255.255",
                                      "127.0.0.1", "fd00:1:ffff::1",
                                      "::1",       "192.168.7.200"};

    (void)state;
    for (size_t i = 0; i < sizeof(still) / sizeof(*still); i++)
        assert_non_null(refusal(policy, still[i]));
    for (size_t i = 0; i < sizeof(now) / sizeof(*now); i++)
        assert_null(refusal(policy, now[i]));
    address_policy_free(&policy);
}

static void
metadata_is_named_exactly(void **state)
{
    const char *wide[] = {"0.0.0.0/0", "::/0", "169.254.0.0/16", "fd00::/8"};
    const char *exact[] = {"169.254.169.254/32", "fd00:ec2::254"};
    struct address_policy *policy = policy_of(wide, 4);

    (void)state;
    assert_null(refusal(policy, "169.254.1.1"));
    assert_null(refusal(policy, "127.0.0.1"));
    assert_null(refusal(policy, "fd00::1"));
    assert_null(refusal(policy, "::ffff:127.0.0.1"));
    assert_non_null(refusal(policy, "169.254.169.254"));
    assert_non_null(refusal(policy, "fd00:ec2::254"));
    assert_non_null(refusal(policy, "100.100.100.200"));
    assert_non_null(refusal(policy, "168.63.129.16"));
    // Nor by way of what embeds it.
    assert_non_null(refusal(policy, "::ffff:169.254.169.254"));
    assert_non_null(refusal(policy, "64:ff9b::169.254.169.254"));
    assert_non_null(refusal(policy, "2002:a9fe:a9fe::1"));
    address_policy_free(&policy);

    policy = policy_of(exact, 2);
    assert_null(refusal(policy, "169.254.169.254"));
    assert_null(refusal(policy, "fd00:ec2::254"));
    assert_non_null(refusal(policy, "169.254.169.253"));
    address_policy_free(&policy);
}

// A network that reaches the IPv4 internet by NAT64 opens its prefix, and
// nothing of the inside with it.
static void
embedded_addresses_count(void **state)
{
    const char *items[] = {"64:ff9b::/96", "2002::/16", "2001::/32"};
    struct address_policy *policy = policy_of(items, 3);

    (void)state;
    assert_null(refusal(policy, "64:ff9b::8.8.8.8"));
    assert_non_null(refusal(policy, "64:ff9b::10.0.0.1"));
    assert_non_null(refusal(policy, "64:ff9b::169.254.169.254"));
    assert_null(refusal(policy, "2002:808:808::1"));
    assert_non_null(refusal(policy, "2002:7f00:1::1"));
    // Teredo: 8.8.8.8 as server, the client's address is turned over.
    assert_null(refusal(policy, "2001:0:808:808::f7f7:f7f7"));
    assert_non_null(refusal(policy, "2001:0:808:808::80ff:fffe"));
    assert_non_null(refusal(policy, "2001:0:7f00:1::f7f7:f7f7"));
    address_policy_free(&policy);
}

static void
nonsense_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/x",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/ 8",
        "10.0.0.0/+8",
        "10.1.0.0/8",
        "10.0/8",
        "010.0.0.0/8",
        "0x7f.0.0.1",
        "2130706433",
        "localhost",
        "::/129",
        "fd00::1/8",
        "[::1]",
        "10.0.0.0/8 ",
        "10.0.0.0/8,::1",
        "10.0.0.0/99999999999999999999",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/12"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *items[] = {"::1", bad[i]};
        const struct conf_list list = {items, 2};
        struct address_policy *policy = NULL;
        const char *item = NULL, *why = NULL;

        if (address_policy_new(&list, &policy, &item, &why) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
        assert_ptr_equal(item, bad[i]);
        assert_non_null(why);
        assert_null(policy);
    }
}

static void
other_families_are_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *items[] = {"0.0.0.0/0", "::/0"};
    struct address_policy *policy = policy_of(items, 2);

    (void)state;
    assert_non_null(
        address_policy_refusal(policy, (const struct sockaddr *)&address));
    address_policy_free(&policy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inside_is_denied),
        cmocka_unit_test(refusals_name_what_it_is),
        cmocka_unit_test(without_policy_all_is_open),
        cmocka_unit_test(networks_are_opened),
        cmocka_unit_test(metadata_is_named_exactly),
        cmocka_unit_test(embedded_addresses_count),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(other_families_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
