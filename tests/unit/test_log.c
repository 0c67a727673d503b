// test_log.c - log lines: one event a line, nothing from outside gets through
#include "common/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka wants the four above.
#include <cmocka.h>

static FILE *caught;
static int stderr_saved;
static char text[8192];

static void
catch_stderr(void)
{
    caught = tmpfile();
    assert_non_null(caught);
    stderr_saved = dup(STDERR_FILENO);
    assert_true(stderr_saved >= 0);
    assert_true(dup2(fileno(caught), STDERR_FILENO) >= 0);
}

// Puts into text what was logged since catch_stderr().
static void
release_stderr(void)
{
    size_t len;

    assert_true(dup2(stderr_saved, STDERR_FILENO) >= 0);
    close(stderr_saved);
    rewind(caught);
    len = fread(text, 1, sizeof(text) - 1, caught);
    text[len] = '\0';
    fclose(caught);
}

static void
test_line(void **state)
{
    int year, month, day, hour, minute, second, us;
    int end = 0;

    (void)state;
    catch_stderr();
    errno = EPIPE;
    log_info("broker.ready", "job=" LOG_JOB " x=%s",
             LOG_JOB_ARG((UINT64_C(7) << 40) + 9), "y");
    assert_int_equal(errno, EPIPE);
    release_stderr();
    assert_int_equal(sscanf(text, "ts=%4d-%2d-%2dT%2d:%2d:%2d.%6dZ %n", &year,
                            &month, &day, &hour, &minute, &second, &us, &end),
                     7);
    assert_int_equal(end, strlen("ts=2026-01-01T00:00:00.000000Z "));
    assert_string_equal(text + end,
                        "level=info event=broker.ready job=7/9 x=y\n");
}

static void
test_levels(void **state)
{
    enum log_level level = LOG_WARN;
    char choice[] = LOG_LEVEL_CHOICE;
    unsigned words = 0;

    (void)state;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("INFO", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(level, LOG_ERROR);
    for (char *word = strtok(choice, "|"); word; word = strtok(NULL, "|")) {
        assert_int_equal(log_level_parse(word, &level), 0);
        assert_int_equal(level, words++);
    }
    assert_int_equal(words, LOG_DEBUG + 1);
    log_set_level(LOG_WARN);
    assert_true(log_enabled(LOG_ERROR));
    assert_true(log_enabled(LOG_WARN));
    assert_false(log_enabled(LOG_INFO));
    catch_stderr();
    log_error("a.error", "n=%d", 1);
    log_warn("a.warn", "n=%d", 2);
    log_info("a.info", "n=%d", 3);
    log_debug("a.debug", "n=%d", 4);
    log_set_level(LOG_DEBUG);
    log_debug("b.debug", "n=%d", 5);
    log_set_level(LOG_INFO);
    release_stderr();
    assert_non_null(strstr(text, "level=error event=a.error n=1\n"));
    assert_non_null(strstr(text, "level=warn event=a.warn n=2\n"));
    assert_null(strstr(text, "a.info"));
    assert_null(strstr(text, "a.debug"));
    assert_non_null(strstr(text, "level=debug event=b.debug n=5\n"));
}

static void
test_format(void **state)
{
    enum log_format format = LOG_LOGFMT;
    const char *object;

    (void)state;
    assert_int_equal(log_format_parse("json", &format), 0);
    assert_int_equal(format, LOG_JSON);
    assert_int_equal(log_format_parse("JSON", &format), -EINVAL);
    assert_int_equal(log_format_parse("", &format), -EINVAL);
    assert_int_equal(format, LOG_JSON);
    assert_string_equal(LOG_FORMAT_CHOICE, "logfmt|json");
    log_set_format(format);
    catch_stderr();
    log_warn("a.warn", "job=" LOG_JOB " n=%d s=%s", LOG_JOB_ARG(UINT64_C(7)),
             -2, "x");
    release_stderr();
    log_set_format(LOG_LOGFMT);
    assert_int_equal(strncmp(text, "{\"ts\":\"2", 8), 0);
    object = strchr(text, ',');
    assert_non_null(object);
    assert_string_equal(object, ",\"level\":\"warn\",\"event\":\"a.warn\","
                                "\"job\":\"0/7\",\"n\":-2,\"s\":\"x\"}\n");
}

// What systemd says of stderr is believed only of the file that it means.
static void
test_journal(void **state)
{
    char stream[64];
    struct stat st;

    (void)state;
    catch_stderr();
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(log_stderr_is_journal());
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_true(log_stderr_is_journal());
    for (int i = 0; i < 4; i++) {
        static const char *const no[] = {"", "1:2", "x", "8:0:1"};

        assert_int_equal(setenv("JOURNAL_STREAM", no[i], 1), 0);
        assert_false(log_stderr_is_journal());
    }
    log_set_journal(true);
    log_error("a.error", "n=%d", 1);
    log_warn("a.warn", "n=%d", 2);
    log_info("a.info", "n=%d", 3);
    log_set_level(LOG_DEBUG);
    log_debug("a.debug", "n=%d", 4);
    log_set_level(LOG_INFO);
    log_set_format(LOG_JSON);
    log_info("b.info", "n=%d", 5);
    log_set_format(LOG_LOGFMT);
    log_set_journal(false);
    release_stderr();
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_non_null(strstr(text, "<3>level=error event=a.error n=1\n"
                                 "<4>level=warn event=a.warn n=2\n"
                                 "<6>level=info event=a.info n=3\n"
                                 "<7>level=debug event=a.debug n=4\n"
                                 "<6>{\"ts\":\""));
    assert_non_null(strstr(text, ",\"event\":\"b.info\",\"n\":5}\n"));
}

static void
test_line_is_one_line(void **state)
{
    static char big[5000];

    (void)state;
    memset(big, 'a', sizeof(big) - 1);
    catch_stderr();
    log_info("x", "a=%s", "1\nlevel=error\r\x1b[2J\x7f\x9b");
    log_info("y", "%s", "");
    log_info("z", "a=%s", big);
    log_info(big, "a=%s", "b");
    release_stderr();
    assert_non_null(strstr(text, "event=x a=1?level=error??[2J??\n"));
    assert_non_null(strstr(text, "event=y\n"));
    assert_non_null(strstr(text, "aaa...\n"));
    assert_non_null(strstr(text, "aaa a=b\n")); // a long event is cut, too
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, "ts=", 3), 0);
        assert_true(strcspn(line, "\n") < 2048);
    }
}

static void
check_escape(const char *from, size_t len, size_t size, const char *want)
{
    // Of the exact size, so that a sanitizer sees one byte too many.
    char *buf = malloc(size ? size : 1);

    assert_non_null(buf);
    assert_ptr_equal(log_escape(from, len, buf, size), buf);
    assert_string_equal(buf, want);
    free(buf);
}

static void
test_escape(void **state)
{
    (void)state;
    check_escape("plain text", 10, 64, "\"plain text\"");
    check_escape("", 0, 64, "\"\"");
    check_escape("a\0b", 3, 64, "\"a\\x00b\"");
    check_escape("\"\\\n\x7f\xff", 5, 64, "\"\\x22\\x5c\\x0a\\x7f\\xff\"");
    for (size_t size = 0; size < 3; size++) {
        char buf[3] = "zz";

        log_escape("abc", 3, buf, size);
        assert_string_equal(buf, size ? "" : "zz");
    }
    check_escape("abc", 3, 3, "\"\"");
    check_escape("abcdef", 6, 8, "\"abcde\"");
    check_escape("abc\n", 4, 8, "\"abc\"");
    check_escape("\n\n\n\n", 4, 12, "\"\\x0a\\x0a\"");
}

static void
check_url(const char *url, const char *want)
{
    size_t len = strlen(url);
    char *copy = malloc(len ? len : 1); // without an end
    char *buf = malloc(256);

    assert_non_null(copy);
    assert_non_null(buf);
    memcpy(copy, url, len);
    assert_string_equal(log_escape_url(copy, len, buf, 256), want);
    free(copy);
    free(buf);
}

static void
test_escape_url(void **state)
{
    (void)state;
    check_url("http://h/p", "\"http://h/p\"");
    check_url("http://h/p?token=1", "\"http://h/p\"");
    check_url("http://h/p#token=1?x", "\"http://h/p\"");
    check_url("http://u:p@h/p", "\"http://h/p\"");
    check_url("http://u:p@w@h:80/p?q", "\"http://h:80/p\"");
    check_url("http://h/p@2x.png", "\"http://h/p@2x.png\"");
    check_url("http:/u:p@h/p", "\"http:/h/p\"");
    check_url("http:///u:p@h/p", "\"http:///h/p\"");
    check_url("u:p@h/p", "\"h/p\"");
    check_url("http://u:p@", "\"http://\"");
    check_url("a?://u@b", "\"a\"");
    check_url("?x=http://u:p@h/", "\"\"");
    check_url("http://h\n/", "\"http://h\\x0a/\"");
    check_url("", "\"\"");
    check_url("@", "\"\"");
    check_url(":/", "\":/\"");
    check_url("://@", "\"://\"");
}

static void
test_what_strangers_cause_is_rationed(void **state)
{
    struct log_rate rate = {0};
    uint64_t left_out = 7;
    unsigned taken = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        taken += log_rate_take(&rate, 5000, &left_out);
    assert_int_equal(taken, LOG_BURST);
    assert_int_equal(left_out, 0);
    // The next one that is written says what was not.
    assert_true(log_rate_take(&rate, 6000, &left_out));
    assert_int_equal(left_out, 1000 - LOG_BURST);
    taken = 0;
    for (uint64_t ms = 6000; ms <= 16000; ms++)
        taken += log_rate_take(&rate, ms, &left_out);
    assert_in_range(taken, 10 * LOG_RATE_S, 10 * LOG_RATE_S + 1);
    // Silence saves up a burst, no more.
    taken = 0;
    for (int i = 0; i < 1000; i++)
        taken += log_rate_take(&rate, 900000, &left_out);
    assert_int_equal(taken, LOG_BURST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_line_is_one_line),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_url),
        cmocka_unit_test(test_what_strangers_cause_is_rationed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
