// test_log_json.c - log lines as JSON: types from the format, nothing forged,
// nothing lost, cut where it must be and still an object
#include "common/log_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above.
#include <cmocka.h>

#define HEAD "{\"ts\":\"T\",\"level\":\"info\",\"event\":\"a.b\""

static char got[4096];

// Both buffers of the exact size, so that a sanitizer sees one byte too many.
static const char *
convert(const char *fmt, const char *fields, size_t len, size_t size,
        bool is_cut)
{
    char *text = malloc(len ? len : 1);
    char *buf = malloc(size);
    const struct log_json line = {
        .ts = "T",
        .level = "info",
        .event = "a.b",
        .fmt = fmt,
        .fields = text,
        .fields_len = len,
        .is_cut = is_cut,
    };
    size_t used;

    assert_non_null(text);
    assert_non_null(buf);
    memcpy(text, fields, len);
    used = log_json(&line, buf, size);
    assert_true(used <= size && used < sizeof(got));
    memcpy(got, buf, used);
    got[used] = '\0';
    free(text);
    free(buf);
    return got;
}

static void
check(const char *fmt, const char *fields, const char *want)
{
    char whole[4096];

    (void)snprintf(whole, sizeof(whole), HEAD "%s}", want);
    assert_string_equal(convert(fmt, fields, strlen(fields), 4096, false),
                        whole);
}

static void
test_types(void **state)
{
    (void)state;
    check("", "", "");
    check("n=%d", "n=-12", ",\"n\":-12");
    check("n=%zu m=%llu k=%hhi", "n=0 m=18446744073709551615 k=3",
          ",\"n\":0,\"m\":18446744073709551615,\"k\":3");
    // A text stays one whatever it looks like, and a job is a text.
    check("batch=%s job=%lu/%lu", "batch=123 job=7/1",
          ",\"batch\":\"123\",\"job\":\"7/1\"");
    check("a=%05d b=%x c=%d/s d=5", "a=00012 b=12 c=5/s d=5",
          ",\"a\":\"00012\",\"b\":\"12\",\"c\":\"5/s\",\"d\":\"5\"");
    check("why=\"a sentence with = and n=1\" n=%d",
          "why=\"a sentence with = and n=1\" n=2",
          ",\"why\":\"a sentence with = and n=1\",\"n\":2");
    check("x=%s y=%s", "x= y=", ",\"x\":\"\",\"y\":\"\"");
    check("x=%s", "x=\"\"", ",\"x\":\"\"");
}

static void
test_texts(void **state)
{
    (void)state;
    check("x=%s", "x=\"\\x22\\x5c\\x0a\\x09\\x0d\\x08\\x0c\\x00\\x1b\\x7f/\"",
          ",\"x\":\"\\\"\\\\x5c\\n\\t\\r\\b\\f\\u0000\\u001b\\u007f/\"");
    check("x=%s", "x=\"\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80\"",
          ",\"x\":\"\\u00e9\\u20ac\\ud83d\\ude00\"");
    // No UTF-8: bytes stay what they are, and differ from the text of it.
    check("x=%s", "x=\"\\xff\\xc3a\\xed\\xa0\\x80\\x5cxff\"",
          ",\"x\":\"\\\\xff\\\\xc3a\\\\xed\\\\xa0\\\\x80\\\\x5cxff\"");
    // What log_escape() never writes.
    check("x=%s", "x=\"\\x\\xg0\\\"", ",\"x\":\"\\\\x5cx\\\\x5cxg0\\\\x5c\"");
}

static void
test_nothing_is_forged(void **state)
{
    (void)state;
    // Not escaped, so neither is it sure where it ends; no field comes of it.
    check("x=%s n=%d", "x=a level=error job=1/2 n=3",
          ",\"x\":\"a level=error job=1/2\",\"n\":3");
    check("why=\"%s\" n=%d", "why=\"a\" b=\"c\" n=3",
          ",\"why\":\"a\\\" b=\\\"c\",\"n\":3");
    check("%s", "x=1 y=2", ",\"text\":\"x=1 y=2\"");
    check("%s x=%d", "y=2", ",\"text\":\"y=2\"");
    check("x=%s", "anything", ",\"text\":\"anything\"");
    check("a=%s b=%s", "a=\"1 b=2", ",\"a\":\"1 b=2\"");
}

// Counts the quotes that are not escaped, and looks at the end.
static void
check_is_closed(const char *object, bool is_cut)
{
    size_t len = strlen(object), quotes = 0;
    const char *mark = strstr(object, ",\"cut\":true}");

    for (size_t i = 0; i < len; i++) {
        if (object[i] == '\\')
            i++;
        else
            quotes += object[i] == '"';
    }
    assert_int_equal(quotes % 2, 0);
    assert_int_equal(object[len - 1], '}');
    assert_int_equal(mark != NULL, is_cut);
    if (mark)
        assert_string_equal(mark, ",\"cut\":true}");
}

static void
test_cut_by_the_object(void **state)
{
    // Of every length of what is written for one character.
    static const char *const units[] = {
        "a", "\\x0a", "\\x01", "\\xff", "\\xc3\\xa9", "\\xf0\\x9f\\x98\\x80"};
    char fields[4000];

    (void)state;
    for (size_t unit = 0; unit < sizeof(units) / sizeof(*units); unit++) {
        size_t len = 0;

        len += (size_t)snprintf(fields, sizeof(fields), "n=1 x=\"");
        while (len + 40 < sizeof(fields))
            len += (size_t)snprintf(fields + len, sizeof(fields) - len, "%s",
                                    units[unit]);
        len += (size_t)snprintf(fields + len, sizeof(fields) - len, "\" m=2");
        for (size_t size = LOG_JSON_BYTES_MIN; size < 320; size++) {
            (void)convert("n=%d x=%s m=%d", fields, len, size, false);
            check_is_closed(got, true);
            assert_non_null(strstr(got, ",\"n\":1,\"x\":\""));
            assert_null(strstr(got, "\"m\""));
        }
    }
    // Many fields: those at the end are left out whole.
    (void)snprintf(fields, sizeof(fields),
                   "a=1 b=\"%0100d\" c=\"%060d\" e=12345", 0, 0);
    for (size_t size = LOG_JSON_BYTES_MIN; size < 320; size++) {
        (void)convert("a=%d b=%s c=%s e=%d", fields, strlen(fields), size,
                      false);
        check_is_closed(got, !strstr(got, ",\"e\":12345}"));
        assert_true(!strstr(got, "\"e\"") || strstr(got, "\"e\":12345}"));
    }
    assert_non_null(strstr(got, ",\"e\":12345}"));
}

static void
test_cut_by_the_text(void **state)
{
    static const char fmt[] = "n=%d x=%s m=%d";
    static const char whole[] = "n=123 x=\"a b\\xc3\\xa9\\xff\" m=45";

    (void)state;
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        (void)convert(fmt, whole, len, 512, true);
        check_is_closed(got, true);
        assert_true(!strstr(got, "\"n\":") || strstr(got, "\"n\":123"));
        assert_null(strstr(got, "\"m\""));
        assert_null(strstr(got, "\\\\x5c"));
    }
    (void)convert(fmt, whole, 8, 512, true);
    assert_string_equal(got, HEAD ",\"n\":123,\"x\":\"\",\"cut\":true}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_nothing_is_forged),
        cmocka_unit_test(test_cut_by_the_object),
        cmocka_unit_test(test_cut_by_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
