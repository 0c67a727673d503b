#include "proto/fail.h"

#include <assert.h>
#include <stddef.h>

struct row {
    const char *name;
    bool soft;
    const char *meaning;
};

static const struct row rows[FAIL_COUNT] = {
#define X(number, symbol, name, soft, meaning) [number] = {name, soft, meaning},
    FAILS(X)
#undef X
};

bool
fail_is_known(uint64_t number)
{
    return number < FAIL_COUNT;
}

const char *
fail_name(enum fail fail)
{
    assert(fail < FAIL_COUNT);
    return rows[fail].name;
}

const char *
fail_meaning(enum fail fail)
{
    assert(fail < FAIL_COUNT);
    return rows[fail].meaning;
}

bool
fail_is_soft(enum fail fail, int http_status)
{
    assert(fail < FAIL_COUNT);
    if (fail != FAIL_HTTP)
        return rows[fail].soft;
    return http_status == 408 || http_status == 429 || http_status == 500 ||
           http_status == 502 || http_status == 503 || http_status == 504;
}
