#include "proto/link_stats.h"

static uint64_t
sum(const struct link_stats *links, size_t len, size_t stride, size_t offset)
{
    const char *at = (const char *)links + offset;
    uint64_t total = 0;

    for (size_t i = 0; i < len; i++, at += stride)
        total += metrics_get((const struct metrics_value *)(const void *)at);
    return total;
}

void
link_stats_put(struct metrics_page *page, const struct link_stats *links,
               size_t len, size_t stride)
{
    static const struct {
        enum metrics_type type;
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {METRICS_GAUGE, "urlsum_worker_sessions_live",
         "Sessions with the broker that are on now.",
         offsetof(struct link_stats, live)},
        {METRICS_COUNTER, "urlsum_worker_dials_total",
         "Connections to the broker that were tried.",
         offsetof(struct link_stats, dials)},
        {METRICS_COUNTER, "urlsum_worker_sessions_total",
         "Sessions with the broker that began.",
         offsetof(struct link_stats, sessions)},
        {METRICS_COUNTER, "urlsum_worker_sessions_lost_total",
         "Sessions that ended against this worker's will: silence, a broken "
         "connection, the broker's end.",
         offsetof(struct link_stats, losses)},
        {METRICS_COUNTER, "urlsum_worker_refusals_total",
         "Errors that the broker answered instead of a session.",
         offsetof(struct link_stats, refusals)},
    };

    metrics_gauge(page, "urlsum_worker_links",
                  "Links to the broker that this program keeps: one a thread "
                  "that works.",
                  len);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        metrics_family(page, rows[i].type, rows[i].name, rows[i].help);
        metrics_put(page, NULL, sum(links, len, stride, rows[i].offset));
    }
}
