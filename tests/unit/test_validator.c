// test_validator.c - strong validators and nothing else
#include "fetcher/validator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h> // needs those above

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define MINUTE_LATER "Sun, 06 Nov 1994 08:50:37 GMT"
#define SOONER "Sun, 06 Nov 1994 08:50:36 GMT"

static struct wire_bytes
bytes(const char *text)
{
    return (struct wire_bytes){text, text ? strlen(text) : 0};
}

static struct validator
chosen(const char *etag, const char *last_modified, const char *date)
{
    const struct validator_fields fields = {
        .etag = bytes(etag),
        .last_modified = bytes(last_modified),
        .date = bytes(date),
    };
    struct validator validator;

    validator_choose(&fields, &validator);
    return validator;
}

static void
test_etag(void **state)
{
    struct validator validator = chosen("\"a-1\"", MODIFIED, MINUTE_LATER);

    (void)state;
    assert_int_equal(validator.kind, VALIDATOR_ETAG);
    assert_string_equal(validator.text, "\"a-1\"");
    assert_int_equal(validator.len, 5);
    assert_int_equal(chosen("\"\"", NULL, NULL).kind, VALIDATOR_ETAG);
    assert_int_equal(chosen("\"\xe9\"", NULL, NULL).kind, VALIDATOR_ETAG);
}

static void
test_etags_that_are_none(void **state)
{
    static const char *const etags[] = {
        "W/\"a\"", "w/\"a\"",  "a",          "\"",      "\"a", "a\"",
        "",        "\"a\"b\"", "\"a\r\nb\"", "\"a b\"", "'a'", "\"\x7f\"",
    };

    (void)state;
    // Where there is an entity-tag of any kind, no date may stand in for it.
    for (size_t i = 0; i < sizeof(etags) / sizeof(*etags); i++) {
        if (chosen(etags[i], MODIFIED, MINUTE_LATER).kind != VALIDATOR_NONE)
            fail_msg("taken: %s", etags[i]);
    }
}

static void
test_length(void **state)
{
    char etag[VALIDATOR_BYTES_MAX + 2];

    (void)state;
    memset(etag, 'x', sizeof(etag));
    etag[0] = etag[VALIDATOR_BYTES_MAX - 1] = '"';
    etag[VALIDATOR_BYTES_MAX] = '\0';
    assert_int_equal(chosen(etag, NULL, NULL).kind, VALIDATOR_ETAG);
    etag[VALIDATOR_BYTES_MAX - 1] = 'x';
    etag[VALIDATOR_BYTES_MAX] = '"';
    etag[VALIDATOR_BYTES_MAX + 1] = '\0';
    assert_int_equal(chosen(etag, NULL, NULL).kind, VALIDATOR_NONE);
}

static void
test_date(void **state)
{
    struct validator validator = chosen(NULL, MODIFIED, MINUTE_LATER);

    (void)state;
    assert_int_equal(validator.kind, VALIDATOR_DATE);
    assert_string_equal(validator.text, MODIFIED);
    // Changed in the minute of the answer: it may change again within a second.
    assert_int_equal(chosen(NULL, MODIFIED, SOONER).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, MODIFIED, MODIFIED).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, MINUTE_LATER, MODIFIED).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, MODIFIED, NULL).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, NULL, MODIFIED).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, "yesterday", MODIFIED).kind, VALIDATOR_NONE);
    assert_int_equal(chosen(NULL, "", MODIFIED).kind, VALIDATOR_NONE);
    assert_int_equal(
        chosen(NULL, "Sun, 06 Nov 1994\t08:49:37 GMT", MINUTE_LATER).kind,
        VALIDATOR_NONE); // no control byte goes into a request
}

static bool
matches(const struct validator *validator, const char *etag,
        const char *last_modified)
{
    const struct validator_fields fields = {
        .etag = bytes(etag), .last_modified = bytes(last_modified)};

    return validator_matches(validator, &fields);
}

static void
test_matches(void **state)
{
    struct validator etag = chosen("\"a\"", NULL, NULL);
    struct validator date = chosen(NULL, MODIFIED, MINUTE_LATER);
    struct validator none = chosen(NULL, NULL, NULL);

    (void)state;
    assert_true(matches(&etag, "\"a\"", NULL));
    assert_true(matches(&etag, "\"a\"", MODIFIED));
    assert_false(matches(&etag, "\"b\"", NULL));
    assert_false(matches(&etag, "W/\"a\"", NULL)); // strong comparison
    assert_false(matches(&etag, "\"a\"b", NULL));
    assert_false(matches(&etag, NULL, NULL));
    assert_false(matches(&etag, "", NULL)); // unclear
    assert_true(matches(&date, NULL, MODIFIED));
    assert_false(matches(&date, NULL, MINUTE_LATER));
    assert_false(matches(&date, NULL, NULL));
    assert_false(matches(&date, "\"a\"", MODIFIED));
    assert_false(matches(&none, "\"a\"", MODIFIED));
    assert_false(matches(&none, NULL, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_etags_that_are_none),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_matches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
