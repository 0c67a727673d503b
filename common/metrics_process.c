// What every program tells of itself, as Prometheus' own clients do.
#include "common/clock.h"
#include "common/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND_US UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)
// Of /proc/self/stat, whose numbering in proc(5) begins with 1: counted from
// its third field, the first behind the program's name, which may hold
// anything.
#define STAT_STARTTIME (22 - 3)
#define STAT_VSIZE (23 - 3)
#define STAT_RSS (24 - 3)
#define STAT_LEN (STAT_RSS + 1)

// Fields that are missing, or no numbers, are 0.
static void
read_stat(uint64_t fields[STAT_LEN])
{
    char text[1024] = "";
    FILE *file = fopen("/proc/self/stat", "re");
    char *at;

    memset(fields, 0, STAT_LEN * sizeof(*fields));
    if (!file)
        return;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    at = strrchr(text, ')');
    for (size_t i = 0; at && i < STAT_LEN; i++) {
        at = strchr(at + 1, ' ');
        if (at)
            (void)sscanf(at, "%" SCNu64, &fields[i]);
    }
}

static uint64_t
count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t len = 0;

    if (!dir)
        return 0;
    while (readdir(dir))
        len++;
    (void)closedir(dir);
    return len < 3 ? 0 : len - 3; // ".", ".." and the one that looks
}

// In milliseconds since 1970, from what the kernel counts since the machine
// started: sleep included, as CLOCK_BOOTTIME does.
static uint64_t
started_wall_ms(uint64_t start_ticks)
{
    struct timespec wall, boot;
    uint64_t wall_ns, boot_ns, start_ns;

    (void)clock_gettime(CLOCK_REALTIME, &wall); // neither can fail
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    wall_ns = (uint64_t)wall.tv_sec * SECOND_NS + (uint64_t)wall.tv_nsec;
    boot_ns = (uint64_t)boot.tv_sec * SECOND_NS + (uint64_t)boot.tv_nsec;
    start_ns = start_ticks * (SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK));
    return (wall_ns - boot_ns + start_ns) / 1000000;
}

static uint64_t
cpu_us(void)
{
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage); // cannot fail
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
               SECOND_US +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void
metrics_process(struct metrics_page *page, const char *program)
{
    // Only it changes when clocks are set; a constant is what readers expect.
    static _Atomic uint64_t started_ms;
    struct rlimit files = {0};
    uint64_t stat[STAT_LEN];

    read_stat(stat);
    if (!atomic_load(&started_ms))
        atomic_store(&started_ms, started_wall_ms(stat[STAT_STARTTIME]));
    (void)getrlimit(RLIMIT_NOFILE, &files); // cannot fail
    metrics_family(page, METRICS_GAUGE, "urlsum_build_info",
                   "Which program and version this is; always 1.");
    metrics_put(
        page, METRICS_LABELS("program", program, "version", URLSUM_VERSION), 1);
    metrics_family(page, METRICS_COUNTER, "process_cpu_seconds_total",
                   "Total user and system CPU time spent in seconds.");
    metrics_put_parts(page, NULL, cpu_us(), SECOND_US);
    metrics_gauge(page, "process_open_fds", "Number of open file descriptors.",
                  count_files());
    metrics_gauge(page, "process_max_fds",
                  "Maximum number of open file descriptors.",
                  (uint64_t)files.rlim_cur);
    metrics_gauge(page, "process_virtual_memory_bytes",
                  "Virtual memory size in bytes.", stat[STAT_VSIZE]);
    metrics_gauge(page, "process_resident_memory_bytes",
                  "Resident memory size in bytes.",
                  stat[STAT_RSS] * (uint64_t)sysconf(_SC_PAGESIZE));
    metrics_family(page, METRICS_GAUGE, "process_start_time_seconds",
                   "Start time of the process since unix epoch in seconds.");
    metrics_put_parts(page, NULL, atomic_load(&started_ms), 1000);
}
