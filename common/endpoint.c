#include "common/endpoint.h"

#include "common/limits.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char *
role_name(int default_port)
{
    switch (default_port) {
    case PORT_CLIENT:
        return "client";
    case PORT_FETCHER:
        return "fetcher";
    case PORT_HASHER:
        return "hasher";
    default:
        return NULL;
    }
}

// True for 1..65535 in digits, or "*" (any free port, for binding).
static bool
is_port(const char *text, size_t len)
{
    long port = 0;

    if (len == 1 && *text == '*')
        return true;
    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (text[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

// Host names, addresses, interfaces and "*"; no blanks, no path, no source
// address (ZeroMQ's "source;target").
static bool
is_host(const char *text, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= ' ' || c >= 0x7f || strchr("/\\;?#@[],\"'", c))
            return false;
    }
    return true;
}

// The end of the host, brackets included, of "HOST", "[V6]", "HOST:PORT" and so
// on; *out_port is NULL when none is said. Returns NULL for what is none of
// these.
static const char *
find_host_end(const char *text, const char **out_port)
{
    const char *host = text, *host_end, *rest;

    if (*host == '[') {
        host_end = strchr(++host, ']');
        if (!host_end)
            return NULL;
        rest = host_end + 1;
    } else {
        host_end = rest = host + strcspn(host, ":");
    }
    if (!is_host(host, (size_t)(host_end - host)) || (*rest && *rest != ':'))
        return NULL;
    // A second colon is an IPv6 address without brackets, also refused.
    *out_port = *rest ? rest + 1 : NULL;
    if (*out_port && !is_port(*out_port, strlen(*out_port)))
        return NULL;
    return rest - text < ENDPOINT_MAX ? rest : NULL;
}

// host is what stands after tcp://.
static int
resolve_tcp(const char *host, int default_port, char *out_endpoint)
{
    const char *port, *host_end = find_host_end(host, &port);
    int host_len, len;

    if (!host_end)
        return -EINVAL;
    host_len = (int)(host_end - host);
    if (port)
        len = snprintf(out_endpoint, ENDPOINT_MAX, "tcp://%.*s:%s", host_len,
                       host, port);
    else
        len = snprintf(out_endpoint, ENDPOINT_MAX, "tcp://%.*s:%d", host_len,
                       host, default_port);
    return len < ENDPOINT_MAX ? 0 : -EINVAL;
}

int
endpoint_split(const char *text, int default_port, char out_host[ENDPOINT_MAX],
               char out_port[6])
{
    const char *port, *host_end = find_host_end(text, &port);
    bool has_brackets = *text == '[';

    if (!host_end || (port && *port == '*'))
        return -EINVAL;
    (void)snprintf(out_host, ENDPOINT_MAX, "%.*s",
                   (int)(host_end - text) - (has_brackets ? 2 : 0),
                   text + has_brackets);
    if (port)
        (void)snprintf(out_port, 6, "%s", port);
    else
        (void)snprintf(out_port, 6, "%u", (unsigned)default_port % 65536U);
    return 0;
}

static int
resolve_ipc(const char *path, const char *role, char *out_endpoint)
{
    // sun_path, its end included, is the kernel's limit; a longer path would
    // fail at bind with a far less clear word.
    size_t path_max = sizeof(((struct sockaddr_un *)0)->sun_path);
    size_t len = strlen(path);
    bool is_folder = len > 0 && path[len - 1] == '/';
    size_t more = is_folder ? strlen(role) + strlen(".sock") : 0;

    if (len == 0 || len + more >= path_max)
        return -EINVAL;
    (void)snprintf(out_endpoint, ENDPOINT_MAX, "ipc://%s%s%s", path,
                   is_folder ? role : "", is_folder ? ".sock" : "");
    return 0;
}

int
endpoint_resolve(const char *text, int default_port,
                 char out_endpoint[ENDPOINT_MAX])
{
    const char *role = role_name(default_port);
    char endpoint[ENDPOINT_MAX];
    const char *rest;
    int err = -EINVAL;

    assert(role);
    if (strncmp(text, "ipc://", 6) == 0) {
        err = resolve_ipc(text + 6, role, endpoint);
    } else if (strncmp(text, "inproc://", 9) == 0) {
        rest = text + 9;
        if (*rest && snprintf(endpoint, sizeof(endpoint), "inproc://%s-%s",
                              rest, role) < (int)sizeof(endpoint))
            err = 0;
    } else if (strncmp(text, "tcp://", 6) == 0) {
        err = resolve_tcp(text + 6, default_port, endpoint);
    } else if (!strstr(text, "://")) {
        err = resolve_tcp(text, default_port, endpoint);
    }
    if (!err)
        memcpy(out_endpoint, endpoint, strlen(endpoint) + 1);
    return err;
}

bool
endpoint_is_ipv6(const char *endpoint)
{
    return strncmp(endpoint, "tcp://[", 7) == 0;
}

// True for an address of this machine that no other one can reach.
static bool
is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &v6) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&v6) ||
            (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET));
}

bool
endpoint_is_local(const char *endpoint)
{
    const char *at = endpoint + strlen("tcp://"), *end, *port;
    char host[ENDPOINT_MAX];
    bool has_brackets;

    if (strncmp(endpoint, "ipc://", 6) == 0 ||
        strncmp(endpoint, "inproc://", 9) == 0)
        return true;
    if (strncmp(endpoint, "tcp://", 6) != 0)
        return false;
    end = find_host_end(at, &port);
    if (!end)
        return false;
    has_brackets = *at == '[';
    (void)snprintf(host, sizeof(host), "%.*s",
                   (int)(end - at) - (has_brackets ? 2 : 0), at + has_brackets);
    return is_loopback(host);
}
