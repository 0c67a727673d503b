// guard_tcp.c - what the kernel knows of a connection
//
// A file of its own: linux/tcp.h, which has the newer fields, and the C
// library's netinet/tcp.h, which libuv includes, cannot be in one.
#include "broker/guard.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int
guard_received(int fd, uint64_t *out_bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int waiting = 0;
    uint64_t received;

    memset(&info, 0, sizeof(info));
    // Order matters: bytes that come in between look as if they were held for
    // a moment, never the other way.
    if (ioctl(fd, FIONREAD, &waiting) != 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return -errno;
    received = (uint64_t)info.tcpi_bytes_received;
    *out_bytes =
        received > (uint64_t)waiting ? received - (uint64_t)waiting : 0;
    return 0;
}
