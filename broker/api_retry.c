// api_retry.c - RetryBatch: failures go back into the queue, page by page
//
// Read a page of failures, give those that were asked for back to the store,
// read on up to where the batch ended when the request came: what fails again
// meanwhile is not taken a second time. Two clients that retry at once do no
// harm, for a record can be taken back only once.
#include "broker/api_private.h"
#include "broker/state.h"
#include "common/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERR(symbol) URLSUM__V1__ERROR__CODE__##symbol
// Small pages: many clients may retry at once, and none waits for long.
#define PAGE_ROWS 1024
#define PAGE_BYTES ((size_t)128 * 1024)
// Kinds in one request; there are fewer than that.
#define KINDS_MAX 64

// "503" or "5xx".
static bool
is_status_kind(const char *kind)
{
    return strlen(kind) == 3 && kind[0] >= '1' && kind[0] <= '5' &&
           (strcmp(kind + 1, "xx") == 0 || strspn(kind + 1, "0123456789") == 2);
}

static bool
is_kind(const char *kind)
{
    for (uint64_t i = 0; fail_is_known(i); i++) {
        if (i != FAIL_OK && i != FAIL_CANCELLED &&
            strcmp(fail_name((enum fail)i), kind) == 0)
            return true;
    }
    return is_status_kind(kind);
}

static bool
matches(const char *kind, const struct store_record *record)
{
    char status[16];

    if (strcmp(kind, fail_name(record->outcome)) == 0)
        return true;
    if (record->outcome != FAIL_HTTP || !is_status_kind(kind))
        return false;
    (void)snprintf(status, sizeof(status), "%03" PRIu32, record->http_status);
    return kind[0] == status[0] &&
           (kind[1] == 'x' || strcmp(kind, status) == 0);
}

static bool
is_wanted(const Urlsum__V1__RetryBatch *retry,
          const struct store_record *record)
{
    for (size_t i = 0; i < retry->n_only; i++) {
        if (matches(retry->only[i], record))
            return true;
    }
    return !retry->n_only;
}

static void
refuse_kind(struct request **request, const char *kind)
{
    char shown[40], why[160];
    size_t len = 0;

    // The reply's text must be UTF-8: only what is ASCII is repeated.
    for (; kind[len] && len + 1 < sizeof(shown); len++)
        shown[len] = isprint((unsigned char)kind[len]) ? kind[len] : '?';
    shown[len] = '\0';
    (void)snprintf(why, sizeof(why),
                   "'%s' is no kind of failure: dns, timeout, http, 503, "
                   "5xx, ...",
                   shown);
    api_reply_error(request, ERR(BAD_REQUEST), why);
}

void
api_retry_run(struct request *request)
{
    const Urlsum__V1__RetryBatch *retry = request->message->retry;

    if (retry->n_only > KINDS_MAX) {
        api_reply_error(&request, ERR(TOO_LARGE), "at most 64 kinds");
        return;
    }
    for (size_t i = 0; i < retry->n_only; i++) {
        if (!is_kind(retry->only[i])) {
            refuse_kind(&request, retry->only[i]);
            return;
        }
    }
    api_run_mark(request, STORE_STATUS, retry->batch);
}

static void
read_page(struct request *request, uint64_t after)
{
    request->results = (struct store_results){
        .op = {.kind = STORE_RESULTS},
        .batch = request->batch,
        .only_failed = true,
        .after = after,
        .max = PAGE_ROWS,
        .bytes_max = PAGE_BYTES,
    };
    api_push(request);
}

// What the operation left is done with; the next one may take its place.
static void
end_op(struct request *request)
{
    api_fini_op(request);
    request->op.done = NULL;
}

void
api_retry_on_batch(struct request *request)
{
    const struct broker *broker = api_broker(request->api);
    const struct store_batch *row = &request->mark.row;

    if (row->is_cancelled) {
        api_reply_error(&request, ERR(CONFLICT),
                        "the batch was cancelled; its URLs are not retried");
        return;
    }
    if (!row->is_closed) {
        api_reply_error(&request, ERR(CONFLICT),
                        "the batch is open: its list is not complete yet");
        return;
    }
    if (row->finished_wall_ms && broker->batches.len >= BATCHES_MAX) {
        api_reply_error(&request, ERR(UNAVAILABLE),
                        "too many unfinished batches");
        return;
    }
    request->batch = row->batch;
    request->retry_until = row->landed;
    end_op(request);
    read_page(request, 0);
}

// Goes on behind the last page, or replies.
static void
go_on(struct request *request, const struct store_batch *row)
{
    if (request->retry_next < request->retry_until) {
        end_op(request);
        read_page(request, request->retry_next);
        return;
    }
    log_info("batch.retried", "batch=%s number=%" PRIu64 " urls=%" PRIu64,
             row->id, row->batch, request->requeued);
    api_reply_batch(&request, row);
}

void
api_retry_on_page(struct request *request)
{
    const struct broker *broker = api_broker(request->api);
    const struct store_results *page = &request->results;
    const Urlsum__V1__RetryBatch *retry = request->message->retry;
    size_t len = 0;

    request->retry_next = page->next;
    if (!request->rows)
        request->rows = calloc(PAGE_ROWS, sizeof(*request->rows));
    if (!request->rows) {
        api_reply_error(&request, ERR(UNAVAILABLE), "out of memory");
        return;
    }
    for (size_t i = 0; i < page->len; i++) {
        const struct store_record *record = &page->records[i];

        if (record->landed > request->retry_until || !is_wanted(retry, record))
            continue;
        request->rows[len].seq = record->seq;
        request->rows[len].landed = record->landed;
        // What is no URL has the origin 0, now as when it was submitted.
        (void)origin_parse(broker->origin_parser, record->url, record->url_len,
                           &request->rows[len].origin, NULL);
        len++;
    }
    if (!len) {
        go_on(request, &page->row);
        return;
    }
    end_op(request);
    request->requeue = (struct store_requeue){
        .op = {.kind = STORE_REQUEUE},
        .batch = request->batch,
        .rows = request->rows,
        .len = len,
    };
    api_push(request);
}

void
api_retry_on_done(struct request *request)
{
    const struct store_requeue *requeue = &request->requeue;

    if (requeue->requeued)
        batch_on_requeued(api_broker(request->api), &requeue->row,
                          requeue->rows, requeue->len);
    request->requeued += requeue->requeued;
    go_on(request, &requeue->row);
}
