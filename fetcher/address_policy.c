#include "fetcher/address_policy.h"

#include "common/conf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A network, or an address: one whose bits all count.
struct net {
    sa_family_t family;
    unsigned char bytes[16]; // IPv4: the first four
    unsigned bits;           // that count
};

struct row {
    const char *net;
    const char *what;
};

// RFC 6890 and its registry, and what has been reserved since.
static const struct row denied_v4[] = {
    {"0.0.0.0/8", "an address of this host"},
    {"10.0.0.0/8", "a private address"},
    {"100.64.0.0/10", "a carrier's shared address"},
    {"127.0.0.0/8", "a loopback address"},
    {"169.254.0.0/16", "a link-local address"},
    {"172.16.0.0/12", "a private address"},
    {"192.0.0.0/24", "a reserved address"},
    {"192.0.2.0/24", "an address for documentation"},
    {"192.88.99.0/24", "a 6to4 relay"},
    {"192.168.0.0/16", "a private address"},
    {"198.18.0.0/15", "an address for benchmarks"},
    {"198.51.100.0/24", "an address for documentation"},
    {"203.0.113.0/24", "an address for documentation"},
    {"224.0.0.0/4", "a multicast address"},
    {"255.255.255.255/32", "the broadcast address"},
    {"240.0.0.0/4", "a reserved address"},
};

// The first that matches names it. Only 2000::/3 is given out for the open
// internet: last_resort is for the rest.
static const struct row denied_v6[] = {
    {"::/128", "an address of this host"},
    {"::1/128", "a loopback address"},
    {"::ffff:0:0/96", "an IPv4-mapped address"},
    {"::/96", "an IPv4-compatible address"},
    {"64:ff9b::/96", "a NAT64 address"},
    {"64:ff9b:1::/48", "a NAT64 address"},
    {"2001::/32", "a Teredo address"},
    {"2001::/23", "a reserved address"},
    {"2001:db8::/32", "an address for documentation"},
    {"2002::/16", "a 6to4 address"},
    {"3fff::/20", "an address for documentation"},
    {"fc00::/7", "a private address"},
    {"fe80::/10", "a link-local address"},
    {"fec0::/10", "a private address"},
    {"ff00::/8", "a multicast address"},
};
static const char last_resort[] = "a reserved address";

// Where clouds answer whoever asks with credentials or secrets of the machine.
static const struct row metadata[] = {
    {"169.254.169.254/32", "a cloud's metadata address"}, // nearly all
    {"169.254.170.2/32", "a cloud's metadata address"},   // AWS: ECS
    {"169.254.170.23/32", "a cloud's metadata address"},  // AWS: EKS
    {"169.254.0.23/32", "a cloud's metadata address"},    // Tencent
    {"100.100.100.200/32", "a cloud's metadata address"}, // Alibaba
    {"168.63.129.16/32", "a cloud's metadata address"},   // Azure
    {"192.0.0.192/32", "a cloud's metadata address"},     // Oracle
    {"fd00:ec2::254/128", "a cloud's metadata address"},  // AWS
    {"fd00:ec2::23/128", "a cloud's metadata address"},   // AWS: EKS
    {"fd20:ce::254/128", "a cloud's metadata address"},   // Google
};

#define LEN(rows) (sizeof(rows) / sizeof(*(rows)))

struct address_policy {
    // The rows above, read.
    struct net denied_v4[LEN(denied_v4)];
    struct net denied_v6[LEN(denied_v6)];
    struct net metadata[LEN(metadata)];
    struct net *allowed;
    size_t allowed_len;
};

static unsigned
family_bits(sa_family_t family)
{
    return family == AF_INET ? 32 : 128;
}

static bool
has_bits_beyond(const struct net *net)
{
    for (unsigned bit = net->bits; bit < family_bits(net->family); bit++) {
        if (net->bytes[bit / 8] & (0x80 >> bit % 8))
            return true;
    }
    return false;
}

// Returns NULL, or what is wrong.
static const char *
parse_net(const char *text, struct net *out_net)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    struct net net = {.family = AF_INET};

    if (len == 0 || len >= sizeof(address))
        return "not an address or network (10.0.0.0/8, fd00::/8, 192.0.2.7)";
    memcpy(address, text, len);
    address[len] = '\0';
    if (strchr(address, ':'))
        net.family = AF_INET6;
    if (inet_pton(net.family, address, net.bytes) != 1)
        return "not an address or network (10.0.0.0/8, fd00::/8, 192.0.2.7)";
    net.bits = family_bits(net.family);
    if (slash) {
        char *end;
        unsigned long bits = strtoul(slash + 1, &end, 10);

        if (slash[1] < '0' || slash[1] > '9' || *end || bits > net.bits)
            return "the length of its prefix is no number in range";
        net.bits = (unsigned)bits;
    }
    if (has_bits_beyond(&net))
        return "it has bits set beyond its prefix: write the network's first "
               "address";
    *out_net = net;
    return NULL;
}

static bool
contains(const struct net *net, const struct net *address)
{
    unsigned whole = net->bits / 8;
    unsigned rest = net->bits % 8;
    unsigned char mask = (unsigned char)(0xff00 >> rest);

    if (net->family != address->family ||
        memcmp(net->bytes, address->bytes, whole) != 0)
        return false;
    return !rest || !((net->bytes[whole] ^ address->bytes[whole]) & mask);
}

// What the row says that contains the address, or NULL.
static const char *
find_row(const struct row *rows, const struct net *nets, size_t len,
         const struct net *address)
{
    for (size_t i = 0; i < len; i++) {
        if (contains(&nets[i], address))
            return rows[i].what;
    }
    return NULL;
}

static bool
is_allowed(const struct address_policy *policy, const struct net *address,
           unsigned bits_min)
{
    for (size_t i = 0; i < policy->allowed_len; i++) {
        if (policy->allowed[i].bits >= bits_min &&
            contains(&policy->allowed[i], address))
            return true;
    }
    return false;
}

// The address itself, whatever it may embed.
static const char *
refusal_of_one(const struct address_policy *policy, const struct net *address)
{
    static const struct net global = {
        .family = AF_INET6, .bytes = {0x20}, .bits = 3};
    bool is_v4 = address->family == AF_INET;
    const char *what =
        find_row(metadata, policy->metadata, LEN(metadata), address);

    if (what)
        return is_allowed(policy, address, family_bits(address->family)) ? NULL
                                                                         : what;
    what =
        is_v4 ? find_row(denied_v4, policy->denied_v4, LEN(denied_v4), address)
              : find_row(denied_v6, policy->denied_v6, LEN(denied_v6), address);
    if (!what && !is_v4 && !contains(&global, address))
        what = last_resort;
    if (what && is_allowed(policy, address, 0))
        return NULL;
    return what;
}

// The IPv4 addresses that an IPv6 address leads to, by the forms that put them
// at a known place. Returns how many.
static size_t
embedded_in(const struct net *address, struct net out_embedded[2])
{
    static const struct {
        struct net net;
        size_t at;
        unsigned char mask;
    } forms[] = {
        {{AF_INET6, {[10] = 0xff, [11] = 0xff}, 96}, 12, 0}, // mapped
        {{AF_INET6, {0}, 96}, 12, 0},                        // compatible
        {{AF_INET6, {0x00, 0x64, 0xff, 0x9b}, 96}, 12, 0},   // NAT64
        {{AF_INET6, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48}, 12, 0},
        {{AF_INET6, {0x20, 0x02}, 16}, 2, 0},     // 6to4
        {{AF_INET6, {0x20, 0x01}, 32}, 4, 0},     // Teredo: the server ...
        {{AF_INET6, {0x20, 0x01}, 32}, 12, 0xff}, // ... and the client
    };
    static const struct net loopback = {AF_INET6, {[15] = 1}, 128};
    static const struct net unspecified = {AF_INET6, {0}, 128};
    size_t len = 0;

    if (contains(&loopback, address) || contains(&unspecified, address))
        return 0; // of the form of compatible ones, but they embed none
    for (size_t i = 0; i < LEN(forms) && len < 2; i++) {
        struct net *out = &out_embedded[len];

        if (!contains(&forms[i].net, address))
            continue;
        *out = (struct net){.family = AF_INET, .bits = 32};
        for (size_t k = 0; k < 4; k++)
            out->bytes[k] = address->bytes[forms[i].at + k] ^ forms[i].mask;
        len++;
    }
    return len;
}

static bool
to_net(const struct sockaddr *address, struct net *out_net)
{
    struct net net = {.family = address->sa_family};

    net.bits = family_bits(net.family);
    if (address->sa_family == AF_INET)
        memcpy(net.bytes,
               &((const struct sockaddr_in *)(const void *)address)->sin_addr,
               4);
    else if (address->sa_family == AF_INET6)
        memcpy(net.bytes,
               &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
               16);
    else
        return false;
    *out_net = net;
    return true;
}

const char *
address_policy_refusal(const struct address_policy *policy,
                       const struct sockaddr *address)
{
    struct net net, embedded[2];
    const char *what;
    size_t len;

    if (!policy)
        return NULL;
    if (!to_net(address, &net))
        return "not an internet address";
    what = refusal_of_one(policy, &net);
    len = !what && net.family == AF_INET6 ? embedded_in(&net, embedded) : 0;
    for (size_t i = 0; i < len && !what; i++)
        what = refusal_of_one(policy, &embedded[i]);
    return what;
}

static void
read_rows(const struct row *rows, size_t len, struct net *out_nets)
{
    for (size_t i = 0; i < len; i++) {
        const char *why = parse_net(rows[i].net, &out_nets[i]);

        assert(!why);
        (void)why;
    }
}

int
address_policy_new(const struct conf_list *allowed,
                   struct address_policy **out_policy, const char **out_bad,
                   const char **out_why)
{
    struct address_policy *policy = calloc(1, sizeof(*policy));
    int err = -ENOMEM;

    if (!policy)
        return -ENOMEM;
    read_rows(denied_v4, LEN(denied_v4), policy->denied_v4);
    read_rows(denied_v6, LEN(denied_v6), policy->denied_v6);
    read_rows(metadata, LEN(metadata), policy->metadata);
    policy->allowed = calloc(allowed->len + 1, sizeof(*policy->allowed));
    if (!policy->allowed)
        goto out;
    for (size_t i = 0; i < allowed->len; i++) {
        const char *why = parse_net(allowed->items[i], &policy->allowed[i]);

        if (why) {
            *out_bad = allowed->items[i];
            *out_why = why;
            err = -EINVAL;
            goto out;
        }
        policy->allowed_len++;
    }
    err = 0;

    *out_policy = policy;
    policy = NULL; // the caller's now
out:
    address_policy_free(&policy);
    return err;
}

void
address_policy_free(struct address_policy **policy)
{
    if (!*policy)
        return;
    free((*policy)->allowed);
    free(*policy);
    *policy = NULL;
}
