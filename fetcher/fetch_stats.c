#include "fetcher/fetch_stats.h"

#include "common/http.h"
#include "common/metrics.h"

#include <stdio.h>

static bool
is_ready(void *arg, char *why)
{
    const struct fetch_stats *stats = arg;

    if (stats->is_draining)
        (void)snprintf(why, HTTP_WHY_MAX, "the fetcher is about to stop");
    else if (!metrics_get(&stats->link.live))
        (void)snprintf(why, HTTP_WHY_MAX, "no session with the broker");
    else
        return true;
    return false;
}

static void
put_metrics(void *arg, struct metrics_page *page)
{
    const struct fetch_stats *stats = arg;

    link_stats_put(page, &stats->link, 1, 0);
}

int
fetch_stats_serve(struct fetch_stats *stats, struct loop *loop,
                  const char *address, struct http **out_http)
{
    const struct http_owner owner = {.arg = stats,
                                     .program = "urlsum-fetcher",
                                     .is_ready = is_ready,
                                     .put_metrics = put_metrics};

    return http_new(loop, address, &owner, out_http);
}
