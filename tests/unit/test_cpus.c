// test_cpus.c - quotas of made-up machines under a temporary root
#include "common/cpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above.
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

// Writes text to a file below the root and makes the folders on the way.
static void
put(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    assert_true(snprintf(path, sizeof(path), "%s%s", root, name) <
                (int)sizeof(path));
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *p = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int
make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/test_cpus.XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int
remove_entry(const char *path, const struct stat *st, int flag,
             struct FTW *place)
{
    (void)st, (void)flag, (void)place;
    return remove(path);
}

static int
remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char v2_mount[] =
    "22 1 0:20 / /proc rw - proc proc rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

static void
test_no_cgroup(void **state)
{
    (void)state;
    assert_int_equal(cpus_usable_under(root, 6), 6);
    assert_int_equal(cpus_usable_under(root, 0), 1);
    assert_int_equal(cpus_usable_under("/nowhere/at/all", 3), 3);
}

static void
test_v2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/self/mountinfo", v2_mount);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 8);
    put("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 4);
    assert_int_equal(cpus_usable_under(root, 2), 2); // the mask is narrower
    put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 2); // rounded up
    put("/sys/fs/cgroup/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 1);
}

static void
test_v2_ancestors_count(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", v2_mount);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "700000 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 3);
    // A container's own view: its group's file stands at the mount point.
    put("/sys/fs/cgroup/cpu.max", "100000 50000\n");
    assert_int_equal(cpus_usable_under(root, 8), 2);
}

static void
test_v2_part_of_the_tree_is_mounted(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/12/x\n");
    put("/proc/self/mountinfo",
        "31 23 0:28 /docker/12 /cg\\040roup rw - cgroup2 cgroup2 rw\n");
    put("/cg roup/x/cpu.max", "500000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 5);
    put("/cg roup/cpu.max", "400000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 4);
    // A group whose name merely begins like the mounted one, or lies above.
    put("/proc/self/cgroup", "0::/docker/123/x\n");
    put("/cg roup/x/cpu.max", "100000 100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 4);
    put("/proc/self/cgroup", "0::/../../x\n");
    assert_int_equal(cpus_usable_under(root, 8), 4);
}

static void
test_v1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "9:name=systemd:/\n8:cpuset:/\n"
                             "4:cpuacct,cpu:/pod/1\n0::/\n");
    put("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
    put("/sys/fs/cgroup/cpu/pod/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/pod/1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpus_usable_under(root, 8), 8);
    put("/sys/fs/cgroup/cpu/pod/1/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(cpus_usable_under(root, 8), 3);
    put("/sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "20000\n");
    put("/sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", "10000\n");
    assert_int_equal(cpus_usable_under(root, 8), 2);
}

static void
test_nonsense(void **state)
{
    static const char *const quotas[] = {
        "", "\n", "x y\n", "0 100000\n", "100000 0\n", "-5 -5\n", "100000\n",
    };
    static const char *const groups[] = {
        "", "\n", "0\n", "0:\n", "::\n", "0::", "0::a\n", "cpu\n", "1:cpu:\n",
    };
    static const char *const mounts[] = {
        "",
        " - \n",
        "31 23 0:28 / /cg rw - cgroup2\n",
        "31 - cgroup2 cgroup2 rw\n",
        "- cgroup2 cgroup2 rw\n",
    };

    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", v2_mount);
    for (size_t i = 0; i < sizeof(quotas) / sizeof(*quotas); i++) {
        put("/sys/fs/cgroup/a/cpu.max", quotas[i]);
        assert_int_equal(cpus_usable_under(root, 8), 8);
    }
    put("/sys/fs/cgroup/a/cpu.max", "9223372036854775807 1\n");
    assert_int_equal(cpus_usable_under(root, 8), 8);
    put("/sys/fs/cgroup/a/cpu.max", "max 1\n");
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        put("/proc/self/cgroup", groups[i]);
        assert_int_equal(cpus_usable_under(root, 8), 8);
    }
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/a/cpu.max", "1 1\n");
    for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
        put("/proc/self/mountinfo", mounts[i]);
        assert_int_equal(cpus_usable_under(root, 8), 8);
    }
}

static void
test_here(void **state)
{
    int cpus = cpus_usable();

    (void)state;
    assert_in_range(cpus, 1, (uintmax_t)sysconf(_SC_NPROCESSORS_CONF));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, make_root, remove_root)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_no_cgroup),
        CASE(test_v2),
        CASE(test_v2_ancestors_count),
        CASE(test_v2_part_of_the_tree_is_mounted),
        CASE(test_v1),
        CASE(test_nonsense),
        cmocka_unit_test(test_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
