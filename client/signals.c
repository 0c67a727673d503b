#include "client/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
signals_open(void)
{
    sigset_t set;
    int err;
    int fd;

    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    (void)sigemptyset(&set); // valid numbers: cannot fail
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    err = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (err)
        return -err;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int
signals_take(int fd)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}
