// metrics.h - counters, gauges and histograms, and how Prometheus reads them
//
// A metric has one thread that writes it; any thread may read it. Values are
// relaxed atomics, so a write is a plain load, add and store, allocates nothing
// and takes no lock. A page is what /metrics answers: Prometheus' text format
// 0.0.4.
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bounds of one histogram.
#define METRICS_BOUNDS_MAX 20
// Bytes of a page: ours are below 64 KiB, and a scraper may be slow to read it.
#define METRICS_PAGE_MAX ((size_t)1024 * 1024)
// A cache line: metrics of one thread must not share one with another's.
#define METRICS_ALIGNED 64

// --- Metrics ---

// A counter, or a gauge of whole numbers. All zeros is its beginning.
struct metrics_value {
    _Atomic uint64_t value;
};

static inline uint64_t
metrics_get(const struct metrics_value *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

static inline void
metrics_set(struct metrics_value *metric, uint64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

static inline void
metrics_add(struct metrics_value *metric, uint64_t more)
{
    metrics_set(metric, metrics_get(metric) + more);
}

static inline void
metrics_sub(struct metrics_value *metric, uint64_t less)
{
    metrics_set(metric, metrics_get(metric) - less);
}

// What values a histogram tells apart. Values are whole numbers of a small unit
// (microseconds); divisor is how many of them are one of the unit shown (1e6:
// seconds).
struct metrics_shape {
    uint64_t divisor;
    size_t len;
    uint64_t
        bounds[METRICS_BOUNDS_MAX]; // ascending, each belongs to its bucket
};

// 100 us to 10 s, what a commit or a batch of work takes.
extern const struct metrics_shape metrics_shape_work;
// 1 ms to 5 min, what a transfer takes.
extern const struct metrics_shape metrics_shape_transfer;
// 256 B to 16 GiB.
extern const struct metrics_shape metrics_shape_bytes;

// All zeros is its beginning.
struct metrics_histogram {
    struct metrics_value sum;
    struct metrics_value buckets[METRICS_BOUNDS_MAX + 1]; // not cumulative
};

void metrics_observe(struct metrics_histogram *histogram,
                     const struct metrics_shape *shape, uint64_t value);

// Adds the other one's values: what several threads counted apart.
void metrics_merge(struct metrics_histogram *histogram,
                   const struct metrics_histogram *other);

// --- Pages ---

struct metrics_page {
    char *text; // the owner's to free; not terminated
    size_t len, room;
    bool has_failed; // no memory, or METRICS_PAGE_MAX: the rest is left out
    const char *family;
};

struct metrics_label {
    const char *name; // NULL ends a list
    const char *value;
};

// One or two labels, for the calls below.
#define METRICS_LABEL(name, value)                                             \
    ((const struct metrics_label[]){{name, value}, {NULL, NULL}})
#define METRICS_LABELS(name1, value1, name2, value2)                           \
    ((const struct metrics_label[]){                                           \
        {name1, value1}, {name2, value2}, {NULL, NULL}})

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

// Begins a family; what is put next belongs to it. name must last until the
// next family.
void metrics_family(struct metrics_page *page, enum metrics_type type,
                    const char *name, const char *help);

// One sample. labels: NULL for none. divisor as in metrics_shape; 1: as it is.
void metrics_put(struct metrics_page *page, const struct metrics_label *labels,
                 uint64_t value);
void metrics_put_parts(struct metrics_page *page,
                       const struct metrics_label *labels, uint64_t value,
                       uint64_t divisor);

// All samples of a histogram.
void metrics_put_histogram(struct metrics_page *page,
                           const struct metrics_label *labels,
                           const struct metrics_shape *shape,
                           const struct metrics_histogram *histogram);

// Families of one sample without labels, said in one call.
void metrics_counter(struct metrics_page *page, const char *name,
                     const char *help, const struct metrics_value *value);
void metrics_gauge(struct metrics_page *page, const char *name,
                   const char *help, uint64_t value);

// --- Of every program (metrics_process.c) ---

// urlsum_build_info and the process_* families that all Prometheus clients
// have. Reads /proc.
void metrics_process(struct metrics_page *page, const char *program);

#endif
