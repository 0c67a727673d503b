// Prometheus' text format, byte for byte, and what histograms count.
#include "common/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct metrics_shape shape = {
    .divisor = 1000, .len = 3, .bounds = {5, 1000, 2500}};

static void
expect(const struct metrics_page *page, const char *text)
{
    assert_false(page->has_failed);
    assert_int_equal(page->len, strlen(text));
    assert_memory_equal(page->text, text, page->len);
}

static void
test_samples(void **state)
{
    struct metrics_page page = {0};
    struct metrics_value value = {0};

    (void)state;
    metrics_add(&value, 7);
    metrics_sub(&value, 2);
    metrics_counter(&page, "a_total", "Some \"a\".", &value);
    metrics_family(&page, METRICS_GAUGE, "b", "Back\\slash\nand line.");
    metrics_put(&page, METRICS_LABEL("x", "1"), UINT64_MAX);
    metrics_put_parts(&page, METRICS_LABELS("x", "2", "y", "q\"b\\n\n"),
                      1000001, 1000000);
    metrics_put_parts(&page, NULL, 5, 1000);
    expect(&page, "# HELP a_total Some \"a\".\n"
                  "# TYPE a_total counter\n"
                  "a_total 5\n"
                  "# HELP b Back\\\\slash\\nand line.\n"
                  "# TYPE b gauge\n"
                  "b{x=\"1\"} 18446744073709551615\n"
                  "b{x=\"2\",y=\"q\\\"b\\\\n\\n\"} 1.000001\n"
                  "b 0.005\n");
    free(page.text);
}

static void
test_histogram(void **state)
{
    struct metrics_page page = {0};
    struct metrics_histogram one = {0}, all = {0};

    (void)state;
    metrics_observe(&one, &shape, 0);
    metrics_observe(&one, &shape, 5); // a bound belongs to its bucket
    metrics_observe(&one, &shape, 6);
    metrics_observe(&one, &shape, 2501);
    metrics_merge(&all, &one);
    metrics_merge(&all, &one);
    metrics_family(&page, METRICS_HISTOGRAM, "h_seconds", "H.");
    metrics_put_histogram(&page, METRICS_LABEL("l", "v"), &shape, &all);
    metrics_put_histogram(&page, NULL, &shape, &one);
    expect(&page, "# HELP h_seconds H.\n"
                  "# TYPE h_seconds histogram\n"
                  "h_seconds_bucket{l=\"v\",le=\"0.005\"} 4\n"
                  "h_seconds_bucket{l=\"v\",le=\"1\"} 6\n"
                  "h_seconds_bucket{l=\"v\",le=\"2.5\"} 6\n"
                  "h_seconds_bucket{l=\"v\",le=\"+Inf\"} 8\n"
                  "h_seconds_sum{l=\"v\"} 5.024\n"
                  "h_seconds_count{l=\"v\"} 8\n"
                  "h_seconds_bucket{le=\"0.005\"} 2\n"
                  "h_seconds_bucket{le=\"1\"} 3\n"
                  "h_seconds_bucket{le=\"2.5\"} 3\n"
                  "h_seconds_bucket{le=\"+Inf\"} 4\n"
                  "h_seconds_sum 2.512\n"
                  "h_seconds_count 4\n");
    free(page.text);
}

// Large bounds are written out: 4294967296, not 4.29497e+09.
static void
test_shapes(void **state)
{
    const struct metrics_shape *shapes[] = {
        &metrics_shape_work, &metrics_shape_transfer, &metrics_shape_bytes};
    struct metrics_page page = {0};
    struct metrics_histogram none = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(shapes[i]->len <= METRICS_BOUNDS_MAX);
        for (size_t j = 1; j < shapes[i]->len; j++)
            assert_true(shapes[i]->bounds[j] > shapes[i]->bounds[j - 1]);
    }
    metrics_family(&page, METRICS_HISTOGRAM, "s_bytes", "S.");
    metrics_put_histogram(&page, NULL, &metrics_shape_bytes, &none);
    page.text[page.len - 1] = '\0';
    assert_non_null(strstr(page.text, "{le=\"4294967296\"} 0"));
    free(page.text);
}

// A page has a ceiling: beyond it the rest is left out, and that is told.
static void
test_full(void **state)
{
    struct metrics_page page = {0};
    char value[1000];

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    metrics_family(&page, METRICS_GAUGE, "g", "G.");
    for (int i = 0; i < 2000; i++)
        metrics_put(&page, METRICS_LABEL("l", value), 1);
    assert_true(page.has_failed);
    assert_true(page.len <= METRICS_PAGE_MAX);
    free(page.text);
}

static void
test_process(void **state)
{
    struct metrics_page page = {0};
    const char *at;

    (void)state;
    metrics_process(&page, "urlsum-test");
    metrics_gauge(&page, "end", "End.", 0);
    page.text[page.len - 1] = '\0';
    assert_non_null(strstr(page.text, "{program=\"urlsum-test\",version=\""));
    at = strstr(page.text, "\nprocess_resident_memory_bytes ");
    assert_non_null(at);
    assert_true(strtoull(strchr(at + 1, ' '), NULL, 10) > 100000);
    at = strstr(page.text, "\nprocess_start_time_seconds ");
    assert_non_null(at); // within a minute: the test has just begun
    assert_true(strtod(strchr(at + 1, ' '), NULL) - (double)time(NULL) < 2);
    assert_true((double)time(NULL) - strtod(strchr(at + 1, ' '), NULL) < 60);
    at = strstr(page.text, "\nprocess_open_fds ");
    assert_non_null(at);
    assert_true(strtoull(strchr(at + 1, ' '), NULL, 10) >= 3);
    free(page.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_shapes),  cmocka_unit_test(test_full),
        cmocka_unit_test(test_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
