#include "client/pull.h"

#include "client/format.h"
#include "client/output.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/watch.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/fail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void on_page(void *arg, const Urlsum__V1__Reply *reply);

void
pull_init(struct pull *pull, struct remote *remote,
          const struct pull_config *config)
{
    *pull = (struct pull){.remote = remote, .config = *config};
}

void
pull_start(struct pull *pull)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetResults results = URLSUM__V1__GET_RESULTS__INIT;

    results.batch = (char *)(uintptr_t)pull->config.batch; // only packed
    results.after = pull->cursor;
    results.by_seq = pull->config.by_seq;
    results.wait_ms = pull->config.follows ? pull->config.wait_ms : 0;
    request.what_case = URLSUM__V1__REQUEST__WHAT_RESULTS;
    request.results = &results;
    if (remote_send(pull->remote, &request, on_page, pull))
        pull->err = -ENOMEM;
}

static void
note_batch(struct pull *pull, const Urlsum__V1__Batch *batch)
{
    pull->number = batch->number;
    pull->counts = (struct pull_counts){
        .done = batch->done,
        .failed = batch->failed,
        .cancelled = batch->cancelled_urls,
        .bytes = batch->bytes,
        .submitted = batch->submitted,
        .is_closed = batch->closed,
        .is_finished = batch->finished_ms != 0,
    };
    if (pull->config.watch)
        watch_note(pull->config.watch, batch, clock_now_ms());
}

static void
write_record(struct pull *pull, const Urlsum__V1__Record *record,
             struct text *failures)
{
    struct output *output = pull->config.output;
    char outcome[64];

    if (log_enabled(LOG_DEBUG))
        log_debug("url.result",
                  "job=" LOG_JOB " outcome=%s attempts=%" PRIu32
                  " size=%" PRIu64,
                  pull->number, record->seq,
                  log_escape(record->outcome, strlen(record->outcome), outcome,
                             sizeof(outcome)),
                  record->attempts, record->size);
    format_record(pull->config.format, record, &output->text);
    pull->written++;
    if (strcmp(record->outcome, fail_name(FAIL_CANCELLED)) == 0) {
        pull->cancelled++; // one line for all of them comes at the end
    } else if (strcmp(record->outcome, fail_name(FAIL_OK)) != 0) {
        pull->failed++;
        if (!pull->config.is_quiet)
            format_failure(record, failures);
    } else if (format_differs(record)) {
        pull->differing++;
        if (!pull->config.is_quiet)
            format_difference(record, failures);
    }
    if (pull->err)
        return;
    pull->err = output_flush_if_large(output);
    pull->is_write_error = pull->err != 0;
}

static void
write_page(struct pull *pull, const Urlsum__V1__ResultsPage *page)
{
    struct text failures = {0};

    for (size_t i = 0; i < page->n_records && !pull->err; i++)
        write_record(pull, page->records[i], &failures);
    // More is waiting already: it can share a write with this.
    if (!pull->err && (pull->is_ended || !remote_has_input(pull->remote))) {
        pull->err = output_flush(pull->config.output);
        pull->is_write_error = pull->err != 0;
    }
    say_lines(&failures);
    text_fini(&failures);
}

static void
on_page(void *arg, const Urlsum__V1__Reply *reply)
{
    struct pull *pull = arg;
    const Urlsum__V1__ResultsPage *page = reply->results;

    if (reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR) {
        (void)snprintf(pull->why, sizeof(pull->why), "%s",
                       remote_error_text(pull->remote, reply->error));
        pull->err = -EREMOTE;
        return;
    }
    if (reply->what_case != URLSUM__V1__REPLY__WHAT_RESULTS) {
        (void)snprintf(pull->why, sizeof(pull->why),
                       "the broker answered something else than asked");
        pull->err = -EREMOTE;
        return;
    }
    pull->cursor = page->cursor;
    if (page->batch)
        note_batch(pull, page->batch);
    pull->is_ended = page->end || (!pull->config.follows && !page->n_records);
    if (!pull->is_ended)
        pull_start(pull); // the broker makes the next page meanwhile
    write_page(pull, page);
}
