/* scratch.h - folders for tests that write files
 *
 * Under TMPDIR, which tests/run sets to a file system in memory where there is
 * one: such tests commit thousands of times, and would wait for the disk.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/* Makes a folder for this test alone; its path goes to *path. 0 or -1 (errno;
 * also when the path does not fit). The test removes it. */
static inline int
scratch_folder(char *path, size_t size)
{
    const char *parent = getenv("TMPDIR");
    int len = snprintf(path, size, "%s/urlsum-unit-XXXXXX",
                       parent && *parent ? parent : "/tmp");

    if (len < 0 || (size_t)len >= size)
        return -1;
    return mkdtemp(path) ? 0 : -1;
}

#endif
