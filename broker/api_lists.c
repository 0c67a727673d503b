// api_lists.c - GetWorkers and ListBatches
#include "broker/api_private.h"
#include "broker/batch_message.h"
#include "broker/state.h"
#include "common/loop.h"

#include <stdlib.h>
#include <utlist.h>

#define ERR(symbol) URLSUM__V1__ERROR__CODE__##symbol

static void
fill_worker(const struct broker *broker, const struct session *session,
            Urlsum__V1__Worker *out)
{
    uint64_t now_ms = loop_now_ms(broker->loop);

    urlsum__v1__worker__init(out);
    out->role = session->role == WIRE_FETCHER ? "fetcher" : "hasher";
    out->name = (char *)session->name;
    out->session = session->id;
    out->jobs = session->jobs_len;
    out->capacity = session->capacity;
    out->done = session->done;
    out->bytes = session->bytes;
    out->silent_ms = now_ms - session->heard_ms;
    out->connected_ms = now_ms - session->since_ms;
    out->draining = session->is_draining;
    if (session->pause)
        out->pauses = (char *)(uintptr_t)wire_pause_meaning(session->pause);
}

void
api_workers_run(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    size_t most = broker->sessions.fetchers_len + broker->sessions.hashers_len;
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Workers workers = URLSUM__V1__WORKERS__INIT;
    Urlsum__V1__Worker *rows = calloc(most + 1, sizeof(*rows));
    Urlsum__V1__Worker **list = calloc(most + 1, sizeof(*list));
    const struct session *lists[2] = {broker->sessions.fetchers,
                                      broker->sessions.hashers};
    const struct session *session;

    if (!rows || !list) {
        api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
        goto out;
    }
    for (int i = 0; i < 2; i++) {
        DL_FOREACH(lists[i], session)
        {
            list[workers.n_workers] = &rows[workers.n_workers];
            fill_worker(broker, session, &rows[workers.n_workers++]);
        }
    }
    workers.workers = list;
    reply.what_case = URLSUM__V1__REPLY__WHAT_WORKERS;
    reply.workers = &workers;
    api_reply(&request, &reply);
out:
    free(rows);
    free(list);
}

void
api_list_run(struct request *request)
{
    const Urlsum__V1__ListBatches *list = request->message->list;

    request->batches = (struct store_batches){
        .op = {.kind = STORE_BATCHES},
        .after = list->after,
        .only_unfinished = list->only_unfinished != 0,
        .max = list->max && list->max < 1000 ? list->max : 1000,
    };
    api_push(request);
}

void
api_list_on_done(struct request *request)
{
    const struct store_batches *batches = &request->batches;
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__BatchList list = URLSUM__V1__BATCH_LIST__INIT;
    struct batch_text *texts = calloc(batches->len + 1, sizeof(*texts));
    Urlsum__V1__Batch *rows = calloc(batches->len + 1, sizeof(*rows));
    Urlsum__V1__Batch **pointers = calloc(batches->len + 1, sizeof(*pointers));
    size_t len = batches->len;

    if (!texts || !rows || !pointers) {
        api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
        goto out;
    }
    for (size_t i = 0; i < len; i++) {
        urlsum__v1__batch__init(&rows[i]);
        batch_message_fill(api_broker(request->api), &batches->rows[i],
                           &texts[i], &rows[i]);
        pointers[i] = &rows[i];
    }
    list.n_batches = len;
    list.batches = pointers;
    reply.what_case = URLSUM__V1__REPLY__WHAT_LIST;
    reply.list = &list;
    api_reply(&request, &reply);
    for (size_t i = 0; i < len; i++)
        batch_message_fini(&texts[i]);
out:
    free(texts);
    free(rows);
    free(pointers);
}
