#include "common/list_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// draft-eastlake-fnv has these: a store of today must be read tomorrow.
static void
numbers_are_those_of_the_draft(void **state)
{
    (void)state;
    assert_true(fnv_add(FNV_EMPTY, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(fnv_add(FNV_EMPTY, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(fnv_add(FNV_EMPTY, "foobar", 6) ==
                UINT64_C(0x85944171f73967e8));
    assert_true(fnv_add(fnv_add(FNV_EMPTY, "foo", 3), "bar", 3) ==
                UINT64_C(0x85944171f73967e8));
}

static void
a_list_is_its_lines(void **state)
{
    const char *text = "http://a/\nhttp://b/\xff\n";
    uint64_t hash = LIST_HASH_EMPTY;

    (void)state;
    hash = list_hash_add(hash, "http://a/", 9);
    hash = list_hash_add(hash, "http://b/\xff", 10);
    assert_true(hash == fnv_add(FNV_EMPTY, text, strlen(text)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_draft),
        cmocka_unit_test(a_list_is_its_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
