#include "broker/stats.h"

#include "broker/api.h"
#include "broker/disk.h"
#include "broker/guard.h"
#include "broker/state.h"
#include "common/clock.h"
#include "common/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#define SECOND_US UINT64_C(1000000)

static const char *const roles[] = {
    [WIRE_FETCHER] = "fetcher",
    [WIRE_HASHER] = "hasher",
};

// --- /readyz ---

// Missing workers are no reason: submissions are taken without them.
static bool
is_ready(void *arg, char *why)
{
    const struct broker *broker = arg;
    struct store_stats store;
    int64_t since_wall_ms;
    bool is_store;
    const char *hindrance = broker_hindrance(broker, &since_wall_ms, &is_store);

    store_stats(broker->store, &store);
    if (store.busy_us / 1000 > STATS_STORE_HUNG_MS)
        (void)snprintf(why, HTTP_WHY_MAX,
                       "the store has not answered for %" PRIu64 " s",
                       store.busy_us / SECOND_US);
    else if (!broker->recovery.is_over)
        (void)snprintf(why, HTTP_WHY_MAX, "the broker reads its store");
    else if (is_store)
        (void)snprintf(why, HTTP_WHY_MAX, "%s", hindrance);
    else if (broker->is_draining)
        (void)snprintf(why, HTTP_WHY_MAX, "the broker is about to stop");
    else
        return true;
    return false;
}

// --- /metrics: the queue ---

// URLs of unfinished batches that have no record yet.
static uint64_t
open_urls(const struct broker *broker)
{
    const struct batch *batch, *next;
    uint64_t len = 0;

    HASH_ITER(hh, broker->batches.by_number, batch, next)
    {
        len += batch->submitted - (batch->landed - batch->replaced);
    }
    return len;
}

static void
put_urls(const struct broker *broker, struct metrics_page *page)
{
    const struct metrics_value *jobs = broker->stats.jobs;
    uint64_t all = open_urls(broker);
    uint64_t fetching = metrics_get(&jobs[JOB_LEASED]);
    uint64_t hashing = metrics_get(&jobs[JOB_HASHING]);
    uint64_t retrying = metrics_get(&jobs[JOB_RETRY_WAIT]);
    uint64_t recording = metrics_get(&jobs[JOB_DONE]) +
                         metrics_get(&jobs[JOB_FAILED]) +
                         metrics_get(&jobs[JOB_CANCELLED]);
    uint64_t others = fetching + hashing + retrying + recording;

    metrics_family(page, METRICS_GAUGE, "urlsum_broker_urls",
                   "URLs of unfinished batches that have no record yet, by "
                   "what they wait for.");
    metrics_put(page, METRICS_LABEL("state", "queued"),
                all > others ? all - others : 0);
    metrics_put(page, METRICS_LABEL("state", "fetching"), fetching);
    metrics_put(page, METRICS_LABEL("state", "hashing"), hashing);
    metrics_put(page, METRICS_LABEL("state", "retrying"), retrying);
    metrics_put(page, METRICS_LABEL("state", "recording"), recording);
}

static void
put_by_fail(struct metrics_page *page, const char *label,
            const struct metrics_value *values)
{
    for (int fail = 0; fail < FAIL_COUNT; fail++)
        metrics_put(page, METRICS_LABEL(label, fail_name((enum fail)fail)),
                    metrics_get(&values[fail]));
}

static void
put_queue(const struct broker *broker, struct metrics_page *page)
{
    const struct stats *stats = &broker->stats;

    put_urls(broker, page);
    metrics_gauge(page, "urlsum_broker_batches_unfinished",
                  "Unfinished batches that are being worked on.",
                  broker->batches.len);
    metrics_gauge(page, "urlsum_broker_jobs_in_memory",
                  "URLs that were read from the store and are worked on.",
                  broker->jobs.len);
    metrics_counter(page, "urlsum_broker_urls_submitted_total",
                    "URLs that clients submitted and the store has.",
                    &stats->submitted);
    metrics_counter(page, "urlsum_broker_leases_total",
                    "Times that a URL was given to a fetcher.",
                    &stats->events[EV_LEASED]);
    metrics_counter(page, "urlsum_broker_leases_lost_total",
                    "Times that a URL came back from a worker without an "
                    "outcome and was queued again.",
                    &stats->events[EV_LEASE_LOST]);
    metrics_counter(page, "urlsum_broker_leases_expired_total",
                    "Leases that were taken back because the URL did not "
                    "move.",
                    &stats->leases_over);
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_retries_total",
                   "Failed tries that are followed by another one, by "
                   "reason.");
    put_by_fail(page, "reason", stats->retries);
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_records_total",
                   "Records that were committed, by outcome.");
    put_by_fail(page, "outcome", stats->records);
}

static void
put_hosts(const struct broker *broker, struct metrics_page *page)
{
    struct hosts_figures hosts;

    hosts_figures(broker, &hosts);
    metrics_family(
        page, METRICS_GAUGE, "urlsum_broker_hosts",
        "Origins that are not asked just now: closed by a 429 or "
        "503, parked because nobody can connect, given up for that.");
    metrics_put(page, METRICS_LABEL("state", "closed"), hosts.closed);
    metrics_put(page, METRICS_LABEL("state", "parked"), hosts.parked);
    metrics_put(page, METRICS_LABEL("state", "given_up"), hosts.given_up);
    metrics_gauge(page, "urlsum_broker_hosts_in_memory",
                  "Origins that are worked on or remembered.", hosts.origins);
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_hosts_changes_total",
                   "Times that an origin was closed, parked or given up.");
    metrics_put(page, METRICS_LABEL("to", "closed"), hosts.closed_total);
    metrics_put(page, METRICS_LABEL("to", "parked"), hosts.parked_total);
    metrics_put(page, METRICS_LABEL("to", "given_up"), hosts.given_up_total);
}

// --- /metrics: workers and bodies ---

// Of all workers together.
struct workload {
    uint64_t slots;         // transfers that fetchers would run at once
    uint64_t used_bytes;    // that fetchers sent and no hasher took
    uint64_t backlog_bytes; // of these, what is before hashers
};

static struct workload
sum_workload(const struct sessions *sessions)
{
    struct workload sum = {0};
    const struct session *it;

    DL_FOREACH(sessions->fetchers, it)
    {
        sum.slots += it->is_draining ? 0 : it->capacity;
        sum.used_bytes += it->outstanding;
    }
    DL_FOREACH(sessions->hashers, it)
    {
        sum.backlog_bytes += it->backlog;
    }
    return sum;
}

static void
put_by_role(struct metrics_page *page, enum metrics_type type, const char *name,
            const char *help, uint64_t fetchers, uint64_t hashers)
{
    metrics_family(page, type, name, help);
    metrics_put(page, METRICS_LABEL("role", roles[WIRE_FETCHER]), fetchers);
    metrics_put(page, METRICS_LABEL("role", roles[WIRE_HASHER]), hashers);
}

static void
put_sessions(const struct broker *broker, struct metrics_page *page)
{
    static const char *const endings[] = {
        [SESSION_LEFT] = "left",
        [SESSION_LOST] = "lost",
        [SESSION_REFUSED] = "refused",
    };
    const struct sessions *sessions = &broker->sessions;
    const struct stats *stats = &broker->stats;

#define BY_ROLE(counters)                                                      \
    metrics_get(&stats->counters[WIRE_FETCHER]),                               \
        metrics_get(&stats->counters[WIRE_HASHER])
    put_by_role(page, METRICS_GAUGE, "urlsum_broker_sessions",
                "Workers that have a session; each thread of a hasher is one.",
                sessions->fetchers_len, sessions->hashers_len);
    metrics_gauge(page, "urlsum_broker_fetchers_paused",
                  "Fetchers that want no jobs for now: no DNS server answers "
                  "them.",
                  sessions_paused(sessions));
    put_by_role(page, METRICS_COUNTER, "urlsum_broker_sessions_begun_total",
                "Sessions of workers that began.", BY_ROLE(sessions_begun));
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_sessions_ended_total",
                   "Sessions of workers that ended: they left, were lost, or "
                   "were refused for what they did.");
    for (int role = WIRE_FETCHER; role <= WIRE_HASHER; role++) {
        for (int how = 0; how < SESSION_ENDINGS; how++)
            metrics_put(
                page, METRICS_LABELS("role", roles[role], "how", endings[how]),
                metrics_get(&stats->sessions_ended[role][how]));
    }
    put_by_role(page, METRICS_COUNTER, "urlsum_broker_hellos_refused_total",
                "Workers that asked for a session and got none.",
                BY_ROLE(hellos_refused));
    put_by_role(page, METRICS_COUNTER, "urlsum_broker_bad_frames_total",
                "Messages at a worker endpoint that break the protocol.",
                BY_ROLE(bad_frames));
#undef BY_ROLE
    metrics_gauge(page, "urlsum_broker_fetch_slots",
                  "Transfers that the fetchers would run at once.",
                  sum_workload(sessions).slots);
}

static void
put_bodies(const struct broker *broker, struct metrics_page *page)
{
    const struct workload workload = sum_workload(&broker->sessions);
    const struct stats *stats = &broker->stats;

    metrics_gauge(page, "urlsum_broker_buffer_limit_bytes",
                  "Body bytes that may be between fetchers and hashers "
                  "(--buffer-memory).",
                  (uint64_t)broker->config->buffer_memory);
    metrics_gauge(page, "urlsum_broker_buffer_granted_bytes",
                  "Of these, what the fetchers' windows add up to.",
                  broker->sessions.window_given);
    metrics_gauge(page, "urlsum_broker_buffer_used_bytes",
                  "Body bytes that fetchers sent and no hasher has taken.",
                  workload.used_bytes);
    metrics_gauge(page, "urlsum_broker_hash_backlog_bytes",
                  "Body bytes that were passed to hashers and not taken yet.",
                  workload.backlog_bytes);
    metrics_counter(page, "urlsum_broker_body_messages_total",
                    "Messages with body bytes from fetchers.",
                    &stats->body_messages);
    metrics_counter(page, "urlsum_broker_body_bytes_total",
                    "Body bytes from fetchers.", &stats->body_bytes);
    metrics_counter(page, "urlsum_broker_digested_bytes_total",
                    "Bytes of bodies whose digests came.",
                    &stats->digested_bytes);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_broker_digest_wait_seconds",
                   "Time from a body's last byte on its way to a hasher until "
                   "its digests came, to the millisecond.");
    metrics_put_histogram(page, NULL, &metrics_shape_work, &stats->digest_wait);
}

// --- /metrics: the store ---

static void
put_disk(const struct disk *disk, struct metrics_page *page)
{
    struct disk_sizes sizes = disk_sizes(disk);

    metrics_gauge(page, "urlsum_broker_store_file_bytes",
                  "Size of the store's file and its log; 0: a temporary one.",
                  sizes.file_bytes);
    metrics_family(page, METRICS_GAUGE, "urlsum_broker_store_free_bytes",
                   "What is free on the store's file system for the broker.");
    if (sizes.is_free_known)
        metrics_put(page, NULL, sizes.free_bytes);
}

static void
put_store(const struct broker *broker, struct metrics_page *page)
{
    struct store_stats store;
    int64_t since_wall_ms;
    bool is_store;

    store_stats(broker->store, &store);
    (void)broker_hindrance(broker, &since_wall_ms, &is_store);
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_store_commits_total",
                   "Transactions that were committed.");
    metrics_put(page, NULL, store.commits);
    metrics_family(page, METRICS_COUNTER,
                   "urlsum_broker_store_operations_total",
                   "Operations that the store has answered.");
    metrics_put(page, NULL, store.operations);
    metrics_family(page, METRICS_HISTOGRAM,
                   "urlsum_broker_store_commit_seconds",
                   "Time of a commit, the sync to disk included.");
    metrics_put_histogram(page, NULL, &metrics_shape_work, store.commit_times);
    metrics_gauge(page, "urlsum_broker_store_operations_waiting",
                  "Operations that the store has not answered yet.",
                  store.waiting);
    metrics_family(page, METRICS_GAUGE, "urlsum_broker_store_busy_seconds",
                   "How long the store has been at its present group of "
                   "operations; 0: idle.");
    metrics_put_parts(page, NULL, store.busy_us, SECOND_US);
    metrics_counter(page, "urlsum_broker_store_refusals_total",
                    "Operations that the store refused: a full disk, an I/O "
                    "error.",
                    &broker->stats.store_refusals);
    metrics_gauge(page, "urlsum_broker_store_refuses",
                  "1 while the store refuses to record, else 0.", is_store);
    metrics_gauge(page, "urlsum_broker_records_unwritten",
                  "Records that the store refused and that wait to be written.",
                  broker->trouble.unrecorded);
    put_disk(broker->disk, page);
}

// --- /metrics: clients and connections ---

static void
put_strangers(const struct broker *broker, struct metrics_page *page)
{
    const struct guard *const guards[ACCESS_ROLES] = {
        [ACCESS_CLIENT] = broker->client_guard,
        [ACCESS_FETCHER] = broker->fetcher_guard,
        [ACCESS_HASHER] = broker->hasher_guard,
    };
    struct guard_stats stats[ACCESS_ROLES];

    for (int i = 0; i < ACCESS_ROLES; i++)
        guard_stats(guards[i], &stats[i]);
    metrics_family(page, METRICS_GAUGE, "urlsum_broker_connections",
                   "Connections to an endpoint, of whomever.");
    for (int i = 0; i < ACCESS_ROLES; i++)
        metrics_put(
            page,
            METRICS_LABEL("endpoint", access_role_name((enum access_role)i)),
            stats[i].connections);
    metrics_family(page, METRICS_COUNTER, "urlsum_broker_connections_cut_total",
                   "Connections that were cut off: too many, or more sent than "
                   "is taken, or answers not read.");
    for (int i = 0; i < ACCESS_ROLES; i++)
        metrics_put(
            page,
            METRICS_LABEL("endpoint", access_role_name((enum access_role)i)),
            stats[i].cut);
    metrics_family(page, METRICS_COUNTER,
                   "urlsum_broker_connections_refused_total",
                   "Connections that were not let in, or no longer, for the "
                   "key they showed.");
    for (int role = 0; role < ACCESS_ROLES; role++) {
        for (int why = 0; why < REFUSALS; why++)
            metrics_put(page,
                        METRICS_LABELS("endpoint",
                                       access_role_name((enum access_role)role),
                                       "reason",
                                       refusal_name((enum refusal)why)),
                        broker->refusals.counts[role][why]);
    }
    metrics_gauge(page, "urlsum_broker_requests_waiting",
                  "Requests of clients that have no answer yet, those that "
                  "wait for news of a batch among them.",
                  api_requests(broker->api));
    metrics_counter(page, "urlsum_broker_requests_total",
                    "Requests of clients.", &broker->stats.requests);
    metrics_counter(page, "urlsum_broker_requests_refused_total",
                    "Requests that were answered with an error.",
                    &broker->stats.requests_refused);
}

static void
put_metrics(void *arg, struct metrics_page *page)
{
    const struct broker *broker = arg;

    put_queue(broker, page);
    put_hosts(broker, page);
    put_sessions(broker, page);
    put_bodies(broker, page);
    put_store(broker, page);
    put_strangers(broker, page);
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
