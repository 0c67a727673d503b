#include "fetcher/redirect.h"

#include "common/limits.h"

#include <curl/curl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// One step; the caller frees out_step->url.
static enum fail
step_from(const char *first, const char *from, const char *location,
          enum redirect_rule rule, struct redirect_step *out_step)
{
    struct redirect_home home;
    enum fail fail;

    assert_int_equal(redirect_home_init(&home, first), 0);
    fail = redirect_next(&home, from, location, rule, out_step);
    redirect_home_fini(&home);
    assert_null(home.host);
    assert_int_equal(fail == FAIL_OK, out_step->url != NULL);
    assert_int_equal(fail == FAIL_OK, out_step->refusal == NULL);
    return fail;
}

static void
locations_are_resolved(void **state)
{
    static const struct {
        const char *from, *location, *url;
    } rows[] = {
        {"http://a.test/b/c?d", "e", "http://a.test/b/e"},
        {"http://a.test/b/c?d", "/e", "http://a.test/e"},
        {"http://a.test/b/c?d", "?e", "http://a.test/b/c?e"},
        {"http://a.test/b/c", "../e", "http://a.test/e"},
        {"http://a.test:81/b", "/e", "http://a.test:81/e"},
        {"http://a.test/b", "//c.test/e", "http://c.test/e"},
        {"https://a.test/b", "//c.test/e", "https://c.test/e"},
        {"http://a.test/b", "HTTPS://C.test/e", "https://C.test/e"},
        {"http://a.test/b", "http://c.test", "http://c.test/"},
        // As servers write them.
        {"http://a.test/", "/two words", "http://a.test/two%20words"},
        {"http://a.test/", "http://c.test/a b?c d", "http://c.test/a%20b?c+d"},
        {"http://a.test/", "/\xc3\xa4", "http://a.test/%c3%a4"},
        // The last fragment is nobody's base; the new one is kept.
        {"http://a.test/b/c#x/y", "e", "http://a.test/b/e"},
        {"http://a.test/b/c#x?y", "e#z", "http://a.test/b/e#z"},
        // What was entrusted to the last URL is not in the next one.
        {"http://u:p@a.test/b", "/e", "http://a.test/e"},
        {"http://a.test/b", "http://v:q@c.test/e", "http://v:q@c.test/e"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct redirect_step step;

        assert_int_equal(step_from(rows[i].from, rows[i].from, rows[i].location,
                                   REDIRECT_KEEPS_HTTPS, &step),
                         FAIL_OK);
        assert_string_equal(step.url, rows[i].url);
        curl_free(step.url);
    }
}

static void
schemes_have_rules(void **state)
{
    static const struct {
        const char *from, *to;
        enum fail fail[3]; // by rule
    } rows[] = {
        {"http", "http", {FAIL_OK, FAIL_OK, FAIL_SCHEME}},
        {"http", "https", {FAIL_OK, FAIL_OK, FAIL_OK}},
        {"https", "https", {FAIL_OK, FAIL_OK, FAIL_OK}},
        {"https", "http", {FAIL_SCHEME, FAIL_OK, FAIL_SCHEME}},
        {"https", "HTTP", {FAIL_SCHEME, FAIL_OK, FAIL_SCHEME}},
        {"http", "ftp", {FAIL_SCHEME, FAIL_SCHEME, FAIL_SCHEME}},
        {"http", "gopher", {FAIL_SCHEME, FAIL_SCHEME, FAIL_SCHEME}},
        {"https", "unheard-of", {FAIL_SCHEME, FAIL_SCHEME, FAIL_SCHEME}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (int rule = 0; rule < 3; rule++) {
            struct redirect_step step;
            char from[64], to[64];

            (void)snprintf(from, sizeof(from), "%s://a.test/", rows[i].from);
            (void)snprintf(to, sizeof(to), "%s://a.test/x", rows[i].to);
            assert_int_equal(
                step_from(from, from, to, (enum redirect_rule)rule, &step),
                rows[i].fail[rule]);
            curl_free(step.url);
        }
    }
}

static void
files_are_never_read(void **state)
{
    struct redirect_step step;

    (void)state;
    assert_int_equal(step_from("http://a.test/", "http://a.test/",
                               "file:///etc/passwd", REDIRECT_ANY, &step),
                     FAIL_SCHEME);
}

static void
home_is_scheme_host_and_port(void **state)
{
    static const struct {
        const char *location;
        bool is_home, names_user;
    } rows[] = {
        {"/x", true, false},
        {"http://a.test/x", true, false},
        {"http://A.TEST/x", true, false},
        {"http://a.test:80/x", true, false},
        {"http://v@a.test/x", true, true},
        {"http://a.test:81/x", false, false},
        {"https://a.test/x", false, false},
        {"https://a.test:80/x", false, false},
        {"http://b.a.test/x", false, false},
        {"http://a.test.b/x", false, false},
        {"http://a.test@b.test/x", false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct redirect_step step;

        assert_int_equal(step_from("http://u:p@a.test/", "http://a.test/y",
                                   rows[i].location, REDIRECT_ANY, &step),
                         FAIL_OK);
        assert_int_equal(step.is_home, rows[i].is_home);
        assert_int_equal(step.names_user, rows[i].names_user);
        curl_free(step.url);
    }
}

static void
home_keeps_what_it_was_entrusted(void **state)
{
    struct redirect_home home;

    (void)state;
    assert_int_equal(redirect_home_init(&home, "https://u%40x:p%3aq@a.test/"),
                     0);
    assert_string_equal(home.scheme, "https");
    assert_string_equal(home.host, "a.test");
    assert_string_equal(home.port, "443");
    assert_string_equal(home.user, "u@x");
    assert_string_equal(home.password, "p:q");
    redirect_home_fini(&home);
    redirect_home_fini(&home); // once more is fine
}

static void
what_is_no_url_is_refused(void **state)
{
    static const char *const locations[] = {
        "http://",    "http://a.test:99999/", "http://[::1/",
        "http:// b/", "http://a\x01.test/",
    };
    struct redirect_step step;
    char *is_long = malloc(2 * URL_BYTES_MAX);

    (void)state;
    for (size_t i = 0; i < sizeof(locations) / sizeof(*locations); i++)
        assert_int_equal(step_from("http://a.test/", "http://a.test/",
                                   locations[i], REDIRECT_ANY, &step),
                         FAIL_INVALID_URL);
    assert_non_null(is_long);
    memset(is_long, 'x', 2 * URL_BYTES_MAX);
    is_long[0] = '/';
    is_long[URL_BYTES_MAX] = '\0';
    assert_int_equal(step_from("http://a.test/", "http://a.test/", is_long,
                               REDIRECT_ANY, &step),
                     FAIL_URL_TOO_LONG);
    free(is_long);
}

static void
rules_are_read(void **state)
{
    static const char *const bad[] = {"",       "http",      "=http",
                                      "ftp",    "https,",    "https,ftp",
                                      ",https", "https http"};
    enum redirect_rule rule = REDIRECT_ANY;

    (void)state;
    assert_int_equal(redirect_rule_parse(NULL, &rule), 0);
    assert_int_equal(rule, REDIRECT_KEEPS_HTTPS);
    assert_int_equal(redirect_rule_parse("http,https", &rule), 0);
    assert_int_equal(rule, REDIRECT_ANY);
    assert_int_equal(redirect_rule_parse("=https", &rule), 0);
    assert_int_equal(rule, REDIRECT_HTTPS_ONLY);
    assert_int_equal(redirect_rule_parse("HTTPS,http", &rule), 0);
    assert_int_equal(rule, REDIRECT_ANY);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(redirect_rule_parse(bad[i], &rule), -EINVAL);
}

static void
some_statuses_redirect(void **state)
{
    (void)state;
    for (long status = 0; status < 600; status++) {
        bool want = status == 300 || status == 301 || status == 302 ||
                    status == 303 || status == 307 || status == 308;

        assert_int_equal(redirect_is_status(status), want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locations_are_resolved),
        cmocka_unit_test(schemes_have_rules),
        cmocka_unit_test(files_are_never_read),
        cmocka_unit_test(home_is_scheme_host_and_port),
        cmocka_unit_test(home_keeps_what_it_was_entrusted),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(some_statuses_redirect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
