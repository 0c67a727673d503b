// Retry-After: seconds, the three forms of a date, and everything else.
#include "fetcher/retry_after.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(784111777) // Sun, 06 Nov 1994 08:49:37 GMT
#define ABSENT UINT64_MAX

static uint64_t
wait_of(const char *value, const char *date)
{
    uint64_t seconds = ABSENT;

    if (!retry_after_parse(value, strlen(value), date, strlen(date), NOW,
                           &seconds))
        assert_true(seconds == ABSENT); // untouched
    return seconds;
}

static const struct {
    const char *value, *date;
    uint64_t want_s;
} waits[] = {
    {"0", "", 0},
    {"120", "", 120},
    {"000000000000000000000000120", "", 120},
    {"86400", "", 86400},
    {"86401", "", 86400},
    {"99999999999999999999999999999999", "", 86400},
    {"Sun, 06 Nov 1994 08:51:37 GMT", "", 120},
    {"Sunday, 06-Nov-94 08:51:37 GMT", "", 120},
    {"Sun Nov  6 08:51:37 1994", "", 120},
    {"Sun Nov 06 08:51:37 1994", "", 120},
    // Past, and far ahead.
    {"Sun, 06 Nov 1994 08:49:37 GMT", "", 0},
    {"Thu, 01 Jan 1970 00:00:00 GMT", "", 0},
    {"Tue, 08 Nov 1994 08:49:37 GMT", "", 86400},
    {"Fri, 31 Dec 9999 23:59:59 GMT", "", 86400},
    // Names are taken in any case, and the day of the week as it is.
    {"sun, 06 NOV 1994 08:51:37 GMT", "", 120},
    {"Mon, 06 Nov 1994 08:51:37 GMT", "", 120},
    // A leap second; and leap years.
    {"Sun, 06 Nov 1994 08:49:60 GMT", "", 23},
    {"Thu, 29 Feb 1996 00:00:00 GMT", "", 86400},
    // The server's clock is hours off; its own Date says by how much.
    {"Sun, 06 Nov 1994 03:00:30 GMT", "Sun, 06 Nov 1994 03:00:00 GMT", 30},
    {"Sun, 06 Nov 1994 22:00:30 GMT", "Sunday, 06-Nov-94 22:00:00 GMT", 30},
    {"Sun, 06 Nov 1994 08:51:37 GMT", "yesterday", 120},
    {"45", "Sun, 06 Nov 1994 03:00:00 GMT", 45},
};

static void
test_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        if (wait_of(waits[i].value, waits[i].date) != waits[i].want_s)
            fail_msg("another wait: \"%s\", Date: \"%s\"", waits[i].value,
                     waits[i].date);
    }
}

static void
test_two_digit_years(void **state)
{
    static const struct {
        int64_t now_s;
        const char *date;
        int64_t want_s;
    } rows[] = {
        {NOW, "Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        // In 2026, 76 is 50 years ahead and 77 is 49 years ago.
        {1770000000, "Sunday, 01-Nov-76 00:00:00 GMT", INT64_C(3371414400)},
        {1770000000, "Tuesday, 01-Nov-77 00:00:00 GMT", 247190400},
        {1770000000, "Sunday, 01-Nov-26 00:00:00 GMT", 1793491200},
        // In 2080, 05 is 25 years ahead.
        {INT64_C(3471292800), "Sunday, 01-Nov-05 00:00:00 GMT",
         INT64_C(4286476800)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t got_s = 0;

        assert_true(http_date_parse(rows[i].date, strlen(rows[i].date),
                                    rows[i].now_s, &got_s));
        assert_int_equal(got_s, rows[i].want_s);
    }
}

static void
test_garbage(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "0x10",
        "120 ",
        " 120",
        "120s",
        "120, 60",
        "soon",
        "Sun, 06 Nov 1994 08:51:37",
        "Sun, 06 Nov 1994 08:51:37 UTC",
        "Sun, 06 Nov 1994 08:51:37 GMT ",
        "Sun, 06 Nov 1994 08:51:37 GMTx",
        "Sun, 6 Nov 1994 08:51:37 GMT",
        "Sun, 06 Nov 94 08:51:37 GMT",
        "Sun, 06 Nov 1994 8:51:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:51:61 GMT",
        "Sun, 00 Nov 1994 08:51:37 GMT",
        "Sun, 31 Nov 1994 08:51:37 GMT",
        "Wed, 29 Feb 1995 08:51:37 GMT",
        "Sun, 06 Nvo 1994 08:51:37 GMT",
        "Xyz, 06 Nov 1994 08:51:37 GMT",
        "Sun, 06-Nov-94 08:51:37 GMT",
        "Sunday, 06 Nov 1994 08:51:37 GMT",
        "Sun Nov 6 08:51:37 1994",
        "Sun Nov  6 08:51:37 1994 GMT",
        "1994-11-06T08:51:37Z",
        "Wednesday, 06-Nov-94 08:51:37 GMT and more of it",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (wait_of(texts[i], "") != ABSENT)
            fail_msg("taken: \"%s\"", texts[i]);
    }
    // Not terminated, and with a NUL.
    assert_false(retry_after_parse("12\0"
                                   "3",
                                   4, "", 0, NOW, &(uint64_t){0}));
}

// No end of a good text is read beyond.
static void
test_cut_short(void **state)
{
    static const char *const dates[] = {"Sun, 06 Nov 1994 08:51:37 GMT",
                                        "Sunday, 06-Nov-94 08:51:37 GMT",
                                        "Sun Nov  6 08:51:37 1994"};
    int64_t out_s;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 0; len < strlen(dates[i]); len++)
            assert_false(http_date_parse(dates[i], len, NOW, &out_s));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_two_digit_years),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_cut_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
