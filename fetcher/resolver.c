#include "fetcher/resolver.h"

#include "common/log.h"
#include "fetcher/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// Questions under way at once: resolvers drop what comes in larger bursts.
#define QUESTIONS_MAX 256
// For how long answers are kept. A TTL of 0 would mean a question a connection,
// and a name of months may move tomorrow after all.
#define TTL_MS_MIN 1000
#define TTL_MS_MAX 3600000
#define ABSENT_MS 60000
// Names that nobody can tell: their origin's other URLs need not ask again.
#define FAILED_MS 10000
// A name fails after so many tries while others were told.
#define TRIES_MAX 3
// Pause after the first of them; the second is twice as long.
#define RETRY_MS 1000
// Names that are tried during an outage though nobody waits for them.
#define CANARIES_MAX 8
// Between two tries during an outage.
#define PROBE_MS 1000

enum mood { CLEAR, DOUBT, OUTAGE };

struct resolver {
    struct resolver_config config;
    struct resolver_source source;
    struct resolver_stats *stats;
    struct name_table table;
    size_t under_way; // questions, but for the probe
    bool is_probing;  // the root's servers are being asked for
    enum mood mood;
    uint64_t mood_ms;  // since when
    uint64_t probe_ms; // outage: when the next try is due
    uint64_t good;     // answers of servers that told something
    const char *why;   // of the last that told nothing
};

// The token of a question is its name; that of a probe is none's.
static char probe_token;

static void
settle(struct resolver *resolver, struct resolver_name *name,
       const struct resolver_result *result, uint64_t until_ms)
{
    name->result = *result;
    name->until_ms = until_ms;
    name_table_move(&resolver->table, name, NAME_TO_TELL);
}

static void
settle_as(struct resolver *resolver, struct resolver_name *name,
          enum resolver_verdict verdict, const char *why, uint64_t until_ms)
{
    const struct resolver_result result = {.verdict = verdict, .why = why};

    settle(resolver, name, &result, until_ms);
}

// --- Moods ---

static void
set_mood(struct resolver *resolver, enum mood mood, uint64_t now_ms)
{
    resolver->mood = mood;
    resolver->mood_ms = now_ms;
    metrics_set(&resolver->stats->is_out, mood == OUTAGE);
}

static void
begin_outage(struct resolver *resolver, uint64_t now_ms)
{
    char servers[256];

    set_mood(resolver, OUTAGE, now_ms);
    metrics_add(&resolver->stats->outages, 1);
    resolver->probe_ms = now_ms + PROBE_MS;
    log_error("dns.outage", "servers=%s names=%" PRIu64 " reason=\"%s\"",
              resolver->source.describe(resolver->source.arg, servers,
                                        sizeof(servers)),
              metrics_get(&resolver->stats->waiting), resolver->why);
}

// Something was told by a server.
static void
on_good(struct resolver *resolver, uint64_t now_ms)
{
    resolver->good++;
    if (resolver->mood == OUTAGE)
        log_info("dns.back", "outage_ms=%" PRIu64 " names=%" PRIu64,
                 now_ms - resolver->mood_ms,
                 metrics_get(&resolver->stats->waiting));
    if (resolver->mood != CLEAR)
        set_mood(resolver, CLEAR, now_ms);
}

// --- Answers ---

static void
on_found(struct resolver *resolver, struct resolver_name *name,
         const struct dns_answer *answer, uint64_t now_ms)
{
    uint64_t ttl_ms = (uint64_t)answer->ttl_s * 1000;
    size_t bytes = answer->len * sizeof(*answer->addresses);
    struct dns_address *copy = malloc(bytes);

    if (!copy) {
        settle_as(resolver, name, RESOLVER_BROKEN, "out of memory", now_ms);
        return;
    }
    memcpy(copy, answer->addresses, bytes);
    free(name->addresses);
    name->addresses = copy;
    if (ttl_ms < TTL_MS_MIN)
        ttl_ms = TTL_MS_MIN;
    if (ttl_ms > TTL_MS_MAX)
        ttl_ms = TTL_MS_MAX;
    settle(resolver, name,
           &(struct resolver_result){.verdict = RESOLVER_FOUND,
                                     .addresses = copy,
                                     .len = answer->len},
           now_ms + ttl_ms);
}

static void
fail(struct resolver *resolver, struct resolver_name *name, const char *why,
     uint64_t now_ms)
{
    metrics_add(&resolver->stats->failed, 1);
    settle_as(resolver, name, RESOLVER_FAILED, why, now_ms + FAILED_MS);
}

// A failure that is the name's own.
static void
charge(struct resolver *resolver, struct resolver_name *name, const char *why,
       uint64_t now_ms)
{
    name->good_before = resolver->good;
    if (++name->tries >= TRIES_MAX) {
        fail(resolver, name, why, now_ms);
        return;
    }
    name->due_ms = now_ms + ((uint64_t)RETRY_MS << (name->tries - 1));
    name_table_move(&resolver->table, name, NAME_DELAYED);
}

// Servers told nothing of it, or were silent.
static void
on_nothing(struct resolver *resolver, struct resolver_name *name,
           const struct dns_answer *answer, uint64_t now_ms)
{
    resolver->why = answer->why;
    if (resolver->good != name->good_before && resolver->mood == CLEAR) {
        charge(resolver, name, answer->why, now_ms);
        return;
    }
    name->good_before = resolver->good;
    name->doubted = answer->why;
    name_table_move(&resolver->table, name, NAME_QUEUED);
    if (resolver->mood == CLEAR)
        set_mood(resolver, DOUBT, now_ms);
}

// The servers are well: the trouble was of these names.
static void
charge_doubted(struct resolver *resolver, uint64_t now_ms)
{
    struct resolver_name *name, *next;

    DL_FOREACH_SAFE(resolver->table.queued, name, next)
    {
        if (name->doubted)
            charge(resolver, name, name->doubted, now_ms);
    }
}

static void
on_probe_answer(struct resolver *resolver, const struct dns_answer *answer,
                uint64_t now_ms)
{
    bool is_good = answer->status == DNS_FOUND || answer->status == DNS_ABSENT;

    resolver->is_probing = false;
    if (is_good) {
        bool was_doubt = resolver->mood == DOUBT;

        on_good(resolver, now_ms);
        if (was_doubt)
            charge_doubted(resolver, now_ms);
        return;
    }
    resolver->why = answer->why;
    if (resolver->mood == DOUBT)
        begin_outage(resolver, now_ms);
}

void
resolver_on_answer(struct resolver *resolver, void *token,
                   const struct dns_answer *answer, uint64_t now_ms)
{
    struct resolver_name *name = token;

    if (token == &probe_token) {
        on_probe_answer(resolver, answer, now_ms);
        return;
    }
    assert(name->state == NAME_ASKED);
    resolver->under_way--;
    switch (answer->status) {
    case DNS_FOUND:
        on_found(resolver, name, answer, now_ms);
        break;
    case DNS_ABSENT:
        metrics_add(&resolver->stats->absent, 1);
        settle_as(resolver, name, RESOLVER_ABSENT, answer->why,
                  now_ms + ABSENT_MS);
        break;
    case DNS_BROKEN:
        settle_as(resolver, name, RESOLVER_BROKEN, answer->why, now_ms);
        return;
    case DNS_UNTOLD:
        on_nothing(resolver, name, answer, now_ms);
        return;
    }
    if (!answer->is_local)
        on_good(resolver, now_ms);
}

// --- Questions ---

static void
ask(struct resolver *resolver, struct resolver_name *name)
{
    name_table_move(&resolver->table, name, NAME_ASKED);
    name->doubted = NULL;
    resolver->under_way++;
    metrics_add(&resolver->stats->questions, 1);
    if (resolver->source.ask(resolver->source.arg, name->text, name) == 0)
        return; // the answer may have come already
    resolver->under_way--;
    settle_as(resolver, name, RESOLVER_BROKEN, "out of memory", 0);
}

static void
probe(struct resolver *resolver)
{
    if (resolver->is_probing)
        return;
    resolver->is_probing = true;
    metrics_add(&resolver->stats->questions, 1);
    if (resolver->source.ask(resolver->source.arg, NULL, &probe_token) != 0)
        resolver->is_probing = false; // the next turn tries again
}

// After an outage of that length names fail with what was said last.
static void
fail_overdue(struct resolver *resolver, uint64_t now_ms)
{
    uint64_t max_ms = resolver->config.outage_ms_max;
    struct resolver_name *name, *next;

    if (!max_ms || now_ms - resolver->mood_ms < max_ms)
        return;
    DL_FOREACH_SAFE(resolver->table.queued, name, next)
    {
        if (name->waits) // else it is tried for the sake of others
            fail(resolver, name, resolver->why, now_ms);
    }
}

static void
run_delayed(struct resolver *resolver, uint64_t now_ms)
{
    struct resolver_name *name, *next;

    DL_FOREACH_SAFE(resolver->table.delayed, name, next)
    {
        if (now_ms >= name->due_ms)
            name_table_move(&resolver->table, name, NAME_QUEUED);
    }
}

static void
run_queue(struct resolver *resolver, uint64_t now_ms)
{
    run_delayed(resolver, now_ms);
    switch (resolver->mood) {
    case CLEAR:
        // An answer that comes at once may change the mood.
        while (resolver->table.queued && resolver->under_way < QUESTIONS_MAX &&
               resolver->mood == CLEAR)
            ask(resolver, resolver->table.queued);
        break;
    case DOUBT:
        probe(resolver);
        break;
    case OUTAGE:
        if (now_ms < resolver->probe_ms)
            break;
        resolver->probe_ms = now_ms + PROBE_MS;
        fail_overdue(resolver, now_ms);
        probe(resolver);
        if (resolver->table.queued && !resolver->under_way)
            ask(resolver, resolver->table.queued);
        break;
    }
}

// --- Those who wait ---

static void
remove_wait(struct resolver *resolver, struct resolver_wait *wait)
{
    struct resolver_name *name = wait->name;

    wait->name = NULL;
    DL_DELETE(name->waits, wait);
    if (!name->waits)
        metrics_sub(&resolver->stats->waiting, 1);
}

static void
tell_all(struct resolver *resolver)
{
    while (resolver->table.to_tell) {
        struct resolver_name *name = resolver->table.to_tell;

        // Whoever is told may make others stop waiting.
        while (name->waits) {
            struct resolver_wait *wait = name->waits;

            remove_wait(resolver, wait);
            wait->done(wait->arg, &name->result);
        }
        name_table_move(&resolver->table, name, NAME_KEPT);
    }
}

static void
add_wait(struct resolver *resolver, struct resolver_name *name,
         struct resolver_wait *wait)
{
    if (!name->waits)
        metrics_add(&resolver->stats->waiting, 1);
    wait->name = name;
    DL_APPEND(name->waits, wait);
}

static void
begin(struct resolver *resolver, struct resolver_name *name)
{
    name->tries = 0;
    name->good_before = resolver->good;
    name_table_move(&resolver->table, name, NAME_QUEUED);
}

int
resolver_ask(struct resolver *resolver, struct resolver_wait *wait,
             const char *name, uint64_t now_ms)
{
    struct resolver_name *found = name_table_find(&resolver->table, name);

    assert(!wait->name);
    if (!found)
        found = name_table_add(&resolver->table, name);
    if (!found)
        return -ENOMEM;
    if (found->state == NAME_KEPT && now_ms < found->until_ms) {
        metrics_add(&resolver->stats->hits, 1);
        name_table_move(&resolver->table, found, NAME_TO_TELL);
    } else if (found->state == NAME_KEPT || found->state == NAME_NEW) {
        begin(resolver, found);
    }
    add_wait(resolver, found, wait);
    return 0;
}

// During an outage a few names stay in the queue that nobody waits for: servers
// that refuse to tell the root's may tell these, and so its end.
static bool
is_canary(const struct resolver *resolver)
{
    const struct resolver_name *it;
    size_t len = 0;

    if (resolver->mood != OUTAGE)
        return false;
    DL_COUNT(resolver->table.queued, it, len);
    return len <= CANARIES_MAX;
}

void
resolver_cancel(struct resolver *resolver, struct resolver_wait *wait)
{
    struct resolver_name *name = wait->name;

    if (!name)
        return;
    remove_wait(resolver, wait);
    if (name->waits ||
        (name->state != NAME_QUEUED && name->state != NAME_DELAYED))
        return; // its answer will be of use to the next
    if (!is_canary(resolver))
        name_table_remove(&resolver->table, name);
}

// --- Life ---

void
resolver_turn(struct resolver *resolver, uint64_t now_ms)
{
    run_queue(resolver, now_ms);
    tell_all(resolver);
}

bool
resolver_is_due(const struct resolver *resolver)
{
    return resolver->table.to_tell ||
           (resolver->table.queued && resolver->mood == CLEAR &&
            resolver->under_way < QUESTIONS_MAX);
}

bool
resolver_is_out(const struct resolver *resolver)
{
    return resolver->mood == OUTAGE;
}

bool
resolver_is_busy(const struct resolver *resolver)
{
    return resolver->under_way || resolver->is_probing ||
           resolver->table.queued || resolver->table.delayed ||
           resolver->mood != CLEAR;
}

int
resolver_new(const struct resolver_config *config,
             const struct resolver_source *source, struct resolver_stats *stats,
             struct resolver **out_resolver)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver)
        return -ENOMEM;
    resolver->config = *config;
    resolver->source = *source;
    resolver->stats = stats;
    resolver->why = "";
    *out_resolver = resolver;
    return 0;
}

void
resolver_free(struct resolver **resolver)
{
    if (!*resolver)
        return;
    name_table_fini(&(*resolver)->table);
    free(*resolver);
    *resolver = NULL;
}
