#include "fetcher/fetch_stats.h"

#include "common/http.h"
#include "proto/wire.h"

#include <stdio.h>

void
fetch_stats_count(struct fetch_stats *stats, const struct wire_fetched *fetched)
{
    const struct wire_facts *facts = &fetched->facts;

    metrics_add(&stats->outcomes[fetched->outcome], 1);
    if (facts->http_status != WIRE_UNSET && facts->http_status < 600)
        metrics_add(&stats->classes[facts->http_status / 100], 1);
    if (facts->redirects != WIRE_UNSET)
        metrics_add(&stats->redirects, facts->redirects);
    if (facts->total_us != WIRE_UNSET)
        metrics_observe(&stats->fetch_time, &metrics_shape_transfer,
                        facts->total_us);
    if (facts->first_byte_us != WIRE_UNSET)
        metrics_observe(&stats->first_byte_time, &metrics_shape_transfer,
                        facts->first_byte_us);
    if (fetched->outcome == FAIL_OK)
        metrics_observe(&stats->body_size, &metrics_shape_bytes, fetched->size);
}

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
put_ends(const struct fetch_stats *stats, struct metrics_page *page)
{
    static const char *const classes[] = {NULL,  "1xx", "2xx",
                                          "3xx", "4xx", "5xx"};

    metrics_family(page, METRICS_COUNTER, "urlsum_fetcher_transfers_total",
                   "Transfers that ended, by outcome.");
    for (int fail = 0; fail < FAIL_COUNT; fail++)
        metrics_put(page, METRICS_LABEL("outcome", fail_name((enum fail)fail)),
                    metrics_get(&stats->outcomes[fail]));
    metrics_counter(page, "urlsum_fetcher_transfers_dropped_total",
                    "Transfers that ended without an outcome: the broker took "
                    "them back, or its session was lost.",
                    &stats->dropped);
    metrics_family(page, METRICS_COUNTER, "urlsum_fetcher_responses_total",
                   "Last HTTP answers of transfers, by class of status.");
    for (size_t i = 1; i < 6; i++)
        metrics_put(page, METRICS_LABEL("class", classes[i]),
                    metrics_get(&stats->classes[i]));
}

static void
put_names(const struct resolver_stats *names, struct metrics_page *page)
{
    metrics_counter(page, "urlsum_fetcher_dns_questions_total",
                    "Names that DNS servers were asked for.",
                    &names->questions);
    metrics_counter(page, "urlsum_fetcher_dns_hits_total",
                    "Names that were wanted and known.", &names->hits);
    metrics_counter(page, "urlsum_fetcher_dns_absent_total",
                    "Names that do not exist or have no address.",
                    &names->absent);
    metrics_counter(page, "urlsum_fetcher_dns_failures_total",
                    "Names that no DNS server could tell.", &names->failed);
    metrics_counter(page, "urlsum_fetcher_dns_outages_total",
                    "Times that no name could be told at all.",
                    &names->outages);
    metrics_gauge(page, "urlsum_fetcher_dns_outage",
                  "1 while no name can be told at all: transfers wait.",
                  metrics_get(&names->is_out));
    metrics_gauge(page, "urlsum_fetcher_dns_names_waiting",
                  "Names that transfers wait for.",
                  metrics_get(&names->waiting));
}

static void
put_metrics(void *arg, struct metrics_page *page)
{
    const struct fetch_stats *stats = arg;

    link_stats_put(page, &stats->link, 1, 0);
    metrics_gauge(page, "urlsum_fetcher_transfers_in_flight",
                  "Transfers in hand, those that wait for credit among them.",
                  metrics_get(&stats->in_hand));
    metrics_gauge(page, "urlsum_fetcher_transfers_limit",
                  "Transfers that may run at once (--parallel-max).",
                  stats->slots);
    put_ends(stats, page);
    metrics_counter(page, "urlsum_fetcher_body_bytes_total",
                    "Body bytes that were downloaded.", &stats->bytes);
    metrics_counter(page, "urlsum_fetcher_connections_total",
                    "Connections to origins that were made.", &stats->connects);
    metrics_counter(page, "urlsum_fetcher_redirects_total",
                    "Redirects that were followed.", &stats->redirects);
    metrics_counter(page, "urlsum_fetcher_credit_waits_total",
                    "Times that a transfer paused for want of credit: the "
                    "hashers, or the buffer, were slower than the origin.",
                    &stats->credit_waits);
    put_names(&stats->names, page);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_fetcher_fetch_seconds",
                   "Time of a transfer from its start to its end, failed ones "
                   "among them.");
    metrics_put_histogram(page, NULL, &metrics_shape_transfer,
                          &stats->fetch_time);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_fetcher_first_byte_seconds",
                   "Time from a transfer's start to the first byte of its last "
                   "answer.");
    metrics_put_histogram(page, NULL, &metrics_shape_transfer,
                          &stats->first_byte_time);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_fetcher_body_size_bytes",
                   "Size of bodies that came whole.");
    metrics_put_histogram(page, NULL, &metrics_shape_bytes, &stats->body_size);
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
