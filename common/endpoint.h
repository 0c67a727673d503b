// endpoint.h - ZeroMQ endpoints as users write them
//
// Any thread.
#ifndef COMMON_ENDPOINT_H
#define COMMON_ENDPOINT_H
#include <stdbool.h>
#include <stddef.h>

// Bytes of a resolved endpoint with its end; ipc paths are shorter (108).
#define ENDPOINT_MAX 300

// "tcp://host" and "host" get the role's default port, "tcp://host:9" stays;
// "ipc://path" and "inproc://name" stay, except that a broker named by an ipc
// path that ends in '/' gets "client.sock", "fetcher.sock" or "hasher.sock"
// appended, and inproc://NAME gets "-client" and so on, so that one value
// serves all roles. IPv6 in brackets. default_port is one of limits.h's.
// Returns 0 or -EINVAL (empty, unknown transport, bad port, too long).
int endpoint_resolve(const char *text, int default_port,
                     char out_endpoint[ENDPOINT_MAX]);

// "HOST:PORT", "HOST" (the default port) or the same with "[V6]" into its
// parts, without brackets. Returns 0 or -EINVAL.
int endpoint_split(const char *text, int default_port,
                   char out_host[ENDPOINT_MAX], char out_port[6]);

// True when nobody but this machine's own programs can connect to a resolved
// endpoint that is bound: ipc, inproc, and tcp with an address of 127.0.0.0/8
// or [::1]. Names are none, for what they stand for may change: also not
// interfaces' ("lo"), which may have further addresses.
bool endpoint_is_local(const char *endpoint);

// Whether a resolved endpoint is an IPv6 address, and so needs ZMQ_IPV6. Not
// for names by itself: with that option libzmq takes the first IPv6 address of
// a name and never one of its IPv4 addresses, so that "localhost" would miss a
// broker at 127.0.0.1.
bool endpoint_is_ipv6(const char *endpoint);

// What to write instead of an endpoint that endpoint_resolve() refuses.
#define ENDPOINT_FORMS                                                         \
    "not an endpoint: write tcp://HOST[:PORT], ipc:// and a path of at most "  \
    "107 bytes (unix(7)), or inproc://NAME"

#endif
