// dns.h - asks DNS servers and /etc/hosts for addresses, by c-ares on our loop
//
// Nothing is kept: the resolver (resolver.h) decides what is asked and when.
// Servers, search domains and options are those of /etc/resolv.conf, which is
// read again when it changes, or those of --dns-servers. Loop thread only.
#ifndef FETCHER_DNS_H
#define FETCHER_DNS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct dns;
struct loop;

// Addresses of one name that are kept; more are of no use to anyone.
#define DNS_ADDRESSES_MAX 32

enum dns_status {
    DNS_FOUND,  // addresses follow
    DNS_ABSENT, // the name, or any address of it, does not exist
    DNS_UNTOLD, // servers could not tell, or did not answer
    DNS_BROKEN, // we ran out of something
};

struct dns_address {
    sa_family_t family;
    unsigned char bytes[16]; // IPv4: the first four
};

struct dns_answer {
    enum dns_status status;
    const char *why;                     // one clause, static
    const struct dns_address *addresses; // in the order to try them
    size_t len;
    uint32_t ttl_s; // the shortest
    bool is_local;  // no server was asked: /etc/hosts, "localhost"
};

// The answer to one question. May come before dns_ask() returns, and never
// comes after dns_free() began.
typedef void dns_answer_fn(void *arg, void *token,
                           const struct dns_answer *answer);

// True for a list of servers: ADDRESS[:PORT],..., IPv6 in brackets where a port
// follows.
bool dns_servers_are_valid(const char *servers);

// servers: NULL for those of the system. timeout_ms: for how long a server is
// waited for at first; the second time around it is twice as long. Returns 0
// or a negative errno. The caller owns *out_dns; the loop must outlive it.
int dns_new(struct loop *loop, const char *servers, uint64_t timeout_ms,
            dns_answer_fn *on_answer, void *arg, struct dns **out_dns);
void dns_free(struct dns **dns);

// Asks for the addresses of a name, which is copied; NULL asks for the root's
// servers, which any working resolver knows: FOUND without addresses then.
// Returns 0 or -ENOMEM.
int dns_ask(struct dns *dns, const char *name, void *token);

// Time goes by: to be called several times a second while answers are due.
void dns_tick(struct dns *dns);

// The servers, for people. Returns text.
const char *dns_servers(const struct dns *dns, char *text, size_t room);

#endif
