// test_answer.c - header lines become values, and unclear ones stay unclear
#include "fetcher/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> // needs those above

static void
take(struct answer *answer, const char *line)
{
    struct wire_bytes name, value;

    if (answer_split(line, strlen(line), &name, &value))
        answer_add(answer, name, value);
}

static void
expect(const struct answer *answer, enum answer_field field, const char *value)
{
    struct wire_bytes got = answer_get(answer, field);

    if (!value) {
        assert_null(got.at);
        return;
    }
    assert_non_null(got.at);
    if (got.len != strlen(value) || memcmp(got.at, value, got.len) != 0)
        fail_msg("\"%.*s\" and not \"%s\"", (int)got.len, got.at, value);
}

static void
test_values(void **state)
{
    struct answer answer = {0};

    (void)state;
    take(&answer, "HTTP/1.1 200 OK\r\n");
    take(&answer, "ETag:  \t\"a\" \r\n");
    take(&answer, "last-modified:yesterday\n");
    take(&answer, "Content-Range: bytes 0-1/2");
    take(&answer, "Content-Rang: 1\r\n");
    take(&answer, "ETagX: 1\r\n");
    take(&answer, "ETag : \"b\"\r\n"); // no name has a blank
    take(&answer, ": nothing\r\n");
    take(&answer, "\r\n");
    expect(&answer, ANSWER_ETAG, "\"a\"");
    expect(&answer, ANSWER_LAST_MODIFIED, "yesterday");
    expect(&answer, ANSWER_CONTENT_RANGE, "bytes 0-1/2");
    expect(&answer, ANSWER_DATE, NULL);
    answer_reset(&answer);
    expect(&answer, ANSWER_ETAG, NULL);
    take(&answer, "Date:\r\n");
    expect(&answer, ANSWER_DATE, "");
    answer_fini(&answer);
}

static void
test_twice(void **state)
{
    struct answer answer = {0};

    (void)state;
    take(&answer, "ETag: \"a\"");
    take(&answer, "ETag: \"a\"");
    expect(&answer, ANSWER_ETAG, "\"a\"");
    take(&answer, "ETag: \"b\"");
    expect(&answer, ANSWER_ETAG, "");
    take(&answer, "ETag: \"a\"");
    expect(&answer, ANSWER_ETAG, "");
    // Lists add up.
    take(&answer, "Content-Encoding: gzip");
    take(&answer, "Date: x");
    take(&answer, "content-encoding: br");
    expect(&answer, ANSWER_CONTENT_ENCODING, "gzip, br");
    take(&answer, "content-encoding:");
    take(&answer, "content-encoding: c");
    expect(&answer, ANSWER_CONTENT_ENCODING, "gzip, br, , c");
    for (unsigned i = 4; i < ANSWER_LINES_MAX; i++)
        take(&answer, "content-encoding: d");
    assert_int_not_equal(answer_get(&answer, ANSWER_CONTENT_ENCODING).len, 0);
    take(&answer, "content-encoding: d");
    expect(&answer, ANSWER_CONTENT_ENCODING, "");
    answer_fini(&answer);
}

static void
test_too_long(void **state)
{
    struct answer answer = {0};
    char value[WIRE_FACT_MAX + 1];
    struct wire_bytes name = {"etag", 4};

    (void)state;
    memset(value, 'x', sizeof(value));
    answer_add(&answer, name, (struct wire_bytes){value, WIRE_FACT_MAX});
    assert_int_equal(answer_get(&answer, ANSWER_ETAG).len, WIRE_FACT_MAX);
    answer_reset(&answer);
    answer_add(&answer, name, (struct wire_bytes){value, WIRE_FACT_MAX + 1});
    expect(&answer, ANSWER_ETAG, ""); // left out, not cut
    answer_fini(&answer);
}

static void
test_folded(void **state)
{
    struct answer answer = {0};

    (void)state;
    answer_add_folded(&answer); // of the first line: nothing's
    take(&answer, "ETag: \"a\"");
    take(&answer, "Date: x");
    answer_add_folded(&answer);
    take(&answer, "X: y");
    answer_add_folded(&answer); // of a field that is not looked at
    expect(&answer, ANSWER_DATE, "");
    expect(&answer, ANSWER_ETAG, "\"a\"");
    answer_fini(&answer);
}

static void
test_is(void **state)
{
    (void)state;
    assert_true(answer_is((struct wire_bytes){"NONE", 4}, "none"));
    assert_false(answer_is((struct wire_bytes){"NONE", 3}, "none"));
    assert_false(answer_is((struct wire_bytes){NULL, 0}, ""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_twice),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_folded),
        cmocka_unit_test(test_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
