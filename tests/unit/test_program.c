// The heap of a program that expects much.
#include "common/program.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// Their malloc() has no heap of this kind.
#ifdef __SANITIZE_ADDRESS__
#define IS_SANITIZED true
#elif defined(__has_feature)
#define IS_SANITIZED                                                           \
    (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_SANITIZED false
#endif
#define EXPECTED_BYTES ((size_t)64 * 1024 * 1024)

// Of the mapping with this address in /proc/self/smaps: whether it has the
// flag.
static bool
has_flag(const void *address, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    uintptr_t from, to;
    bool is_its = false, has = false;
    char line[512];

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            is_its = from <= (uintptr_t)address && (uintptr_t)address < to;
        else if (is_its && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    (void)fclose(maps);
    return has;
}

static void
test_expect_memory(void **state)
{
    char *from = sbrk(0);
    char *to;

    (void)state;
    program_keep_freed_memory();
    program_expect_memory(EXPECTED_BYTES);
    if (IS_SANITIZED)
        skip();
    to = sbrk(0);
    // What was free before counts as well.
    assert_true(to - from >= (ptrdiff_t)(EXPECTED_BYTES - 1024 * 1024));
    // Where the kernel has huge pages at all.
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0)
        assert_true(has_flag(from + EXPECTED_BYTES / 2, " hg"));

    // What is asked for now comes from there, and stays.
    for (int i = 0; i < 1000; i++) {
        void *volatile block = malloc(40000);

        assert_non_null(block);
        free(block);
    }
    assert_ptr_equal(sbrk(0), to);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_expect_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
