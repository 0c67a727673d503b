#include "broker/stats.h"

#include "broker/state.h"
#include "common/http.h"
#include "common/metrics.h"

#include <stdio.h>

// Missing workers are no reason: submissions are taken without them.
static bool
is_ready(void *arg, char *why)
{
    const struct broker *broker = arg;
    int64_t since_wall_ms;
    bool is_store;
    const char *hindrance = broker_hindrance(broker, &since_wall_ms, &is_store);

    if (!broker->recovery.is_over)
        (void)snprintf(why, HTTP_WHY_MAX, "the broker reads its store");
    else if (is_store)
        (void)snprintf(why, HTTP_WHY_MAX, "%s", hindrance);
    else if (broker->is_draining)
        (void)snprintf(why, HTTP_WHY_MAX, "the broker is about to stop");
    else
        return true;
    return false;
}

static void
put_metrics(void *arg, struct metrics_page *page)
{
    (void)arg, (void)page;
}

int
stats_serve(struct broker *broker, const char *address, struct http **out_http)
{
    const struct http_owner owner = {.arg = broker,
                                     .program = "urlsum-broker",
                                     .is_ready = is_ready,
                                     .put_metrics = put_metrics};

    return http_new(broker->loop, address, &owner, out_http);
}
