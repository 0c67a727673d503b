#include "common/cpus.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// More CPUs than Linux supports: where growing the mask is given up.
#define CPUS_MAX 65536

// One hierarchy that may hold a quota: where it is mounted and where in it this
// process is.
struct hierarchy {
    bool is_v2;
    char mount[PATH_MAX]; // its mount point, root included
    char top[PATH_MAX];   // which part of the hierarchy is mounted there
};

// Reads the first line of dir/name. Returns false when there is none.
static bool
read_line(const char *dir, const char *name, char *buf, size_t size)
{
    char path[PATH_MAX + 64];
    FILE *file;
    bool is_read;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return false;
    file = fopen(path, "re");
    if (!file)
        return false;
    is_read = fgets(buf, (int)size, file) != NULL;
    (void)fclose(file); // only read from
    return is_read;
}

// The quota of one group, in CPUs rounded up; INT_MAX when it has none.
static int
quota_of(const struct hierarchy *at, const char *dir)
{
    char line[128];
    int64_t quota = 0;
    int64_t period = 0;
    int64_t cpus;

    if (at->is_v2) {
        // "max 100000" does not scan, which is just right.
        if (!read_line(dir, "cpu.max", line, sizeof(line)) ||
            sscanf(line, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
            return INT_MAX;
    } else {
        if (!read_line(dir, "cpu.cfs_quota_us", line, sizeof(line)) ||
            sscanf(line, "%" SCNd64, &quota) != 1 ||
            !read_line(dir, "cpu.cfs_period_us", line, sizeof(line)) ||
            sscanf(line, "%" SCNd64, &period) != 1)
            return INT_MAX;
    }
    if (quota <= 0 || period <= 0) // v1 says -1 for none
        return INT_MAX;
    cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

// True when path is dir or lies below it.
static bool
is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 &&
           (path[len] == '\0' || path[len] == '/');
}

// The smallest quota from the process's own group up to the mount point.
static int
quota_along(const struct hierarchy *at, const char *group)
{
    char dir[2 * PATH_MAX];
    size_t mount_len = strlen(at->mount);
    const char *below = "";
    int least = INT_MAX;

    // A container sees its own part of the tree as the mount point: what
    // /proc calls /docker/1234 is the mount point itself then. A group outside
    // of what is mounted cannot be read; the mount point is the best guess.
    if (strcmp(at->top, "/") == 0)
        below = group;
    else if (is_below(group, at->top))
        below = group + strlen(at->top);
    if (strcmp(below, "/") == 0 || strstr(below, "/.."))
        below = "";
    if (snprintf(dir, sizeof(dir), "%s%s", at->mount, below) >=
        (int)sizeof(dir))
        return INT_MAX;
    for (;;) {
        int quota = quota_of(at, dir);
        char *slash;

        if (quota < least)
            least = quota;
        slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < mount_len)
            return least;
        *slash = '\0';
    }
}

// True when list ("cpu,cpuacct") has the word cpu.
static bool
has_cpu(const char *list)
{
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, "cpu", 3) == 0 && strchr(", \n", p[3]))
            return true;
    }
    return false;
}

// mountinfo writes blanks and backslashes as \ooo.
static void
unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
            p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
            *to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + p[3] - '0');
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

// Reads one line of mountinfo. Returns false when it is not the hierarchy asked
// for.
static bool
parse_mount(char *line, const char *root, bool is_v2, struct hierarchy *out_at)
{
    // 31 23 0:28 TOP MOUNT options [tags] - TYPE source super-options
    char *rest = NULL;
    char *tail = strstr(line, " - ");
    const char *top;
    const char *mount;
    const char *type;
    const char *super;

    if (!tail)
        return false;
    *tail = '\0';
    (void)strtok_r(line, " ", &rest);
    (void)strtok_r(NULL, " ", &rest);
    (void)strtok_r(NULL, " ", &rest);
    top = strtok_r(NULL, " ", &rest);
    mount = strtok_r(NULL, " ", &rest);
    rest = NULL;
    type = strtok_r(tail + 3, " ", &rest);
    (void)strtok_r(NULL, " ", &rest);
    super = strtok_r(NULL, " \n", &rest);
    if (!top || !mount || !type || !super)
        return false;
    if (strcmp(type, is_v2 ? "cgroup2" : "cgroup") != 0)
        return false;
    if (!is_v2 && !has_cpu(super))
        return false;
    out_at->is_v2 = is_v2;
    if (snprintf(out_at->top, sizeof(out_at->top), "%s", top) >=
            (int)sizeof(out_at->top) ||
        snprintf(out_at->mount, sizeof(out_at->mount), "%s%s", root, mount) >=
            (int)sizeof(out_at->mount))
        return false;
    unescape(out_at->top);
    unescape(out_at->mount + strlen(root));
    return true;
}

static bool
find_hierarchy(const char *root, bool is_v2, struct hierarchy *out_at)
{
    char path[PATH_MAX];
    char *line = NULL;
    size_t size = 0;
    bool is_found = false;
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root) >=
        (int)sizeof(path))
        return false;
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!is_found && getline(&line, &size, file) > 0)
        is_found = parse_mount(line, root, is_v2, out_at);
    free(line);
    (void)fclose(file); // only read from
    return is_found;
}

// The quota that one line of /proc/self/cgroup leads to.
static int
quota_of_line(const char *root, char *line)
{
    // "0::/group" is v2, "4:cpu,cpuacct:/group" v1.
    struct hierarchy at;
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    bool is_v2;

    if (!group)
        return INT_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    is_v2 = *controllers == '\0';
    if (!is_v2 && !has_cpu(controllers))
        return INT_MAX;
    if (!find_hierarchy(root, is_v2, &at))
        return INT_MAX;
    return quota_along(&at, group);
}

int
cpus_usable_under(const char *root, int affinity)
{
    char path[PATH_MAX];
    char *line = NULL;
    size_t size = 0;
    int least = affinity;
    FILE *file = NULL;

    if (snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) <
        (int)sizeof(path))
        file = fopen(path, "re");
    while (file && getline(&line, &size, file) > 0) {
        int quota = quota_of_line(root, line);

        if (quota < least)
            least = quota;
    }
    free(line);
    if (file)
        (void)fclose(file); // only read from
    return least < 1 ? 1 : least;
}

// CPUs in the affinity mask; it may be wider than cpu_set_t on large machines.
static int
affinity_count(void)
{
    long online;

    for (size_t cpus = 1024; cpus <= CPUS_MAX; cpus *= 2) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = CPU_ALLOC(cpus);
        int count = -1;
        int err = 0;

        if (!set)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        else
            err = errno;
        CPU_FREE(set);
        if (count > 0)
            return count;
        if (err != EINVAL)
            break;
    }
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (int)online;
}

int
cpus_usable(void)
{
    return cpus_usable_under("", affinity_count());
}
