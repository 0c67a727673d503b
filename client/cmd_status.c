#include "client/batches.h"
#include "client/commands.h"
#include "client/json.h"
#include "client/output.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"
#include "client/waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PAGE 200

struct status {
    bool is_json;
    bool is_unfinished;
    bool is_stuck;
    int64_t max;
    struct connection_options connection;
    struct session session;
    struct output output;
};

static const struct conf_option status_options[] = {
    {.name = "json",
     .type = CONF_BOOL,
     .offset = offsetof(struct status, is_json),
     .help = "One JSON object a line: a batch, or with --stuck a URL"},
    {.name = "unfinished",
     .type = CONF_BOOL,
     .offset = offsetof(struct status, is_unfinished),
     .help = "List only batches that are not finished"},
    {.name = "stuck",
     .type = CONF_BOOL,
     .offset = offsetof(struct status, is_stuck),
     .help = "Also list what the batch still waits for, and why"},
    {.name = "max",
     .short_flag = 'n',
     .type = CONF_INT,
     .offset = offsetof(struct status, max),
     .initial = "20",
     .lowest = 1,
     .highest = 1000,
     .arg = "N",
     .help = "With --stuck, at most N URLs"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {status_options, 0},
    {connection_options, offsetof(struct status, connection)},
    {curve_options, offsetof(struct status, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_status_program = {
    .name = "urlsum status",
    .usage = "[BATCH]",
    .doc = "Print how far a batch is, or list the broker's batches."
           "\v"
           "--stuck lists URLs that are in a worker's hands first, those "
           "without news for longest at the top, then those that wait for "
           "their next try, then those that wait for their turn.\n\n"
           "Exit codes: 0; 2 usage, or no such batch; 3 no broker.",
    .tables = tables,
    .takes_arguments = true,
};

static void
show(struct status *status, const Urlsum__V1__Batch *batch)
{
    struct json json = {&status->output.text, false};

    if (status->is_json) {
        batches_to_json(batch, &json);
        text_putc(&status->output.text, '\n');
    } else {
        batches_show(batch, &status->output.text);
    }
}

static void
show_row(struct status *status, const Urlsum__V1__Batch *batch)
{
    struct text *out = &status->output.text;
    size_t from = out->len;

    if (status->is_json) {
        show(status, batch);
        return;
    }
    text_printable(out, batch->id, strlen(batch->id), BATCH_ID_MAX);
    while (out->len - from < 32)
        text_putc(out, ' ');
    text_printf(out, "  %-9s  %12" PRIu64 "  %12" PRIu64 "  %10" PRIu64 "  ",
                batches_state(batch), batch->done, batch->submitted,
                batch->failed);
    batches_show_time(batch->created_ms, out);
    text_putc(out, '\n');
}

static int
list_batches(struct status *status)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__ListBatches list = URLSUM__V1__LIST_BATCHES__INIT;
    const Urlsum__V1__Reply *reply = NULL;
    size_t len = PAGE;
    int err = 0;

    list.max = PAGE;
    list.only_unfinished = status->is_unfinished;
    request.what_case = URLSUM__V1__REQUEST__WHAT_LIST;
    request.list = &list;
    // The broker may give fewer than asked for at once; an empty page ends it.
    while (len > 0) {
        err = remote_call(status->session.remote, &request, &reply);
        if (err)
            return err;
        if (reply->what_case != URLSUM__V1__REPLY__WHAT_LIST)
            return -EPROTO;
        if (!status->is_json && !list.after)
            text_printf(&status->output.text,
                        "%-32s  %-9s  %12s  %12s  %10s  %s\n", "BATCH", "STATE",
                        "DONE", "SUBMITTED", "FAILED", "CREATED");
        len = reply->list->n_batches;
        for (size_t i = 0; i < len; i++) {
            show_row(status, reply->list->batches[i]);
            list.after = reply->list->batches[i]->number;
        }
        err = output_flush_if_large(&status->output);
        if (err)
            return 0; // told when the output is closed
    }
    return 0;
}

static int
show_stuck(struct status *status, const char *id)
{
    const Urlsum__V1__Waiting *waiting = NULL;
    int err = waiting_get(status->session.remote, id, (uint32_t)status->max,
                          &waiting);

    if (err)
        return err;
    if (status->is_json) {
        waiting_to_json(waiting, &status->output.text);
        return 0;
    }
    batches_show(waiting->batch, &status->output.text);
    waiting_show(waiting, &status->output.text);
    return 0;
}

static int
show_one(struct status *status, const char *id)
{
    const Urlsum__V1__Batch *batch = NULL;
    int err;

    if (status->is_stuck)
        return show_stuck(status, id);
    err = batches_status(status->session.remote, id, 0, &batch);
    if (!err)
        show(status, batch);
    return err;
}

static int
run(struct status *status, const char *id)
{
    int err;

    err = session_open(&status->session, &status->connection, NULL);
    if (err)
        return err;
    if (id)
        err = show_one(status, id);
    else
        err = list_batches(status);
    return err ? session_fail(&status->session, err, id) : 0;
}

int
cmd_status(int argc, char **argv)
{
    struct status status = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;
    int err;

    conf_parse(&cmd_status_program, argc, argv, &status, &first);
    if (argc - first > 1 ||
        (first < argc && !options_is_batch_id(argv[first]))) {
        say("status takes one BATCH, or none to list them");
        return EXIT_USAGE;
    }
    if (status.is_stuck && first == argc) {
        say("--stuck wants a BATCH; urlsum status --unfinished lists them");
        return EXIT_USAGE;
    }
    (void)output_open(&status.output, NULL); // stdout is open already
    exit_code = run(&status, first < argc ? argv[first] : NULL);
    err = output_close(&status.output);
    if (err && !exit_code)
        exit_code = output_fail(&status.output, err);
    session_close(&status.session);
    conf_fini(&cmd_status_program, &status);
    return exit_code;
}
