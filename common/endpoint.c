#include "common/endpoint.h"

#include "common/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
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

// host is what stands after tcp://.
static int
resolve_tcp(const char *host, int default_port, char *out_endpoint)
{
    const char *host_end;
    const char *port = NULL;
    size_t host_len;
    int len;

    if (*host == '[') {
        host_end = strchr(host, ']');
        if (!host_end || !is_host(host + 1, (size_t)(host_end - host - 1)))
            return -EINVAL;
        host_end++;
        if (*host_end != '\0' && *host_end != ':')
            return -EINVAL;
    } else {
        host_end = host + strcspn(host, ":");
        if (!is_host(host, (size_t)(host_end - host)))
            return -EINVAL;
    }
    if (*host_end == ':') {
        port = host_end + 1;
        // A second colon is an IPv6 address without brackets, also refused.
        if (!is_port(port, strlen(port)))
            return -EINVAL;
    }
    host_len = (size_t)(host_end - host);
    if (host_len >= ENDPOINT_MAX)
        return -EINVAL;
    if (port)
        len = snprintf(out_endpoint, ENDPOINT_MAX, "tcp://%.*s:%s",
                       (int)host_len, host, port);
    else
        len = snprintf(out_endpoint, ENDPOINT_MAX, "tcp://%.*s:%d",
                       (int)host_len, host, default_port);
    return len < ENDPOINT_MAX ? 0 : -EINVAL;
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
