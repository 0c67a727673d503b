// api_hosts.c - GetHosts: how the origins in memory are treated, and why
#include "broker/api_private.h"
#include "broker/state.h"
#include "common/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define HOSTS_DEFAULT 100
#define HOSTS_ANSWER_MAX 1000
// Of one host in an answer, beside its name.
#define ROW_BYTES (API_WHY_MAX + 200)

// What is interesting comes first; of each kind, in the order of the numbers,
// which never changes: so a page can go on where the last one ended.
enum rank {
    RANK_CLOSED,
    RANK_GIVEN_UP,
    RANK_PARKED,
    RANK_FULL,
    RANK_RUNS,
    RANK_QUIET,
};

struct place_in_list {
    enum rank rank;
    uint64_t number;
};

#define CURSOR_BYTES 9

struct host_row {
    const struct origin *origin;
    struct place_in_list at;
    Urlsum__V1__Host message;
    char why[API_WHY_MAX];
    char error[64];
};

static const char *
state_name(enum politeness_state state)
{
    switch (state) {
    case POLITENESS_OPEN:
    case POLITENESS_TRIED:
        return "open";
    case POLITENESS_PROBE:
    case POLITENESS_WAIT:
        return "probed";
    case POLITENESS_CLOSED:
        return "closed";
    case POLITENESS_PARKED:
        return "parked";
    case POLITENESS_GIVEN_UP:
        return "given_up";
    }
    return "";
}

static enum rank
rank_of(const struct broker *broker, const struct origin *origin)
{
    uint64_t until_ms;

    switch (hosts_state(broker, origin, &until_ms)) {
    case POLITENESS_CLOSED:
        return RANK_CLOSED;
    case POLITENESS_GIVEN_UP:
        return RANK_GIVEN_UP;
    case POLITENESS_PARKED:
    case POLITENESS_PROBE:
    case POLITENESS_WAIT:
        return RANK_PARKED;
    case POLITENESS_OPEN:
    case POLITENESS_TRIED:
        break;
    }
    if (origin->group->line)
        return RANK_FULL;
    return origin->running ? RANK_RUNS : RANK_QUIET;
}

static bool
is_before(const struct place_in_list *a, const struct place_in_list *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->number < b->number;
}

// --- Cursors ---

static void
write_cursor(const struct place_in_list *at, unsigned char out[CURSOR_BYTES])
{
    out[0] = (unsigned char)at->rank;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (unsigned char)(at->number >> (56 - 8 * i));
}

// False for what is none of ours.
static bool
read_cursor(const ProtobufCBinaryData *data, struct place_in_list *out_at)
{
    if (data->len != CURSOR_BYTES || data->data[0] > RANK_QUIET)
        return false;
    out_at->rank = (enum rank)data->data[0];
    out_at->number = 0;
    for (int i = 0; i < 8; i++)
        out_at->number = out_at->number << 8 | data->data[1 + i];
    return true;
}

// --- Which ---

// The flow of the batch at the origin, or NULL.
static const struct flow *
flow_at(const struct origin *origin, const struct batch *batch)
{
    const struct flow *flow;

    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        if (flow->batch == batch)
            return flow;
    }
    return NULL;
}

// Puts a row into a list of at most most rows that is in order; the last one
// falls out when it is full.
static void
insert(struct host_row *rows, size_t *len, size_t most,
       const struct origin *origin, const struct place_in_list *at)
{
    size_t i;

    if (*len == most && !is_before(at, &rows[most - 1].at))
        return;
    if (*len < most)
        (*len)++;
    for (i = *len - 1; i > 0 && is_before(at, &rows[i - 1].at); i--) {
        rows[i].origin = rows[i - 1].origin;
        rows[i].at = rows[i - 1].at;
    }
    rows[i].origin = origin;
    rows[i].at = *at;
}

// The next rows after a cursor (NULL: from the start); batch NULL: of any.
static size_t
choose(const struct broker *broker, const struct batch *batch,
       const struct place_in_list *after, struct host_row *rows, size_t most)
{
    const struct origin *origin, *next;
    size_t len = 0;

    HASH_ITER(hh, broker->hosts.origins, origin, next)
    {
        const struct place_in_list at = {rank_of(broker, origin),
                                         origin->number};

        if ((batch && !flow_at(origin, batch)) ||
            (after && !is_before(after, &at)))
            continue;
        insert(rows, &len, most, origin, &at);
    }
    return len;
}

// --- One row ---

static void
count_flow(const struct flow *flow, Urlsum__V1__Host *out)
{
    out->waiting += flow->queue_len;
    out->retrying += flow->retrying;
    out->more |= !flow->is_end;
}

static void
fill(const struct broker *broker, const struct batch *batch,
     struct host_row *row)
{
    const struct origin *origin = row->origin;
    const struct politeness *politeness = &origin->politeness;
    Urlsum__V1__Host *out = &row->message;
    enum politeness_state state;
    const struct flow *flow;
    uint64_t until_ms;

    urlsum__v1__host__init(out);
    state = hosts_state(broker, origin, &until_ms);
    api_why_host(broker, origin, row->why);
    out->origin = origin->text;
    out->state = (char *)(uintptr_t)state_name(state); // only packed
    out->why = row->why;
    out->running = origin->running;
    DL_FOREACH2(origin->flows, flow, origin_next)
    {
        if (!batch || flow->batch == batch)
            count_flow(flow, out);
    }
    out->done = origin->done;
    out->failed = origin->failed;
    out->failed_ms = origin->failed_ms;
    if (until_ms != UINT64_MAX)
        out->until_ms = until_ms - loop_now_ms(broker->loop);
    if (state == POLITENESS_CLOSED)
        out->status = politeness->closed_status;
    out->incidents = politeness->incidents;
    out->failures = politeness->failures;
    if (origin->last_fail == FAIL_HTTP)
        (void)snprintf(row->error, sizeof(row->error), "http %d",
                       origin->last_status);
    else if (origin->last_fail != FAIL_OK)
        (void)snprintf(row->error, sizeof(row->error), "%s",
                       fail_name(origin->last_fail));
    out->last_error = row->error;
    out->group_origins = origin->group->origins_len;
    out->group_running = origin->group->running;
}

static void
fill_totals(const struct broker *broker, Urlsum__V1__Hosts *out)
{
    struct hosts_figures figures;

    hosts_figures(broker, &figures);
    out->in_memory = figures.origins;
    out->closed = figures.closed;
    out->parked = figures.parked;
    out->given_up = figures.given_up;
}

static void
answer(struct request *request, const struct batch *batch,
       const struct place_in_list *after, size_t most)
{
    const struct broker *broker = api_broker(request->api);
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Hosts hosts = URLSUM__V1__HOSTS__INIT;
    struct host_row *rows = calloc(most, sizeof(*rows));
    Urlsum__V1__Host **list = calloc(most, sizeof(*list));
    unsigned char cursor[CURSOR_BYTES];
    size_t bytes = 0, len;

    if (!rows || !list) {
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__UNAVAILABLE,
                        "out of memory");
        goto out;
    }
    len = choose(broker, batch, after, rows, most);
    for (size_t i = 0; i < len; i++) {
        bytes += strlen(rows[i].origin->text) + ROW_BYTES;
        if (i && bytes > api_page_bytes(request->api))
            break;
        fill(broker, batch, &rows[i]);
        list[hosts.n_hosts++] = &rows[i].message;
    }
    if (hosts.n_hosts == most || hosts.n_hosts < len) {
        write_cursor(&rows[hosts.n_hosts - 1].at, cursor);
        hosts.cursor = (ProtobufCBinaryData){sizeof(cursor), cursor};
    }
    hosts.hosts = list;
    fill_totals(broker, &hosts);
    reply.what_case = URLSUM__V1__REPLY__WHAT_HOSTS;
    reply.hosts = &hosts;
    api_reply(&request, &reply);
out:
    free(list);
    free(rows);
}

void
api_hosts_run(struct request *request)
{
    const Urlsum__V1__GetHosts *get = request->message->hosts;
    struct broker *broker = api_broker(request->api);
    const struct batch *batch = NULL;
    struct place_in_list after;
    size_t most = !get->max                     ? HOSTS_DEFAULT
                  : get->max < HOSTS_ANSWER_MAX ? get->max
                                                : HOSTS_ANSWER_MAX;

    if (get->batch[0]) {
        batch = batch_find(broker, get->batch);
        if (!batch) {
            api_reply_error(&request, URLSUM__V1__ERROR__CODE__NO_SUCH_BATCH,
                            "no unfinished batch has this id");
            return;
        }
    }
    if (get->after.len && !read_cursor(&get->after, &after)) {
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__BAD_REQUEST,
                        "after is no cursor of a page");
        return;
    }
    answer(request, batch, get->after.len ? &after : NULL, most);
}
