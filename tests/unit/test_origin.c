// Origins: which spellings are one, which are none, and that remembering the
// last authority never changes an answer.
#include "broker/origin.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct answer {
    enum fail fail;
    uint64_t number;
    char text[ORIGIN_TEXT_MAX];
};

static struct answer
ask(struct origin_parser *parser, const char *url, size_t len)
{
    // An exact copy, so that reading behind it is seen by sanitizers.
    char *copy = malloc(len ? len : 1);
    struct answer answer = {.number = 99, .text = "untouched"};

    assert_non_null(copy);
    memcpy(copy, url, len);
    answer.fail = origin_parse(parser, copy, len, &answer.number, answer.text);
    free(copy);
    if (answer.fail != FAIL_OK) {
        assert_int_equal(answer.number, ORIGIN_NONE);
        assert_string_equal(answer.text, "untouched");
    } else {
        assert_true(answer.number != ORIGIN_NONE);
    }
    return answer;
}

// What a parser that never saw another URL says.
static struct answer
ask_fresh(const char *url, size_t len)
{
    struct origin_parser *parser = NULL;
    struct answer answer;

    assert_int_equal(origin_parser_new(&parser), 0);
    answer = ask(parser, url, len);
    origin_parser_free(&parser);
    assert_null(parser);
    return answer;
}

static int
set_up(void **state)
{
    return origin_parser_new((struct origin_parser **)state);
}

static int
tear_down(void **state)
{
    origin_parser_free((struct origin_parser **)state);
    return 0;
}

static const struct row {
    const char *url;
    enum fail fail;
    const char *text;
} rows[] = {
    {"http://a.example/x", FAIL_OK, "http://a.example:80"},
    {"https://a.example/x", FAIL_OK, "https://a.example:443"},
    {"http://a.example", FAIL_OK, "http://a.example:80"},
    {"http://a.example?q", FAIL_OK, "http://a.example:80"},
    {"http://a.example#f", FAIL_OK, "http://a.example:80"},
    {"http://a.example:80/", FAIL_OK, "http://a.example:80"},
    {"http://a.example:/", FAIL_OK, "http://a.example:80"},
    {"http://a.example:0080/", FAIL_OK, "http://a.example:80"},
    {"http://a.example:443/", FAIL_OK, "http://a.example:443"},
    {"https://a.example:80/", FAIL_OK, "https://a.example:80"},
    {"HTTP://A.Example/X", FAIL_OK, "http://a.example:80"},
    {"http://A.EXAMPLE/x", FAIL_OK, "http://a.example:80"},
    {"http://user@a.example/", FAIL_OK, "http://a.example:80"},
    {"http://us%40er:p%2fw@a.example:80/", FAIL_OK, "http://a.example:80"},
    {"http://b.example@a.example/", FAIL_OK, "http://a.example:80"},
    {"http://a.example/@b.example/", FAIL_OK, "http://a.example:80"},
    {"http://a%2eexample/", FAIL_OK, "http://a.example:80"},
    {"http://[::1]/", FAIL_OK, "http://[::1]:80"},
    {"http://[::1]:8080/", FAIL_OK, "http://[::1]:8080"},
    {"http://[0:0::0:1]/", FAIL_OK, "http://[::1]:80"},
    {"http://[FE80::1%25eth0]/", FAIL_OK, "http://[fe80::1]:80"},
    {"http://127.1/", FAIL_OK, "http://127.0.0.1:80"},
    {"http://0x7f000001/", FAIL_OK, "http://127.0.0.1:80"},
    {"http://b\xc3\xbc.example/", FAIL_OK, "http://b\xc3\xbc.example:80"},
    {"http:///a.example/x", FAIL_OK, "http://a.example:80"},
    {"http:/a.example/x", FAIL_OK, "http://a.example:80"},
    {"", FAIL_INVALID_URL, NULL},
    {"http", FAIL_INVALID_URL, NULL},
    {"http:", FAIL_INVALID_URL, NULL},
    {"http://", FAIL_INVALID_URL, NULL},
    {"http:///", FAIL_INVALID_URL, NULL},
    {"http:////a.example/", FAIL_INVALID_URL, NULL},
    {"http://:80/", FAIL_INVALID_URL, NULL},
    {"http://user@/", FAIL_INVALID_URL, NULL},
    {"a.example/x", FAIL_INVALID_URL, NULL},
    {"www.example", FAIL_INVALID_URL, NULL},
    {"/x", FAIL_INVALID_URL, NULL},
    {"//a.example/x", FAIL_INVALID_URL, NULL},
    {"?q", FAIL_INVALID_URL, NULL},
    {"#f", FAIL_INVALID_URL, NULL},
    {"://a.example/", FAIL_INVALID_URL, NULL},
    {" http://a.example/", FAIL_INVALID_URL, NULL},
    {"http://a.example/a b", FAIL_INVALID_URL, NULL},
    {"http://a .example/", FAIL_INVALID_URL, NULL},
    {"http://a.example/\x7f", FAIL_INVALID_URL, NULL},
    {"http://a.example/\t", FAIL_INVALID_URL, NULL},
    {"http://a.example/\r", FAIL_INVALID_URL, NULL},
    {"http://a.example:65536/", FAIL_INVALID_URL, NULL},
    {"http://a.example:-1/", FAIL_INVALID_URL, NULL},
    {"http://a.example:http/", FAIL_INVALID_URL, NULL},
    {"http://[::1/", FAIL_INVALID_URL, NULL},
    {"http://[::g]/", FAIL_INVALID_URL, NULL},
    {"http://[]/", FAIL_INVALID_URL, NULL},
    {"http://a%00b/", FAIL_INVALID_URL, NULL},
    {"http://a\\b/", FAIL_INVALID_URL, NULL},
    {"ftp://a.example/x", FAIL_SCHEME, NULL},
    {"FILE:///etc/passwd", FAIL_SCHEME, NULL},
    {"gopher://a.example/", FAIL_SCHEME, NULL},
    {"httpx://a.example/", FAIL_SCHEME, NULL},
    {"httpss://a.example/", FAIL_SCHEME, NULL},
};

// Asked twice in a row, forward and backward, so that each row comes after
// quite other ones.
static void
test_rows(void **state)
{
    size_t len = sizeof(rows) / sizeof(*rows);

    for (size_t i = 0; i < 4 * len; i++) {
        const struct row *row =
            &rows[i / 2 < len ? i / 2 : 2 * len - 1 - i / 2];
        struct answer answer = ask(*state, row->url, strlen(row->url));

        if (answer.fail != row->fail)
            fail_msg("%s: %s", row->url, fail_name(answer.fail));
        if (row->text && strcmp(answer.text, row->text) != 0)
            fail_msg("%s: %s", row->url, answer.text);
    }
}

static void
test_one_number_an_origin(void **state)
{
    size_t len = sizeof(rows) / sizeof(*rows);

    for (size_t i = 0; i < len; i++) {
        for (size_t j = 0; j < len; j++) {
            struct answer a = ask(*state, rows[i].url, strlen(rows[i].url));
            struct answer b = ask(*state, rows[j].url, strlen(rows[j].url));

            if (a.fail == FAIL_OK && b.fail == FAIL_OK)
                assert_int_equal(strcmp(a.text, b.text) == 0,
                                 a.number == b.number);
        }
    }
}

static void
test_without_text(void **state)
{
    static const char url[] = "http://a.example/x";
    uint64_t first, second;

    assert_int_equal(origin_parse(*state, url, sizeof(url) - 1, &first, NULL),
                     FAIL_OK);
    assert_int_equal(origin_parse(*state, url, sizeof(url) - 1, &second, NULL),
                     FAIL_OK);
    assert_int_equal(first, second);
}

static void
test_nul(void **state)
{
    static const char url[] = "http://a.example/x\0y";

    assert_int_equal(ask(*state, url, sizeof(url) - 1).fail, FAIL_INVALID_URL);
    assert_int_equal(ask(*state, url, sizeof(url) - 3).fail, FAIL_OK);
    assert_int_equal(ask(*state, url, sizeof(url) - 1).fail, FAIL_INVALID_URL);
    assert_int_equal(ask(*state, "http://a\0b/", 11).fail, FAIL_INVALID_URL);
}

static void
test_long(void **state)
{
    static const char start[] = "http://a.example/";
    char *url = malloc(URL_BYTES_MAX + 2);

    assert_non_null(url);
    memset(url, 'x', URL_BYTES_MAX + 2);
    memcpy(url, start, sizeof(start) - 1);
    assert_int_equal(ask(*state, url, URL_BYTES_MAX).fail, FAIL_OK);
    assert_int_equal(ask(*state, url, URL_BYTES_MAX + 1).fail,
                     FAIL_URL_TOO_LONG);
    // Also where neither the fast path nor libcurl would mind.
    assert_int_equal(ask(*state, url, URL_BYTES_MAX + 2).fail,
                     FAIL_URL_TOO_LONG);
    free(url);
}

// Hosts around the length at which the text is cut, one byte after the other.
static void
test_long_hosts(void **state)
{
    char url[ORIGIN_TEXT_MAX * 2 + 32];

    for (size_t host = 240; host < ORIGIN_TEXT_MAX + 40; host++) {
        char name[ORIGIN_TEXT_MAX * 2];
        struct answer answer, fresh;

        memset(name, 'h', host);
        name[host] = '\0';
        (void)snprintf(url, sizeof(url), "https://%s:44/x", name);
        (void)ask(*state, url, strlen(url));
        answer = ask(*state, url, strlen(url));
        fresh = ask_fresh(url, strlen(url));
        assert_int_equal(answer.fail, fresh.fail);
        assert_int_equal(answer.number, fresh.number);
        assert_true(strlen(answer.text) < ORIGIN_TEXT_MAX);
        assert_string_equal(answer.text, fresh.text);
    }
}

// --- Generated spellings ---

static const char *const schemes[] = {
    "http://", "http://",   "https://", "HTTP://", "http:/", "http:///",
    "http:",   "https:///", "ftp://",   "",        "://",    "http://http://"};
static const char *const users[] = {"", "", "", "u@", "u:p@", "@", ":@", "a%@"};
static const char *const hosts[] = {
    "a",     "a.example", "A.Example", "b.example", "",          "[::1]",
    "[::1",  "127.1",     "0x7f.1",    "a..b",      "b\xfc",     "b\xc3\xbc",
    "a%2eb", "a%",        "a b",       "a\\b",      "a\tb",      "a_b",
    "a|b",   "a{b}",      "a'b",       "-",         "a.example."};
static const char *const ports[] = {"",  "",     "",    ":80", ":443",
                                    ":", ":080", ":-1", ":x",  ":65536"};
static const char *const paths[] = {
    "/",    "/x",   "",       "?q",    "#f",      "/a b",  "/\x7f", "/\xc3\xbc",
    "//",   "///x", "/../..", "/@b/c", "/:81/",   "/\\",   "/%zz",  "/%00",
    "/[x]", "/?#",  "/\n",    "\n",    "/http:/", "/{a|b}"};

#define PICK(list, seed)                                                       \
    (list)[(unsigned)rand_r(seed) % (sizeof(list) / sizeof(*(list)))]

static size_t
spell(unsigned *seed, char url[128])
{
    int len =
        snprintf(url, 128, "%s%s%s%s%s", PICK(schemes, seed), PICK(users, seed),
                 PICK(hosts, seed), PICK(ports, seed), PICK(paths, seed));

    assert_in_range(len, 0, 127);
    // Now and then any byte at any place.
    if (len && rand_r(seed) % 8 == 0)
        url[(unsigned)rand_r(seed) % (unsigned)len] = (char)rand_r(seed);
    return (size_t)len;
}

// The same authority with another path: fills the memory of the last one.
static void
ask_neighbour(struct origin_parser *parser, const char *url, size_t len)
{
    char other[160];
    size_t at = 0;

    for (int slashes = 0; at < len && slashes < 3; at++)
        slashes += url[at] == '/';
    memcpy(other, url, at);
    other[at] = 'n';
    (void)ask(parser, other, at + 1);
}

static void
test_memory_changes_nothing(void **state)
{
    unsigned seed = 11;
    char url[128];
    size_t good = 0;

    for (int i = 0; i < 60000; i++) {
        size_t len = spell(&seed, url);
        struct answer fresh = ask_fresh(url, len), answer;

        if (rand_r(&seed) % 2)
            ask_neighbour(*state, url, len);
        answer = ask(*state, url, len);
        if (answer.fail != fresh.fail || answer.number != fresh.number ||
            strcmp(answer.text, fresh.text) != 0)
            fail_msg("%.*s: %s %s, else %s %s", (int)len, url,
                     fail_name(answer.fail), answer.text, fail_name(fresh.fail),
                     fresh.text);
        good += answer.fail == FAIL_OK;
    }
    assert_in_range(good, 6000, 54000); // both kinds were met
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_rows),
        CASE(test_one_number_an_origin),
        CASE(test_without_text),
        CASE(test_nul),
        CASE(test_long),
        CASE(test_long_hosts),
        CASE(test_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
