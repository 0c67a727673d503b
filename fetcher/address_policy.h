// address_policy.h - which addresses a fetcher may connect to
//
// A fetcher fetches what clients ask for, from where it stands: inside of some
// network, where a stranger's URL must not reach what only the inside can. So
// it connects to the open internet alone, unless --allow-net names more. The
// socket address decides, when the connection is made: no spelling of a URL, no
// DNS answer and no redirect leads around it. An IPv6 address that embeds an
// IPv4 address needs both to be allowed. Addresses under which clouds hand out
// credentials need to be named each by itself. Pure but for new and free; any
// thread.
#ifndef FETCHER_ADDRESS_POLICY_H
#define FETCHER_ADDRESS_POLICY_H
#include <stddef.h>

struct address_policy;
struct conf_list;
struct sockaddr;

// allowed: networks as the user wrote them, "10.0.0.0/8", "fd00::/8", or one
// address. Returns 0, -ENOMEM, or -EINVAL with *out_bad one of allowed's items
// and *out_why a clause, static. The caller owns *out_policy.
int address_policy_new(const struct conf_list *allowed,
                       struct address_policy **out_policy, const char **out_bad,
                       const char **out_why);
void address_policy_free(struct address_policy **policy);

// NULL when the policy lets through, otherwise what the address is, static: "a
// loopback address". A NULL policy lets everything through; no other lets
// through what is neither IPv4 nor IPv6.
const char *address_policy_refusal(const struct address_policy *policy,
                                   const struct sockaddr *address);

#endif
