#include "common/program.h"

#include "common/clock.h"
#include "common/conf.h"
#include "common/log_conf.h"
#include "common/loop.h"
#include "common/notify.h"
#include "common/role.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

// What is free at the heap's end up to which it stays, and by how much more
// than is wanted the heap grows.
#define HEAP_KEEPS_BYTES (16 * 1024 * 1024)
#define HEAP_PAD_BYTES (1024 * 1024)
// More than the heap has free at its end, less than what malloc() maps apart.
#define HEAP_GROWS_BYTES (3 * 1024 * 1024)

void
program_keep_freed_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEPS_BYTES);
    (void)mallopt(M_TOP_PAD, HEAP_PAD_BYTES);
#endif
}

void
program_expect_memory(size_t bytes)
{
#ifdef __GLIBC__
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)sbrk(0) + page - 1) / page * page;
    void *volatile block; // else the compiler leaves both calls out
    uintptr_t to;

    if (bytes > INT_MAX - HEAP_KEEPS_BYTES)
        bytes = INT_MAX - HEAP_KEEPS_BYTES;
    // The heap grows by more than is asked for, and what is free at its end
    // stays: so one block that is more than there is makes all of the room.
    (void)mallopt(M_TRIM_THRESHOLD, (int)bytes + HEAP_KEEPS_BYTES);
    (void)mallopt(M_TOP_PAD, (int)bytes);
    block = malloc(HEAP_GROWS_BYTES);
    free(block);
    (void)mallopt(M_TOP_PAD, HEAP_PAD_BYTES); // from then on as before
    to = (uintptr_t)sbrk(0) / page * page;
    if (to > from)
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
#else
    (void)bytes;
#endif
}

int
program_fill_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return -errno;
    }
    return 0;
}

// The service manager is told by main programs alone: an embedded role is no
// service.
static void
on_ready(void *arg)
{
    (void)arg;
    notify_send("READY=1");
}

static void
on_stopping(void *arg)
{
    (void)arg;
    notify_send("STOPPING=1");
}

static void
on_status(void *arg, const char *text)
{
    char line[NOTIFY_BYTES_MAX];

    (void)arg;
    (void)snprintf(line, sizeof(line), "STATUS=%s", text);
    notify_send(line);
}

static void
on_alive(void *arg)
{
    (void)arg;
    notify_send("WATCHDOG=1");
}

// Said when it is done: whoever waits for the end hears of it in time.
static void
on_reloaded(void *arg)
{
    char lines[NOTIFY_BYTES_MAX];

    (void)arg;
    (void)snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   clock_now_us());
    notify_send(lines);
    notify_send("READY=1");
}

int
program_main(const struct program_role *program, int argc, char **argv)
{
    struct role role;
    void *zmq = NULL;
    int first, code = 3;

    // A SIGTERM that comes before there is a loop to take it waits for it.
    loop_hold_stop_signals();
    if (program_fill_descriptors() != 0)
        return 3; // nobody can be told
    conf_parse(program->conf, argc, argv, program->config, &first);
    log_configure(program->log);
    program_keep_freed_memory();
    // A reload of what reads nothing again must not end a service.
    if (getenv("NOTIFY_SOCKET"))
        (void)signal(SIGHUP, SIG_IGN);
    zmq = zmq_ctx_new();
    if (!zmq) {
        (void)fprintf(stderr, "%s: no ZeroMQ context: %s\n",
                      program->conf->name, zmq_strerror(zmq_errno()));
        goto out;
    }
    if (program->io_threads)
        (void)zmq_ctx_set(zmq, ZMQ_IO_THREADS,
                          program->io_threads(program->config));
    role_init(&role, zmq, true);
    role.on_ready = on_ready;
    role.on_stopping = on_stopping;
    role.on_status = on_status;
    role.on_reloaded = on_reloaded;
    role.on_alive = on_alive;
    role.alive_ms = notify_watchdog_ms();
    code = program->run(program->config, &role);
    role_fini(&role);
out:
    if (zmq)
        (void)zmq_ctx_term(zmq);
    conf_fini(program->conf, program->config);
    return code;
}
