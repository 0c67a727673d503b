#include "client/batches.h"

#include "client/format.h"
#include "client/json.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int
batches_make_id(char out_id[BATCH_ID_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -errno;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out_id[2 * i] = digits[bytes[i] >> 4];
        out_id[2 * i + 1] = digits[bytes[i] & 15];
    }
    out_id[2 * sizeof(bytes)] = '\0';
    return 0;
}

// --- Requests ---

int
batches_call(struct remote *remote, Urlsum__V1__Request *request,
             const Urlsum__V1__Batch **out_batch)
{
    const Urlsum__V1__Reply *reply = NULL;
    int err = remote_call(remote, request, &reply);

    if (err)
        return err;
    if (reply->what_case != URLSUM__V1__REPLY__WHAT_BATCH)
        return -EPROTO;
    *out_batch = reply->batch;
    return 0;
}

int
batches_create(struct remote *remote, const char *id,
               const struct format *format,
               const Urlsum__V1__BatchOptions *options,
               const Urlsum__V1__Batch **out_batch)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CreateBatch create = URLSUM__V1__CREATE_BATCH__INIT;
    char *names[WIRE_ALGORITHMS_MAX];

    for (size_t i = 0; i < format->algorithms_len; i++)
        names[i] = (char *)(uintptr_t)format->algorithms[i]; // only packed
    create.id = (char *)(uintptr_t)id;
    create.n_algorithms = format->algorithms_len;
    create.algorithms = names;
    create.options = (Urlsum__V1__BatchOptions *)(uintptr_t)options;
    request.what_case = URLSUM__V1__REQUEST__WHAT_CREATE;
    request.create = &create;
    return batches_call(remote, &request, out_batch);
}

int
batches_status(struct remote *remote, const char *id, uint32_t wait_ms,
               const Urlsum__V1__Batch **out_batch)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetStatus status = URLSUM__V1__GET_STATUS__INIT;

    status.batch = (char *)(uintptr_t)id; // only packed
    status.wait_ms = wait_ms;
    request.what_case = URLSUM__V1__REQUEST__WHAT_STATUS;
    request.status = &status;
    return batches_call(remote, &request, out_batch);
}

int
batches_cancel(struct remote *remote, const char *id,
               const Urlsum__V1__Batch **out_batch)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CancelBatch cancel = URLSUM__V1__CANCEL_BATCH__INIT;

    cancel.batch = (char *)(uintptr_t)id; // only packed
    request.what_case = URLSUM__V1__REQUEST__WHAT_CANCEL;
    request.cancel = &cancel;
    return batches_call(remote, &request, out_batch);
}

int
batches_take_algorithms(const Urlsum__V1__Batch *batch, struct format *format)
{
    if (!batch->n_algorithms || batch->n_algorithms > WIRE_ALGORITHMS_MAX)
        return -EPROTO;
    for (size_t i = 0; i < batch->n_algorithms; i++) {
        if (strlen(batch->algorithms[i]) > WIRE_ALGORITHM_NAME_MAX)
            return -EPROTO;
        (void)strcpy(format->algorithms[i], batch->algorithms[i]); // it fits
    }
    format->algorithms_len = batch->n_algorithms;
    return 0;
}

int
batches_exit_code(const Urlsum__V1__Batch *batch)
{
    if (!batch->finished_ms || batch->cancelled_urls || batch->cancelled)
        return EXIT_INCOMPLETE;
    return batch->failed ? EXIT_FAILED_URL : EXIT_GOOD;
}

// --- Showing ---

const char *
batches_state(const Urlsum__V1__Batch *batch)
{
    if (batch->cancelled)
        return "cancelled";
    if (batch->finished_ms)
        return "finished";
    return batch->closed ? "running" : "open";
}

void
batches_show_time(int64_t ms, struct text *out)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm)) {
        text_puts(out, "?");
        return;
    }
    text_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
batches_show(const Urlsum__V1__Batch *batch, struct text *out)
{
    text_puts(out, "batch       ");
    text_printable(out, batch->id, strlen(batch->id), BATCH_ID_MAX);
    text_printf(out, " (number %" PRIu64 ")\nstate       %s\n", batch->number,
                batches_state(batch));
    text_printf(out, "submitted   %" PRIu64 "%s\n", batch->submitted,
                batch->closed ? "" : ", more may come");
    text_printf(out,
                "done        %" PRIu64 ", of these %" PRIu64 " failed, %" PRIu64
                " cancelled\n",
                batch->done, batch->failed, batch->cancelled_urls);
    text_printf(out, "bytes       %" PRIu64 "\n", batch->bytes);
    text_printf(out,
                "in hand     %" PRIu64 " fetching, %" PRIu64
                " hashing, %" PRIu64 " waiting for a retry\n",
                batch->fetching, batch->hashing, batch->retrying);
    if (batch->hindrance[0]) {
        text_puts(out, "in the way  ");
        text_printable(out, batch->hindrance, strlen(batch->hindrance), 200);
        if (batch->hindered_ms) {
            text_puts(out, ", since ");
            batches_show_time(batch->hindered_ms, out);
        }
        text_putc(out, '\n');
    }
    text_puts(out, "algorithms  ");
    for (size_t i = 0; i < batch->n_algorithms; i++) {
        if (i)
            text_putc(out, ',');
        text_printable(out, batch->algorithms[i], strlen(batch->algorithms[i]),
                       WIRE_ALGORITHM_NAME_MAX);
    }
    text_puts(out, "\ncreated     ");
    batches_show_time(batch->created_ms, out);
    if (batch->finished_ms) {
        text_puts(out, "\nfinished    ");
        batches_show_time(batch->finished_ms, out);
    }
    text_putc(out, '\n');
}

static void
options_to_json(const Urlsum__V1__BatchOptions *options, struct json *json)
{
    json_open_object(json, "options");
    if (options->retry_is_case)
        json_u64(json, "retry", options->retry);
    if (options->retry_all_errors_is_case)
        json_bool(json, "retry_all_errors", options->retry_all_errors);
    if (options->max_redirs_is_case)
        json_u64(json, "max_redirs", options->max_redirs);
    if (options->connect_timeout_ms_is_case)
        json_u64(json, "connect_timeout_ms", options->connect_timeout_ms);
    if (options->speed_limit_is_case)
        json_u64(json, "speed_limit", options->speed_limit);
    if (options->speed_time_s_is_case)
        json_u64(json, "speed_time_s", options->speed_time_s);
    if (options->max_time_ms_is_case)
        json_u64(json, "max_time_ms", options->max_time_ms);
    if (options->max_filesize_is_case)
        json_u64(json, "max_filesize", options->max_filesize);
    if (options->no_resume_is_case)
        json_bool(json, "no_resume", options->no_resume);
    if (options->want_digest_is_case)
        json_bool(json, "want_digest", options->want_digest);
    if (options->weight_is_case)
        json_u64(json, "weight", options->weight);
    if (options->any_status_is_case)
        json_bool(json, "any_status", options->any_status);
    if (options->insecure_is_case)
        json_bool(json, "insecure", options->insecure);
    if (options->ip_version_is_case)
        json_u64(json, "ip_version", options->ip_version);
    if (options->http_version_is_case)
        json_u64(json, "http_version", options->http_version);
    if (options->compressed_is_case)
        json_bool(json, "compressed", options->compressed);
    json_close_object(json);
}

void
batches_to_json(const Urlsum__V1__Batch *batch, struct json *json)
{
    json_open_object(json, NULL);
    json_puts(json, "id", batch->id);
    json_u64(json, "number", batch->number);
    json_puts(json, "state", batches_state(batch));
    json_open_array(json, "algorithms");
    for (size_t i = 0; i < batch->n_algorithms; i++)
        json_puts(json, NULL, batch->algorithms[i]);
    json_close_array(json);
    if (batch->options)
        options_to_json(batch->options, json);
    json_i64(json, "created_ms", batch->created_ms);
    if (batch->finished_ms)
        json_i64(json, "finished_ms", batch->finished_ms);
    json_bool(json, "closed", batch->closed);
    json_bool(json, "cancelled", batch->cancelled);
    json_u64(json, "submitted", batch->submitted);
    json_u64(json, "done", batch->done);
    json_u64(json, "failed", batch->failed);
    json_u64(json, "cancelled_urls", batch->cancelled_urls);
    json_u64(json, "bytes", batch->bytes);
    json_u64(json, "fetching", batch->fetching);
    json_u64(json, "hashing", batch->hashing);
    json_u64(json, "retrying", batch->retrying);
    if (batch->hindrance[0]) {
        json_puts(json, "hindrance", batch->hindrance);
        json_i64(json, "hindered_ms", batch->hindered_ms);
        json_bool(json, "store_refuses", batch->store_refuses);
    }
    json_close_object(json);
}
