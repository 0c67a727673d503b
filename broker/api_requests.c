#include "broker/api.h"
#include "broker/api_private.h"
#include "broker/batch_message.h"
#include "broker/batch_options.h"
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

void
api_reply_batch(struct request **request, const struct store_batch *row)
{
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Batch batch = URLSUM__V1__BATCH__INIT;
    struct batch_text text;

    batch_message_fill(api_broker((*request)->api), row, &text, &batch);
    batch.requeued = (*request)->requeued;
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
    case -EILSEQ:
        api_reply_error(request, ERR(CONFLICT),
                        "the list is not the one this batch was begun with");
        return;
    case -EBUSY:
        api_reply_error(request, ERR(CONFLICT), "the batch is not finished");
        return;
    case -ENOSPC:
        api_reply_error(request, ERR(UNAVAILABLE), "the broker's disk is full");
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
        why = batch_options_complaint(create->options);
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
        if (create->options->profile)
            create->options->profile->base.n_unknown_fields = 0;
        row->options_len =
            urlsum__v1__batch_options__get_packed_size(create->options);
        request->options = malloc(row->options_len + 1);
        if (!request->options) {
            api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
            return;
        }
        (void)urlsum__v1__batch_options__pack(create->options,
                                              request->options);
        request->options_len = row->options_len;
        row->options = request->options;
    }
    api_push(request);
}

static void
on_created(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->create.batch;
    struct store_batch loaded = *row;
    struct batch *batch;
    int err = 0;

    if (request->create.existed && !request->create.is_same) {
        api_reply_error(&request, ERR(CONFLICT),
                        "a batch of that id was made with other algorithms or "
                        "options");
        return;
    }
    if (request->create.existed) { // the same words as they are stored, whole
        loaded.options = request->options;
        loaded.options_len = request->options_len;
    }
    if (!row->finished_wall_ms)
        err = batch_load(broker, &loaded, &batch);
    if (err) {
        api_reply_error(&request, ERR(UNAVAILABLE),
                        err == -ENOMEM ? "out of memory"
                                       : "too many unfinished batches");
        return;
    }
    if (!request->create.existed)
        log_info("batch.created", "batch=%s number=%" PRIu64 " algorithms=%s",
                 row->id, row->batch, row->algorithms);
    api_reply_batch(&request, row);
}

// --- SubmitUrls ---

static void
run_submit(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const Urlsum__V1__SubmitUrls *submit = request->message->submit;
    const struct batch *batch = batch_find(broker, submit->batch);
    size_t bytes = 0;

    if (!batch && broker->recovery.has_more) {
        // It may be one of those that have no room in memory yet.
        api_reply_error(&request, ERR(UNAVAILABLE),
                        "too many unfinished batches");
        return;
    }
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
                        "at most 4,096 URLs and 128 KiB a message, 2^39 URLs "
                        "a batch");
        return;
    }
    request->urls = calloc(submit->n_urls + 1, sizeof(*request->urls));
    if (!request->urls) {
        api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
        return;
    }
    for (size_t i = 0; i < submit->n_urls; i++) {
        struct store_url *url = &request->urls[i];

        // An empty line has no bytes to point to.
        url->url =
            submit->urls[i].len ? (const char *)submit->urls[i].data : "";
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

// False: the request has its reply.
static bool
fill_mark(struct request *request, enum store_kind kind, const char *id)
{
    if (check_id(id) || !id[0]) {
        api_reply_error(&request, ERR(BAD_REQUEST), "that is no batch id");
        return false;
    }
    request->mark = (struct store_mark){.op = {.kind = kind}};
    (void)snprintf(request->mark.id, sizeof(request->mark.id), "%s", id);
    return true;
}

void
api_run_mark(struct request *request, enum store_kind kind, const char *id)
{
    if (fill_mark(request, kind, id))
        api_push(request);
}

static void
run_close(struct request *request)
{
    const Urlsum__V1__CloseBatch *close = request->message->close;

    if (!fill_mark(request, STORE_CLOSE, close->batch))
        return;
    request->mark.size = close->size;
    request->mark.has_list_hash = close->list_hash_is_case != 0;
    if (request->mark.has_list_hash)
        request->mark.list_hash = close->list_hash;
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
    api_reply_batch(&request, row);
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
    api_reply_batch(&request, row);
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
        api_reply_batch(&request, row);
}

static void
on_removed(struct request *request)
{
    const struct store_batch *row = &request->mark.row;

    log_info("batch.removed", "batch=%s number=%" PRIu64, row->id, row->batch);
    broker_tidy_soon(api_broker(request->api));
    api_reply_batch(&request, row);
}

// The row of a batch, for whatever it was read.
static void
on_row(struct request *request)
{
    switch ((int)request->message->what_case) {
    case WHAT(RESULTS):
        api_results_on_batch(request);
        return;
    case WHAT(RETRY):
        api_retry_on_batch(request);
        return;
    case WHAT(WAITING):
        api_waiting_on_batch(request);
        return;
    default:
        on_status(request);
        return;
    }
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

// A broker that is about to stop takes nothing new: the client's request waits
// with the client for the next one.
static bool
is_work(const struct request *request)
{
    return request->message->what_case == WHAT(CREATE) ||
           request->message->what_case == WHAT(SUBMIT) ||
           request->message->what_case == WHAT(CLOSE) ||
           request->message->what_case == WHAT(RETRY);
}

void
api_run(struct request *request)
{
    const Urlsum__V1__Request *message = request->message;

    if (api_broker(request->api)->is_draining && is_work(request)) {
        api_reply_error(&request, ERR(UNAVAILABLE),
                        "the broker is about to stop");
        return;
    }
    switch (message->what_case) {
    case WHAT(CREATE):
        run_create(request);
        return;
    case WHAT(SUBMIT):
        run_submit(request);
        return;
    case WHAT(CLOSE):
        run_close(request);
        return;
    case WHAT(CANCEL):
        api_run_mark(request, STORE_CANCEL, message->cancel->batch);
        return;
    case WHAT(STATUS):
        set_deadline(request, message->status->wait_ms);
        api_run_mark(request, STORE_STATUS, message->status->batch);
        return;
    case WHAT(RESULTS):
        set_deadline(request, message->results->wait_ms);
        api_results_run(request);
        return;
    case WHAT(WORKERS):
        api_workers_run(request);
        return;
    case WHAT(LIST):
        api_list_run(request);
        return;
    case WHAT(WAITING):
        api_run_mark(request, STORE_STATUS, message->waiting->batch);
        return;
    case WHAT(HOSTS):
        api_hosts_run(request);
        return;
    case WHAT(RETRY):
        api_retry_run(request);
        return;
    case WHAT(REMOVE):
        api_run_mark(request, STORE_REMOVE, message->remove->batch);
        return;
    case URLSUM__V1__REQUEST__WHAT__NOT_SET:
    case _URLSUM__V1__REQUEST__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    api_reply_error(&request, ERR(BAD_REQUEST), "the request asks for nothing");
}

// Only what has written says that the store works; that it refuses, any says.
static void
note_store(const struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct store_append *append = &request->append;
    bool has_written =
        (request->op.kind == STORE_CREATE && !request->create.existed) ||
        (request->op.kind == STORE_REQUEUE && request->requeue.requeued) ||
        request->op.kind == STORE_REMOVE ||
        (request->op.kind == STORE_APPEND &&
         append->fresh_from < append->first_seq + append->len);

    if (request->op.err || has_written)
        broker_note_store(broker, request->op.err);
}

void
api_on_done(struct request *request)
{
    note_store(request);
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
        on_row(request);
        return;
    case STORE_RESULTS:
        if (request->message->what_case == WHAT(RETRY))
            api_retry_on_page(request);
        else
            api_results_on_done(request);
        return;
    case STORE_REQUEUE:
        api_retry_on_done(request);
        return;
    case STORE_REMOVE:
        on_removed(request);
        return;
    case STORE_BATCHES:
        api_list_on_done(request);
        return;
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RETRY:
    case STORE_FINISH:
    case STORE_TIDY:
    case STORE_CLOSINGS:
    case STORE_NOTE_CLOSING:
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
    case STORE_REMOVE:
        store_mark_fini(&request->mark);
        return;
    case STORE_RESULTS:
        store_results_fini(&request->results);
        return;
    case STORE_BATCHES:
        store_batches_fini(&request->batches);
        return;
    case STORE_REQUEUE:
        store_requeue_fini(&request->requeue);
        return;
    case STORE_APPEND:
    case STORE_ORIGINS:
    case STORE_REFILL:
    case STORE_RETRY:
    case STORE_FINISH:
    case STORE_TIDY:
    case STORE_CLOSINGS:
    case STORE_NOTE_CLOSING:
        return;
    }
}
