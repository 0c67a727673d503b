// api_results.c - GetResults: pages of records, and waiting for the next one
#include "broker/api_private.h"
#include "broker/batch_message.h"
#include "broker/page.h"
#include "broker/state.h"
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>

void
api_results_run(struct request *request)
{
    const Urlsum__V1__GetResults *get = request->message->results;

    // The batch's number is learnt once, by the first run.
    if (!request->batch) {
        api_run_mark(request, STORE_STATUS, get->batch);
        return;
    }
    request->results = (struct store_results){
        .op = {.kind = STORE_RESULTS},
        .batch = request->batch,
        .by_seq = get->by_seq != 0,
        .after = get->after,
        .max = get->max && get->max < RESULTS_ROWS_MAX ? get->max
                                                       : RESULTS_ROWS_MAX,
        .bytes_max = api_page_bytes(request->api),
    };
    api_push(request);
}

void
api_results_on_batch(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    const struct batch *live = batch_find(broker, request->mark.row.id);

    request->batch = request->mark.row.batch;
    // Nothing beyond the cursor: no need to ask the store for rows.
    if (live && !live->is_finished && !request->message->results->by_seq &&
        request->message->results->after >= live->landed &&
        loop_now_ms(broker->loop) < request->deadline_ms) {
        struct store_batch row = request->mark.row;

        row.landed = live->landed;
        api_park(&request, &row);
        return;
    }
    api_fini_op(request);
    request->op.done = NULL;
    api_results_run(request);
}

void
api_results_on_done(struct request *request)
{
    struct broker *broker = api_broker(request->api);
    struct store_results *results = &request->results;
    const struct store_batch *row = &results->row;
    bool is_end =
        row->finished_wall_ms &&
        results->next >= (results->by_seq ? row->submitted : row->landed);
    Urlsum__V1__Batch message = URLSUM__V1__BATCH__INIT;
    unsigned char *packed = NULL;
    struct batch_text text = {0};
    struct page page = {0};
    struct suite suite;
    int err;

    if (!results->len && !is_end &&
        loop_now_ms(broker->loop) < request->deadline_ms) {
        api_park(&request, row);
        return;
    }
    err = suite_parse(row->algorithms, &suite);
    for (size_t i = 0; i < results->len && !err; i++)
        err = page_add_record(&page, &results->records[i], &suite);
    batch_message_fill(broker, row, &text, &message);
    packed = malloc(urlsum__v1__batch__get_packed_size(&message) + 1);
    if (!err && !packed)
        err = -ENOMEM;
    if (!err)
        err = page_add_tail(&page, results->next, is_end, packed,
                            urlsum__v1__batch__pack(&message, packed));
    if (!err)
        err = page_wrap(&page, request->id);
    if (err)
        api_reply_store_error(&request, err);
    else
        api_reply_raw(&request, &page.data, page.len);
    free(packed);
    batch_message_fini(&text);
    page_fini(&page);
}
