#include "common/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)
#define GIB (UINT64_C(1024) * 1024 * 1024)
#define PAGE_ROOM_FIRST ((size_t)16 * 1024)

const struct metrics_shape metrics_shape_work = {
    .divisor = 1000000,
    .len = 16,
    .bounds = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
               250000, 500000, 1000000, 2500000, 5000000, 10000000},
};

const struct metrics_shape metrics_shape_transfer = {
    .divisor = 1000000,
    .len = 17,
    .bounds = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
               1000000, 2500000, 5000000, 10000000, 30000000, 60000000,
               120000000, 300000000},
};

const struct metrics_shape metrics_shape_bytes = {
    .divisor = 1,
    .len = 14,
    .bounds = {256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB,
               16 * MIB, 64 * MIB, 256 * MIB, GIB, 4 * GIB, 16 * GIB},
};

void
metrics_observe(struct metrics_histogram *histogram,
                const struct metrics_shape *shape, uint64_t value)
{
    size_t i = 0;

    while (i < shape->len && value > shape->bounds[i])
        i++;
    metrics_add(&histogram->buckets[i], 1);
    metrics_add(&histogram->sum, value);
}

void
metrics_merge(struct metrics_histogram *histogram,
              const struct metrics_histogram *other)
{
    for (size_t i = 0; i <= METRICS_BOUNDS_MAX; i++)
        metrics_add(&histogram->buckets[i], metrics_get(&other->buckets[i]));
    metrics_add(&histogram->sum, metrics_get(&other->sum));
}

// --- Pages ---

static bool
make_room(struct metrics_page *page, size_t more)
{
    size_t room = page->room ? page->room : PAGE_ROOM_FIRST;
    char *text;

    if (page->has_failed)
        return false;
    if (page->len + more <= page->room)
        return true;
    while (room < page->len + more)
        room *= 2;
    text = room <= METRICS_PAGE_MAX ? realloc(page->text, room) : NULL;
    if (!text) {
        page->has_failed = true;
        return false;
    }
    page->text = text;
    page->room = room;
    return true;
}

static void
put_bytes(struct metrics_page *page, const char *bytes, size_t len)
{
    if (!make_room(page, len))
        return;
    memcpy(page->text + page->len, bytes, len);
    page->len += len;
}

static void
put_text(struct metrics_page *page, const char *text)
{
    put_bytes(page, text, strlen(text));
}

// A label's value or a help text: the format's only special characters.
static void
put_escaped(struct metrics_page *page, const char *text, bool is_label)
{
    for (; *text; text++) {
        if (*text == '\\')
            put_text(page, "\\\\");
        else if (*text == '\n')
            put_text(page, "\\n");
        else if (*text == '"' && is_label)
            put_text(page, "\\\"");
        else
            put_bytes(page, text, 1);
    }
}

static void
put_label(struct metrics_page *page, const char *name, const char *value,
          char before)
{
    put_bytes(page, &before, 1);
    put_text(page, name);
    put_text(page, "=\"");
    put_escaped(page, value, true);
    put_text(page, "\"");
}

// le: the bound of a bucket; NULL: none.
static void
put_name(struct metrics_page *page, const char *suffix,
         const struct metrics_label *labels, const char *le)
{
    char before = '{';

    put_text(page, page->family);
    put_text(page, suffix);
    for (; labels && labels->name; labels++, before = ',')
        put_label(page, labels->name, labels->value, before);
    if (le) {
        put_label(page, "le", le, before);
        before = ',';
    }
    put_text(page, before == '{' ? " " : "} ");
}

// value / divisor (a power of ten, at most 10^9), exactly.
static void
put_number(struct metrics_page *page, uint64_t value, uint64_t divisor)
{
    char text[48];
    int digits = 0;

    for (uint64_t ten = divisor; ten > 1 && digits < 9; ten /= 10)
        digits++;
    if (digits)
        (void)snprintf(text, sizeof(text), "%" PRIu64 ".%0*" PRIu64 "\n",
                       value / divisor, digits, value % divisor);
    else
        (void)snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
    put_text(page, text);
}

void
metrics_family(struct metrics_page *page, enum metrics_type type,
               const char *name, const char *help)
{
    static const char *const types[] = {
        [METRICS_COUNTER] = "counter",
        [METRICS_GAUGE] = "gauge",
        [METRICS_HISTOGRAM] = "histogram",
    };

    page->family = name;
    put_text(page, "# HELP ");
    put_text(page, name);
    put_text(page, " ");
    put_escaped(page, help, false);
    put_text(page, "\n# TYPE ");
    put_text(page, name);
    put_text(page, " ");
    put_text(page, types[type]);
    put_text(page, "\n");
}

void
metrics_put_parts(struct metrics_page *page, const struct metrics_label *labels,
                  uint64_t value, uint64_t divisor)
{
    assert(page->family);
    put_name(page, "", labels, NULL);
    put_number(page, value, divisor);
}

void
metrics_put(struct metrics_page *page, const struct metrics_label *labels,
            uint64_t value)
{
    metrics_put_parts(page, labels, value, 1);
}

void
metrics_put_histogram(struct metrics_page *page,
                      const struct metrics_label *labels,
                      const struct metrics_shape *shape,
                      const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    char le[32];

    assert(page->family && shape->len <= METRICS_BOUNDS_MAX);
    for (size_t i = 0; i <= shape->len; i++) {
        count += metrics_get(&histogram->buckets[i]);
        if (i < shape->len)
            (void)snprintf(le, sizeof(le), "%.15g",
                           (double)shape->bounds[i] / (double)shape->divisor);
        put_name(page, "_bucket", labels, i < shape->len ? le : "+Inf");
        put_number(page, count, 1);
    }
    put_name(page, "_sum", labels, NULL);
    put_number(page, metrics_get(&histogram->sum), shape->divisor);
    put_name(page, "_count", labels, NULL);
    put_number(page, count, 1);
}

void
metrics_counter(struct metrics_page *page, const char *name, const char *help,
                const struct metrics_value *value)
{
    metrics_family(page, METRICS_COUNTER, name, help);
    metrics_put(page, NULL, metrics_get(value));
}

void
metrics_gauge(struct metrics_page *page, const char *name, const char *help,
              uint64_t value)
{
    metrics_family(page, METRICS_GAUGE, name, help);
    metrics_put(page, NULL, value);
}
