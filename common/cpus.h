// cpus.h - how many threads this process may really run at once
#ifndef COMMON_CPUS_H
#define COMMON_CPUS_H

// The smaller of the affinity mask and the cgroup's quota (cgroup v2 cpu.max,
// v1 cpu.cfs_quota_us; every ancestor counts), rounded up; at least 1. Any
// thread; reads files, so ask once.
int cpus_usable(void);

// The same for a machine whose root directory is root ("" for the real one) and
// whose affinity mask has affinity CPUs: for tests.
int cpus_usable_under(const char *root, int affinity);

#endif
