#include "common/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

// The address that a text names: a path, or '@' and a name in Linux's abstract
// namespace. Returns its length, 0 for what is neither.
static socklen_t
read_address(const char *text, struct sockaddr_un *out_address)
{
    size_t len = strlen(text);

    if ((text[0] != '/' && text[0] != '@') || !text[1] ||
        len >= sizeof(out_address->sun_path))
        return 0;
    memset(out_address, 0, sizeof(*out_address));
    out_address->sun_family = AF_UNIX;
    memcpy(out_address->sun_path, text, len);
    if (text[0] == '@')
        out_address->sun_path[0] = '\0'; // the name has no end of its own
    else
        len++;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

// Reads a whole number that is all of text. False for anything else.
static bool
read_number(const char *text, uint64_t *out_number)
{
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *out_number = strtoull(text, &end, 10);
    return !errno && !*end;
}

uint64_t
notify_watchdog_ms(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t silence_us, whom;

    if (!getenv("NOTIFY_SOCKET") ||
        !read_number(getenv("WATCHDOG_USEC"), &silence_us))
        return 0;
    // Inherited from a parent that is watched: not us.
    if (pid && (!read_number(pid, &whom) || whom != (uint64_t)getpid()))
        return 0;
    // The least a timer can do; below it systemd's own limits are.
    return silence_us && silence_us < 2000 ? 1 : silence_us / 2000;
}

void
notify_send(const char *lines)
{
    // A manager that is busy for a moment is waited for, a stuck one is not.
    const struct timeval patience = {.tv_sec = 1};
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len = name ? read_address(name, &address) : 0;
    int fd;

    if (!len)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    (void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL,
                 (const struct sockaddr *)&address, len); // as promised
    (void)close(fd);
}
