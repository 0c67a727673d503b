// faulty_disk: writes, fsyncs and truncations that fail when a test says so
//
// A library for LD_PRELOAD (build target faulty_disk), or a source of a test
// program that is to fail by itself. It does nothing unless FAULTY_DISK names a
// control file. That file is looked at before every call, so a test can switch
// faults on and off while a program runs. No such file, or an empty one: no
// faults. Replace it with rename(), so that nobody reads half of it.
//
// A rule a line; the first that fits a call decides:
//
//   CALLS ERROR NAME [SKIP [COUNT]]
//
//   CALLS  write, sync or truncate, or several: write,sync
//   ERROR  ENOSPC, EIO or EDQUOT; or KILL: the process dies there (SIGKILL); or
//          HANG: the call waits until the control file is gone, and then works
//   NAME   how the file's path ends: store.db-wal
//   SKIP   so many calls that fit are let through first (0)
//   COUNT  so many fail after that, then none any more (all)
//
//   export LD_PRELOAD=build/tests/libfaulty_disk.so FAULTY_DISK=/tmp/x/faults
//   urlsum-broker --store /tmp/x/store.db &
//   echo 'write ENOSPC .db-wal' >/tmp/x/new && mv /tmp/x/new /tmp/x/faults
//   ... the store refuses ...
//   rm /tmp/x/faults
//
// Counting begins anew when the control file changes.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define RULES_MAX 16
#define HANG (-1)

enum call { CALL_WRITE = 1, CALL_SYNC = 2, CALL_TRUNCATE = 4 };

struct rule {
    int calls, error; // error 0: KILL; or HANG
    char name[256];
    uint64_t skip, count;
};

static struct {
    pthread_mutex_t lock;
    struct stat seen;
    struct rule rules[RULES_MAX];
    size_t len;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int
number_of_error(const char *name)
{
    return strcmp(name, "KILL") == 0     ? 0
           : strcmp(name, "HANG") == 0   ? HANG
           : strcmp(name, "ENOSPC") == 0 ? ENOSPC
           : strcmp(name, "EDQUOT") == 0 ? EDQUOT
                                         : EIO;
}

static void
read_rules(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512], calls[64], error[16];

    faults.len = 0;
    while (file && faults.len < RULES_MAX &&
           fgets(line, sizeof(line), file) != NULL) {
        struct rule *rule = &faults.rules[faults.len];
        unsigned long long skip = 0, count = UINT64_MAX;

        if (sscanf(line, "%63s %15s %255s %llu %llu", calls, error, rule->name,
                   &skip, &count) < 3)
            continue;
        rule->calls = (strstr(calls, "write") ? CALL_WRITE : 0) |
                      (strstr(calls, "sync") ? CALL_SYNC : 0) |
                      (strstr(calls, "truncate") ? CALL_TRUNCATE : 0);
        rule->error = number_of_error(error);
        rule->skip = skip;
        rule->count = count;
        faults.len++;
    }
    if (file)
        (void)fclose(file);
}

static void
look_at_rules(const char *path)
{
    struct stat now;

    if (stat(path, &now) != 0)
        memset(&now, 0, sizeof(now));
    if (now.st_ino == faults.seen.st_ino &&
        now.st_size == faults.seen.st_size &&
        now.st_mtim.tv_sec == faults.seen.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == faults.seen.st_mtim.tv_nsec)
        return;
    faults.seen = now;
    read_rules(path);
}

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

// Whether the call is to fail; errno says how.
static bool
fails(enum call call, int fd)
{
    const char *path = getenv("FAULTY_DISK");
    char link[64], name[4096];
    bool is_fault = false;
    int old = errno;
    ssize_t len;

    if (!path)
        return false;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    (void)pthread_mutex_lock(&faults.lock);
    look_at_rules(path);
    len = faults.len > 0 ? readlink(link, name, sizeof(name) - 1) : -1;
    name[len > 0 ? len : 0] = '\0';
    for (size_t i = 0; i < faults.len && len > 0; i++) {
        struct rule *rule = &faults.rules[i];

        if (!(rule->calls & (int)call) || !ends_with(name, rule->name))
            continue;
        if (rule->skip > 0) {
            rule->skip--;
        } else if (rule->count > 0) {
            rule->count--;
            is_fault = true;
            if (rule->error == 0)
                (void)raise(SIGKILL);
            old = rule->error;
        }
        break;
    }
    (void)pthread_mutex_unlock(&faults.lock);
    if (is_fault && old == HANG) { // other threads' calls go on meanwhile
        while (access(path, F_OK) == 0)
            (void)usleep(10000);
        return false;
    }
    errno = old;
    return is_fault;
}

// The function that ours stands in front of.
#define NEXT(name)                                                             \
    static __typeof__(&name) next;                                             \
    if (!next)                                                                 \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

ssize_t
write(int fd, const void *data, size_t len)
{
    NEXT(write);
    return fails(CALL_WRITE, fd) ? -1 : next(fd, data, len);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
    NEXT(pwrite);
    return fails(CALL_WRITE, fd) ? -1 : next(fd, data, len, at);
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    NEXT(pwrite64);
    return fails(CALL_WRITE, fd) ? -1 : next(fd, data, len, at);
}

int
fsync(int fd)
{
    NEXT(fsync);
    return fails(CALL_SYNC, fd) ? -1 : next(fd);
}

int
fdatasync(int fd)
{
    NEXT(fdatasync);
    return fails(CALL_SYNC, fd) ? -1 : next(fd);
}

int
ftruncate(int fd, off_t size)
{
    NEXT(ftruncate);
    return fails(CALL_TRUNCATE, fd) ? -1 : next(fd, size);
}

int
ftruncate64(int fd, off64_t size)
{
    NEXT(ftruncate64);
    return fails(CALL_TRUNCATE, fd) ? -1 : next(fd, size);
}
