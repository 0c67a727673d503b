#include "hasher/hash_stats.h"

#include "common/clock.h"
#include "common/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
hash_stats_init(struct hash_stats *stats, size_t lanes_len)
{
    size_t bytes = lanes_len * sizeof(*stats->lanes);

    stats->lanes = aligned_alloc(METRICS_ALIGNED, bytes);
    if (!stats->lanes)
        return -ENOMEM;
    memset(stats->lanes, 0, bytes);
    stats->lanes_len = lanes_len;
    return 0;
}

void
hash_stats_fini(struct hash_stats *stats)
{
    free(stats->lanes);
    *stats = (struct hash_stats){0};
}

static bool
is_ready(void *arg, char *why)
{
    const struct hash_stats *stats = arg;
    size_t live = 0;

    for (size_t i = 0; i < stats->lanes_len; i++)
        live += metrics_get(&stats->lanes[i].link.live);
    if (stats->is_draining)
        (void)snprintf(why, HTTP_WHY_MAX, "the hasher is about to stop");
    else if (live < stats->lanes_len)
        (void)snprintf(why, HTTP_WHY_MAX,
                       "%zu of %zu threads have a session with the broker",
                       live, stats->lanes_len);
    else
        return true;
    return false;
}

bool
hash_stats_is_live(const struct hash_stats *stats, uint64_t now_ms,
                   uint64_t silence_ms, char *why)
{
    for (size_t i = 0; i < stats->lanes_len; i++) {
        uint64_t turned_ms = metrics_get(&stats->lanes[i].turned_ms);

        // The lane may have turned since the clock was read.
        if (!turned_ms || now_ms < turned_ms + silence_ms)
            continue;
        (void)snprintf(why, HTTP_WHY_MAX,
                       "thread %zu has not moved for %" PRIu64 " s", i,
                       (now_ms - turned_ms) / 1000);
        return false;
    }
    return true;
}

static bool
is_live(void *arg, char *why)
{
    return hash_stats_is_live(arg, clock_now_ms(), HASH_STATS_HUNG_MS, why);
}

// The sum over the lanes of what is at offset in each.
static uint64_t
sum(const struct hash_stats *stats, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < stats->lanes_len; i++)
        total += metrics_get(
            (const struct metrics_value
                 *)(const void *)((const char *)&stats->lanes[i] + offset));
    return total;
}

static void
put_histograms(const struct hash_stats *stats, struct metrics_page *page)
{
    struct metrics_histogram batch_time = {0}, body_size = {0};

    for (size_t i = 0; i < stats->lanes_len; i++) {
        metrics_merge(&batch_time, &stats->lanes[i].batch_time);
        metrics_merge(&body_size, &stats->lanes[i].body_size);
    }
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_hasher_hash_seconds",
                   "Time a thread took to digest what it had gathered (at most "
                   "16 messages); their sum is the time threads were at work.");
    metrics_put_histogram(page, NULL, &metrics_shape_work, &batch_time);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_hasher_body_size_bytes",
                   "Size of bodies that were digested.");
    metrics_put_histogram(page, NULL, &metrics_shape_bytes, &body_size);
}

static void
put_metrics(void *arg, struct metrics_page *page)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } rows[] = {
        {"urlsum_hasher_messages_total", "Messages with body bytes.",
         offsetof(struct lane_stats, messages)},
        {"urlsum_hasher_body_bytes_total", "Body bytes that were hashed.",
         offsetof(struct lane_stats, bytes)},
        {"urlsum_hasher_bodies_total", "Bodies that were digested.",
         offsetof(struct lane_stats, bodies)},
        {"urlsum_hasher_aborts_total",
         "Bodies that could not be digested: a gap, an unknown algorithm, no "
         "memory.",
         offsetof(struct lane_stats, aborts)},
    };
    const struct hash_stats *stats = arg;

    link_stats_put(page, &stats->lanes->link, stats->lanes_len,
                   sizeof(*stats->lanes));
    metrics_gauge(page, "urlsum_hasher_threads",
                  "Threads that hash, each a worker of its own.",
                  stats->lanes_len);
    metrics_gauge(page, "urlsum_hasher_streams", "Bodies that came in part.",
                  sum(stats, offsetof(struct lane_stats, streams)));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        metrics_family(page, METRICS_COUNTER, rows[i].name, rows[i].help);
        metrics_put(page, NULL, sum(stats, rows[i].offset));
    }
    put_histograms(stats, page);
}

int
hash_stats_serve(struct hash_stats *stats, struct loop *loop,
                 const char *address, struct http **out_http)
{
    const struct http_owner owner = {.arg = stats,
                                     .program = "urlsum-hasher",
                                     .is_ready = is_ready,
                                     .is_live = is_live,
                                     .put_metrics = put_metrics};

    return http_new(loop, address, &owner, out_http);
}
