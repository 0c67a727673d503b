// alloc_hook.h - fails the n-th allocation of our own code
//
// For programs linked with -Wl,--wrap= for each function below (see
// alloc_test() in tests/CMakeLists.txt): only what our objects call goes
// through here, not what libzmq, SQLite or libc do by themselves. A thread can
// exempt itself: the one that plays the other side.
#ifndef TESTS_UNIT_ALLOC_HOOK_H
#define TESTS_UNIT_ALLOC_HOOK_H
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t len, size_t size);
void *__real_realloc(void *at, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t len, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
int __wrap_asprintf(char **out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static _Atomic unsigned alloc_count;  // since alloc_arm()
static _Atomic unsigned alloc_nth;    // which one fails; 0: none
static void *_Atomic alloc_failed_at; // its caller; NULL: none failed
static _Thread_local bool alloc_is_exempt;
// What threads allocate comes in no fixed order: count one by one. The store's
// thread, or every one but it.
static _Atomic bool alloc_of_store;

extern const char __executable_start[];

static inline void
alloc_arm(unsigned nth)
{
    atomic_store(&alloc_count, 0);
    atomic_store(&alloc_failed_at, NULL);
    atomic_store(&alloc_nth, nth);
}

// Fails no more. Returns true when one has failed.
static inline bool
alloc_disarm(void)
{
    atomic_store(&alloc_nth, 0);
    return atomic_load(&alloc_failed_at) != NULL;
}

// For addr2line -fie PROGRAM: where the one that failed was asked for.
static inline void
alloc_tell(const char *what)
{
    const char *at = atomic_load(&alloc_failed_at);

    if (at)
        (void)fprintf(stderr, "%s: allocation %u failed at 0x%zx\n", what,
                      atomic_load(&alloc_nth),
                      (size_t)(at - __executable_start - 1));
}

static inline bool
alloc_fails(void *caller)
{
    unsigned nth = atomic_load(&alloc_nth);
    char name[16];

    if (!nth || alloc_is_exempt ||
        pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        (strcmp(name, "store") == 0) != atomic_load(&alloc_of_store) ||
        atomic_fetch_add(&alloc_count, 1) + 1 != nth)
        return false;
    atomic_store(&alloc_failed_at, caller);
    if (getenv("ALLOC_TELL"))
        alloc_tell("told");
    return true;
}

#define ALLOC_FAILS() alloc_fails(__builtin_return_address(0))

void *
__wrap_malloc(size_t size)
{
    return ALLOC_FAILS() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t len, size_t size)
{
    return ALLOC_FAILS() ? NULL : __real_calloc(len, size);
}

void *
__wrap_realloc(void *at, size_t size)
{
    return ALLOC_FAILS() ? NULL : __real_realloc(at, size);
}

char *
__wrap_strdup(const char *text)
{
    return ALLOC_FAILS() ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t len)
{
    return ALLOC_FAILS() ? NULL : __real_strndup(text, len);
}

int
__wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    int len;

    if (ALLOC_FAILS()) {
        *out = NULL; // glibc leaves it undefined
        return -1;
    }
    va_start(args, format);
    len = vasprintf(out, format, args);
    va_end(args);
    return len;
}

#endif
