#include "broker/api.h"
#include "broker/api_private.h"
#include "broker/batch_message.h"
#include "broker/state.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#define ERR(symbol) URLSUM__V1__ERROR__CODE__##symbol
#define WHAT(symbol) URLSUM__V1__REQUEST__WHAT_##symbol

static void
reply_batch(struct request **request, const struct store_batch *row)
{
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Batch batch = URLSUM__V1__BATCH__INIT;
    struct batch_text text;

    batch_message_fill(api_broker((*request)->api), row, &text, &batch);
    reply.what_case = URLSUM__V1__REPLY__WHAT_BATCH;
    reply.batch = &batch;
    api_reply(request, &reply);
    batch_message_fini(&text);
}

void
api_reply_store_error(struct request **request, int err)
{
    switch (err) {
    case -ENOENT:
        api_reply_error(request, ERR(NO_SUCH_BATCH), "no such batch");
        return;
    case -EPIPE:
        api_reply_error(request, ERR(CONFLICT), "the batch is closed");
        return;
    case -ERANGE:
        api_reply_error(request, ERR(CONFLICT),
                        "the count does not fit what the batch has");
        return;
    case -ENOSPC:
        api_reply_error(request, ERR(UNAVAILABLE),
                        "the broker's store has no room; make some");
        return;
    default:
        api_reply_error(request, ERR(UNAVAILABLE),
                        "the broker's store failed; see its log");
        return;
    }
}

// --- CreateBatch ---

static const char *
check_id(const char *id)
{
    size_t len = strlen(id);

    if (len > BATCH_ID_MAX)
        return "a batch id has at most 64 characters";
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)id[i]) && !strchr("._-", id[i]))
            return "a batch id is made of A-Z a-z 0-9 . _ -";
    }
    return NULL;
}

static const char *
check_options(const Urlsum__V1__BatchOptions *options)
{
    if (!options)
        return NULL;
    if (options->weight_is_case &&
        (options->weight < 1 || options->weight > 100))
        return "weight is 1 to 100";
#define X(key, field, highest)                                                 \
    if (options->field##_is_case && options->field > (highest))                \
        return #field " is above its limit";
    WIRE_REQUEST_FIELDS(X)
#undef X
    return NULL;
}

static void
make_id(char out_id[BATCH_ID_MAX + 1])
{
    unsigned char bytes[16];

    // Without the kernel's randomness nothing here would be safe anyway.
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out_id + 2 * i, 3, "%02x", bytes[i]);
}

static void
run_create(struct request *request)
{
    const Urlsum__V1__CreateBatch *create = request->message->create;
    struct store_batch *row;
    struct suite suite = {0};
    const char *why = check_id(create->id);
    int err = 0;

    if (!why)
        why = check_options(create->options);
    if (!create->n_algorithms)
        err = suite_add(&suite, "sha512", 6);
    for (size_t i = 0; i < create->n_algorithms && !err; i++)
        err = suite_add(&suite, create->algorithms[i],
                        strlen(create->algorithms[i]));
    if (!why && err)
        why = "an algorithm is unknown to OpenSSL, named twice or one too many";
    if (why) {
        api_reply_error(&request, ERR(BAD_REQUEST), why);
        return;
    }
    request->create = (struct store_create){.op = {.kind = STORE_CREATE}};
    row = &request->create.batch;
    if (create->id[0])
        (void)snprintf(row->id, sizeof(row->id), "%s", create->id);
    else
        make_id(row->id);
    memcpy(row->algorithms, suite.text, sizeof(row->algorithms));
    row->created_wall_ms = clock_wall_ms();
    if (create->options) {
        // Unknown fields are ignored, so they are not kept either: what cannot
        // be read must not come back from the store.
        create->options->base.n_unknown_fields = 0;
        row->options_len =
            urlsum__v1__batch_options__get_packed_size(create->options);
        request->options = malloc(row->options_len + 1);
        if (!request->options) {
            api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
            return;
        }
        (void)urlsum__v1__batch_options__pack(create->options,
                                              request->options);
        row->options = request->options;
    }
    api_push(request);
}

// The batch was there: it must have been asked for in the same words.
static bool
is_same_batch(const struct request *request, const struct store_batch *row)
{
    const Urlsum__V1__CreateBatch *create = request->message->create;
    struct suite suite = {0};
    size_t len = 0;

    if (!create->n_algorithms)
        (void)suite_add(&suite, "sha512", 6);
    for (size_t i = 0; i < create->n_algorithms; i++)
        (void)suite_add(&suite, create->algorithms[i],
                        strlen(create->algorithms[i]));
    if (create->options)
        len = urlsum__v1__batch_options__get_packed_size(create->options);
    return strcmp(suite.text, row->algorithms) == 0 &&
           len == row->options_len &&
           (!len || memcmp(request->options, row->options, len) == 0);
}

static void
on_created(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->create.batch;

    if (request->create.existed && !is_same_batch(request, row)) {
        api_reply_error(&request, ERR(CONFLICT),
                        "a batch of that id was made with other algorithms or "
                        "options");
        return;
    }
    if (!row->finished_wall_ms && !batch_load(broker, row)) {
        api_reply_error(&request, ERR(UNAVAILABLE),
                        "too many unfinished batches");
        return;
    }
    if (!request->create.existed)
        log_info("batch.created", "batch=%s number=%" PRIu64 " algorithms=%s",
                 row->id, row->batch, row->algorithms);
    reply_batch(&request, row);
}

// --- SubmitUrls ---

static void
run_submit(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const Urlsum__V1__SubmitUrls *submit = request->message->submit;
    const struct batch *batch = batch_find(broker, submit->batch);
    size_t bytes = 0;

    if (!batch) {
        api_reply_error(&request, ERR(NO_SUCH_BATCH),
                        "no such unfinished batch");
        return;
    }
    for (size_t i = 0; i < submit->n_urls; i++)
        bytes += submit->urls[i].len;
    if (submit->n_urls > SUBMIT_URLS_MAX || bytes > SUBMIT_BYTES_MAX ||
        submit->first_seq >= UINT64_C(1) << (JOB_SEQ_BITS - 1)) {
        api_reply_error(&request, ERR(TOO_LARGE),
                        "at most 4,096 URLs and 4 MiB a message, 2^39 URLs a "
                        "batch");
        return;
    }
    request->urls = calloc(submit->n_urls + 1, sizeof(*request->urls));
    if (!request->urls) {
        api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
        return;
    }
    for (size_t i = 0; i < submit->n_urls; i++) {
        struct store_url *url = &request->urls[i];

        url->url = (const char *)submit->urls[i].data;
        url->len = submit->urls[i].len;
        // A URL that cannot be fetched gets its record like any other, when it
        // is read from the queue.
        (void)origin_parse(broker->origin_parser, url->url, url->len,
                           &url->origin, NULL);
        if (url->len > URL_BYTES_MAX + 1)
            url->len = URL_BYTES_MAX + 1;
    }
    request->append = (struct store_append){.op = {.kind = STORE_APPEND},
                                            .batch = batch->number,
                                            .first_seq = submit->first_seq,
                                            .urls = request->urls,
                                            .len = submit->n_urls};
    api_push(request);
}

static void
on_submitted(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_append *append = &request->append;
    struct batch *batch = batch_find(broker, request->message->submit->batch);
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Batch message = URLSUM__V1__BATCH__INIT;
    size_t skipped = append->fresh_from > append->first_seq
                         ? (size_t)(append->fresh_from - append->first_seq)
                         : 0;

    if (batch && skipped < append->len)
        batch_on_appended(broker, batch, append->urls + skipped,
                          append->len - skipped, append->submitted);
    message.id = request->message->submit->batch;
    message.number = append->batch;
    message.submitted = append->submitted;
    reply.what_case = URLSUM__V1__REPLY__WHAT_BATCH;
    reply.batch = &message;
    api_reply(&request, &reply);
}

// --- CloseBatch, CancelBatch, GetStatus ---

void
api_run_mark(struct request *request, enum store_kind kind, const char *id,
             uint64_t size)
{
    if (check_id(id) || !id[0]) {
        api_reply_error(&request, ERR(BAD_REQUEST), "that is no batch id");
        return;
    }
    request->mark = (struct store_mark){.op = {.kind = kind}, .size = size};
    (void)snprintf(request->mark.id, sizeof(request->mark.id), "%s", id);
    api_push(request);
}

static void
on_closed(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->mark.row;
    struct batch *batch = batch_find(broker, row->id);

    if (batch && row->finished_wall_ms)
        batch_on_landed(broker, batch, row->landed, true);
    reply_batch(&request, row);
}

static void
on_cancelled(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->mark.row;
    struct batch *batch = batch_find(broker, row->id);

    if (batch && !batch->is_cancelled)
        log_info("batch.cancelled", "batch=%s", row->id);
    if (batch && row->finished_wall_ms)
        batch_on_landed(broker, batch, row->landed, true);
    else if (batch)
        batch_cancel(broker, batch);
    reply_batch(&request, row);
}

static void
on_status(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->mark.row;

    if (!row->finished_wall_ms &&
        loop_now_ms(broker->loop) < request->deadline_ms)
        api_park(&request, row);
    else
        reply_batch(&request, row);
}

// --- GetWorkers, ListBatches ---

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
}

static void
run_workers(struct request *request)
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

static void
run_list(struct request *request)
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

static void
on_listed(struct request *request)
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

// --- One request ---

static void
set_deadline(struct request *request, uint32_t wait_ms)
{
    if (request->deadline_ms)
        return; // it was parked before
    if (wait_ms > API_WAIT_MS_MAX)
        wait_ms = API_WAIT_MS_MAX;
    request->deadline_ms =
        loop_now_ms(api_broker(request->api)->loop) + wait_ms;
}

void
api_run(struct request *request)
{
    const Urlsum__V1__Request *message = request->message;

    switch (message->what_case) {
    case WHAT(CREATE):
        run_create(request);
        return;
    case WHAT(SUBMIT):
        run_submit(request);
        return;
    case WHAT(CLOSE):
        api_run_mark(request, STORE_CLOSE, message->close->batch,
                     message->close->size);
        return;
    case WHAT(CANCEL):
        api_run_mark(request, STORE_CANCEL, message->cancel->batch, 0);
        return;
    case WHAT(STATUS):
        set_deadline(request, message->status->wait_ms);
        api_run_mark(request, STORE_STATUS, message->status->batch, 0);
        return;
    case WHAT(RESULTS):
        set_deadline(request, message->results->wait_ms);
        api_results_run(request);
        return;
    case WHAT(WORKERS):
        run_workers(request);
        return;
    case WHAT(LIST):
        run_list(request);
        return;
    case URLSUM__V1__REQUEST__WHAT__NOT_SET:
    case _URLSUM__V1__REQUEST__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    api_reply_error(&request, ERR(BAD_REQUEST), "the request asks for nothing");
}

void
api_on_done(struct request *request)
{
    if (request->op.err) {
        api_reply_store_error(&request, request->op.err);
        return;
    }
    switch (request->op.kind) {
    case STORE_CREATE:
        on_created(request);
        return;
    case STORE_APPEND:
        on_submitted(request);
        return;
    case STORE_CLOSE:
        on_closed(request);
        return;
    case STORE_CANCEL:
        on_cancelled(request);
        return;
    case STORE_STATUS:
        if (request->message->what_case == WHAT(RESULTS))
            api_results_on_batch(request);
        else
            on_status(request);
        return;
    case STORE_RESULTS:
        api_results_on_done(request);
        return;
    case STORE_BATCHES:
        on_listed(request);
        return;
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RETRY:
    case STORE_FINISH:
        break; // never asked for here
    }
}

void
api_fini_op(struct request *request)
{
    switch (request->op.kind) {
    case STORE_CREATE:
        store_create_fini(&request->create);
        return;
    case STORE_CLOSE:
    case STORE_CANCEL:
    case STORE_STATUS:
        store_mark_fini(&request->mark);
        return;
    case STORE_RESULTS:
        store_results_fini(&request->results);
        return;
    case STORE_BATCHES:
        store_batches_fini(&request->batches);
        return;
    case STORE_APPEND:
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RETRY:
    case STORE_FINISH:
        return;
    }
}
