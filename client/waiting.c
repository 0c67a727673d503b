#include "client/waiting.h"

#include "client/json.h"
#include "client/remote.h"
#include "client/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SHOWN_BYTES_MAX 2000

int
waiting_get(struct remote *remote, const char *batch, uint32_t max,
            const Urlsum__V1__Waiting **out_waiting)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetWaiting message = URLSUM__V1__GET_WAITING__INIT;
    const Urlsum__V1__Reply *reply = NULL;
    int err;

    message.batch = (char *)(uintptr_t)batch; // packed, not changed
    message.max = max;
    request.what_case = URLSUM__V1__REQUEST__WHAT_WAITING;
    request.waiting = &message;
    err = remote_call(remote, &request, &reply);
    if (err)
        return err;
    if (reply->what_case != URLSUM__V1__REPLY__WHAT_WAITING ||
        !reply->waiting->batch)
        return -EPROTO;
    *out_waiting = reply->waiting;
    return 0;
}

static void
put_foreign(struct text *out, const char *string)
{
    text_printable(out, string, strlen(string), SHOWN_BYTES_MAX);
}

static void
show_workers(const Urlsum__V1__WaitingJob *job, struct text *out)
{
    if (!job->fetcher[0] && !job->hasher[0])
        return;
    text_puts(out, "  [");
    put_foreign(out, job->fetcher);
    if (job->fetcher[0] && job->hasher[0])
        text_puts(out, ", ");
    put_foreign(out, job->hasher);
    text_putc(out, ']');
}

// Two lines a job: a URL may be long.
static void
show_job(const Urlsum__V1__WaitingJob *job, struct text *out)
{
    text_printf(out, "%12" PRIu64 "  ", job->seq);
    text_printable(out, (const char *)job->url.data, job->url.len,
                   SHOWN_BYTES_MAX);
    text_puts(out, "\n              ");
    put_foreign(out, job->state);
    text_printf(out, " for %" PRIu64 " s: ", job->quiet_ms / 1000);
    put_foreign(out, job->why);
    if (job->attempts)
        text_printf(out, "; %" PRIu32 " tries so far", job->attempts);
    if (job->lost)
        text_printf(out, "; %" PRIu32 " workers lost with it", job->lost);
    if (job->bytes)
        text_printf(out, "; %" PRIu64 " bytes arrived", job->bytes);
    show_workers(job, out);
    text_putc(out, '\n');
}

void
waiting_show(const Urlsum__V1__Waiting *waiting, struct text *out)
{
    const Urlsum__V1__Batch *batch = waiting->batch;
    uint64_t left = batch->submitted - batch->done;

    if (batch->submitted < batch->done || left < waiting->in_memory)
        left = waiting->in_memory; // what landed this instant
    if (!left) {
        text_puts(out, batch->closed ? "waiting     for nothing\n"
                                     : "waiting     for more URLs\n");
        return;
    }
    text_printf(out, "waiting     for %" PRIu64 " URLs\n\n         SEQ  URL\n",
                left);
    for (size_t i = 0; i < waiting->n_jobs; i++)
        show_job(waiting->jobs[i], out);
    if (waiting->in_memory > waiting->n_jobs)
        text_printf(out, "and %" PRIu64 " more at hand (-n N shows more)\n",
                    waiting->in_memory - waiting->n_jobs);
    if (left > waiting->in_memory)
        text_printf(out,
                    "and %" PRIu64 " in the store, which wait for their turn\n",
                    left - waiting->in_memory);
}

static void
job_to_json(const Urlsum__V1__WaitingJob *job, struct json *json)
{
    json_open_object(json, NULL);
    json_u64(json, "seq", job->seq);
    if (text_is_utf8(job->url.data, job->url.len))
        json_string(json, "url", (const char *)job->url.data, job->url.len);
    else
        json_base64(json, "url_bytes", job->url.data, job->url.len);
    json_puts(json, "state", job->state);
    json_puts(json, "why", job->why);
    if (job->fetcher[0])
        json_puts(json, "fetcher", job->fetcher);
    if (job->hasher[0])
        json_puts(json, "hasher", job->hasher);
    json_u64(json, "attempts", job->attempts);
    json_u64(json, "lost", job->lost);
    json_u64(json, "bytes", job->bytes);
    json_u64(json, "quiet_ms", job->quiet_ms);
    if (strcmp(job->state, "RETRY_WAIT") == 0)
        json_u64(json, "due_ms", job->due_ms);
    json_close_object(json);
}

void
waiting_to_json(const Urlsum__V1__Waiting *waiting, struct text *out)
{
    for (size_t i = 0; i < waiting->n_jobs; i++) {
        struct json json = {out, false};

        job_to_json(waiting->jobs[i], &json);
        text_putc(out, '\n');
    }
}
