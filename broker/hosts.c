#include "broker/hosts.h"

#include "broker/facts.h"
#include "broker/group_key.h"
#include "broker/life.h"
#include "broker/place.h"
#include "broker/state.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// --rate is in thousandths an hour.
#define RATE_NS (UINT64_C(1000) * 3600 * 1000000000)

int
hosts_init(struct broker *broker)
{
    struct hosts *hosts = &broker->hosts;
    size_t most = FLOWS_MAX + HOSTS_KEPT_MAX;
    const char *by = broker->config->group_by;
    int err = group_keys_new(by ? by : "origin", &hosts->keys);

    if (!err)
        err = heap_reserve(&hosts->origins_due, most);
    if (!err)
        err = heap_reserve(&hosts->groups_due, most);
    if (broker->config->rate)
        hosts->interval_ns = RATE_NS / (uint64_t)broker->config->rate;
    return err;
}

// --- Origins and groups ---

static struct group *
find_or_make_group(struct hosts *hosts, uint64_t key)
{
    struct group *group;

    HASH_FIND(hh, hosts->groups, &key, sizeof(key), group);
    if (group)
        return group;
    group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    group->key = key;
    HASH_ADD(hh, hosts->groups, key, sizeof(group->key), group);
    if (!group->hh.tbl) { // not added: no memory
        free(group);
        return NULL;
    }
    return group;
}

static void
free_if_empty(struct hosts *hosts, struct group *group)
{
    if (group->origins_len)
        return;
    heap_remove(&hosts->groups_due, &group->due);
    HASH_DEL(hosts->groups, group);
    free(group);
}

static void
origin_free(struct hosts *hosts, struct origin *origin)
{
    heap_remove(&hosts->origins_due, &origin->due);
    HASH_DEL(hosts->origins, origin);
    origin->group->origins_len--;
    free_if_empty(hosts, origin->group);
    free(origin->text);
    free(origin);
}

void
hosts_fini(struct broker *broker)
{
    struct hosts *hosts = &broker->hosts;
    struct origin *origin, *next;

    HASH_ITER(hh, hosts->origins, origin, next)
    {
        origin_free(hosts, origin);
    }
    heap_fini(&hosts->origins_due);
    heap_fini(&hosts->groups_due);
    group_keys_free(&hosts->keys);
}

struct origin *
hosts_find(const struct hosts *hosts, uint64_t number)
{
    struct origin *origin;

    HASH_FIND(hh, hosts->origins, &number, sizeof(number), origin);
    return origin;
}

// Until its text is known it is a group of its own.
static struct origin *
origin_new(struct hosts *hosts, uint64_t number)
{
    struct origin *origin = calloc(1, sizeof(*origin));

    if (!origin)
        return NULL;
    origin->number = number;
    origin->text = strdup("");
    origin->group = find_or_make_group(hosts, number);
    if (origin->group)
        origin->group->origins_len++;
    HASH_ADD(hh, hosts->origins, number, sizeof(origin->number), origin);
    if (origin->text && origin->group && origin->hh.tbl)
        return origin;
    if (origin->hh.tbl) // else it was not added: no memory
        HASH_DEL(hosts->origins, origin);
    if (origin->group) {
        origin->group->origins_len--;
        free_if_empty(hosts, origin->group);
    }
    free(origin->text);
    free(origin);
    return NULL;
}

void
hosts_set_due(struct broker *broker, struct origin *origin)
{
    struct heap *heap = &broker->hosts.origins_due;
    uint64_t due_ms;

    (void)hosts_state(broker, origin, &due_ms);
    if (!origin->flows_len)
        due_ms = politeness_forget_ms(&origin->politeness);
    heap_remove(heap, &origin->due);
    // Room for every origin was reserved: it cannot fail.
    if (due_ms != UINT64_MAX)
        (void)heap_push(heap, &origin->due, due_ms);
}

struct origin *
hosts_ref(struct broker *broker, uint64_t number)
{
    struct hosts *hosts = &broker->hosts;
    struct origin *origin = hosts_find(hosts, number);

    if (!origin)
        origin = origin_new(hosts, number);
    else if (!origin->flows_len)
        hosts->figures.kept--;
    if (!origin)
        return NULL;
    origin->flows_len++;
    hosts_set_due(broker, origin);
    return origin;
}

// Nobody works at it. What is to be remembered is, while there is room: beyond
// it an origin that comes back is asked as if for the first time.
static void
keep_or_free(struct broker *broker, struct origin *origin)
{
    struct hosts *hosts = &broker->hosts;

    if (politeness_forget_ms(&origin->politeness) <=
            loop_now_ms(broker->loop) ||
        hosts->figures.kept >= HOSTS_KEPT_MAX) {
        origin_free(hosts, origin);
        return;
    }
    hosts->figures.kept++;
    hosts_set_due(broker, origin);
}

void
hosts_unref(struct broker *broker, struct origin *origin)
{
    if (!--origin->flows_len)
        keep_or_free(broker, origin);
}

void
hosts_regroup(struct broker *broker, struct origin *origin)
{
    struct hosts *hosts = &broker->hosts;
    uint64_t key = group_key(hosts->keys, origin->number, origin->text);
    struct group *group, *last = origin->group;

    if (key == last->key)
        return;
    group = find_or_make_group(hosts, key);
    if (!group)
        return;
    place_move(broker, origin, group);
    free_if_empty(hosts, last);
}

void
hosts_name(struct broker *broker, struct origin *origin, const char *text)
{
    char *copy;

    if (origin->text[0])
        return;
    copy = strdup(text);
    if (!copy)
        return; // the next page of its jobs brings it again
    free(origin->text);
    origin->text = copy;
    hosts_regroup(broker, origin);
}

struct origin *
hosts_keep(struct broker *broker, uint64_t number, const char *text)
{
    struct hosts *hosts = &broker->hosts;
    struct origin *origin;

    if (hosts->figures.kept >= HOSTS_KEPT_MAX)
        return NULL;
    origin = origin_new(hosts, number);
    if (!origin)
        return NULL;
    hosts->figures.kept++;
    hosts_name(broker, origin, text);
    return origin;
}

enum politeness_state
hosts_state(const struct broker *broker, const struct origin *origin,
            uint64_t *out_until_ms)
{
    return politeness_state(&origin->politeness, origin->running,
                            (uint64_t)broker->config->give_up_ms,
                            loop_now_ms(broker->loop), out_until_ms);
}

void
hosts_restore(struct broker *broker, const struct store_closing *closing,
              int64_t left_ms)
{
    struct origin *origin = hosts_find(&broker->hosts, closing->origin);

    if (!origin)
        origin = hosts_keep(broker, closing->origin, closing->text);
    if (!origin)
        return;
    politeness_restore(&origin->politeness, left_ms, (uint32_t)closing->status,
                       closing->is_told, closing->incidents,
                       loop_now_ms(broker->loop));
    hosts_set_due(broker, origin);
    place_all(broker, origin);
}

// --- Slots ---

void
hosts_begin(struct broker *broker, struct job *job)
{
    struct origin *origin = job->flow->origin;

    job->begun_ms = loop_now_ms(broker->loop);
    job->is_probe = politeness_begin(&origin->politeness);
    origin->running++;
    place_take_slot(broker, origin->group);
}

void
hosts_end(struct broker *broker, struct job *job)
{
    struct origin *origin = job->flow->origin;

    origin->running--;
    if (job->is_probe)
        politeness_end_probe(&origin->politeness);
    if (job->is_probe || !origin->politeness.is_reached)
        place_all(broker, origin); // another one may try it
    job->is_probe = false;
    place_give_slot(broker, origin->group);
}

// --- Given up, and time ---

void
hosts_hurry(struct broker *broker, struct origin *origin)
{
    struct heap *heap = &broker->hosts.origins_due;

    heap_remove(heap, &origin->due);
    (void)heap_push(heap, &origin->due, loop_now_ms(broker->loop));
}

// Its record says why it was not tried.
static void
add_reason(struct job *job, const struct origin *origin, uint64_t give_up_ms)
{
    struct wire_facts facts;
    unsigned char *data = NULL;
    char message[WIRE_TEXT_MAX + 1];
    size_t len;
    int written;

    wire_facts_init(&facts);
    written = snprintf(message, sizeof(message),
                       "its host could not be connected to for %" PRIu64
                       " s (%" PRIu32 " times in a row, the last: %s)",
                       give_up_ms / 1000, origin->politeness.failures,
                       fail_name(origin->last_fail));
    facts.message = (struct wire_bytes){message, (size_t)written};
    if (facts_encode(&facts, "", &data, &len) == 0)
        job_take_facts(job, &data, len);
}

void
hosts_fail_job(struct broker *broker, struct job *job)
{
    struct life_info info = {.outcome = FAIL_HOST_DOWN};

    add_reason(job, job->flow->origin, (uint64_t)broker->config->give_up_ms);
    job->http_status = 0;
    (void)life_apply(broker, job, EV_GIVEN_UP, &info);
}

static void
fail_queued(struct broker *broker, struct origin *origin)
{
    struct flow *flow;

    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        while (flow->queue)
            hosts_fail_job(broker, flow->queue);
        flow_place(broker, flow);
        flow_on_taken(broker, flow);
    }
    if (origin->is_given_up)
        return;
    origin->is_given_up = true;
    broker->hosts.figures.given_up_total++;
    if (log_enabled(LOG_WARN)) {
        char host[ORIGIN_TEXT_MAX * 4];

        log_outside(
            LOG_WARN, "host.given_up",
            "host=%s failures=%" PRIu32 " last=%s cost_ms=%" PRIu64,
            log_escape(origin->text, strlen(origin->text), host, sizeof(host)),
            origin->politeness.failures, fail_name(origin->last_fail),
            origin->failed_ms);
    }
}

static void
on_due(struct broker *broker, struct origin *origin)
{
    uint64_t until_ms;

    if (!origin->flows_len) {
        if (politeness_forget_ms(&origin->politeness) <=
            loop_now_ms(broker->loop)) {
            broker->hosts.figures.kept--;
            origin_free(&broker->hosts, origin);
        }
        return;
    }
    if (hosts_state(broker, origin, &until_ms) == POLITENESS_GIVEN_UP)
        fail_queued(broker, origin);
    else
        place_all(broker, origin);
    hosts_set_due(broker, origin);
}

static struct origin *
origin_of_due(struct heap_node *node)
{
    return (struct origin *)(void *)((char *)node -
                                     offsetof(struct origin, due));
}

static struct group *
group_of_due(struct heap_node *node)
{
    return (struct group *)(void *)((char *)node - offsetof(struct group, due));
}

uint64_t
hosts_run(struct broker *broker)
{
    struct hosts *hosts = &broker->hosts;
    uint64_t now_ms = loop_now_ms(broker->loop), due_ms = UINT64_MAX;
    struct heap_node *node;

    while ((node = heap_peek(&hosts->origins_due)) && node->key <= now_ms) {
        heap_remove(&hosts->origins_due, node);
        on_due(broker, origin_of_due(node));
    }
    if (node)
        due_ms = node->key;
    while ((node = heap_peek(&hosts->groups_due)) && node->key <= now_ms) {
        heap_remove(&hosts->groups_due, node);
        place_wake(broker, group_of_due(node));
    }
    return node && node->key < due_ms ? node->key : due_ms;
}

void
hosts_figures(const struct broker *broker, struct hosts_figures *out_figures)
{
    const struct hosts *hosts = &broker->hosts;
    const struct origin *origin, *next;
    uint64_t until_ms;

    *out_figures = hosts->figures;
    out_figures->origins = HASH_COUNT(hosts->origins);
    out_figures->groups = HASH_COUNT(hosts->groups);
    HASH_ITER(hh, hosts->origins, origin, next)
    {
        enum politeness_state state = hosts_state(broker, origin, &until_ms);

        out_figures->closed += state == POLITENESS_CLOSED;
        out_figures->parked += state == POLITENESS_PARKED;
        out_figures->given_up += state == POLITENESS_GIVEN_UP;
    }
}
