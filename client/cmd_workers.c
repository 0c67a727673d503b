#include "client/commands.h"
#include "client/json.h"
#include "client/output.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct workers {
    bool is_json;
    struct connection_options connection;
    struct session session;
    struct output output;
};

static const struct conf_option workers_options[] = {
    {.name = "json",
     .type = CONF_BOOL,
     .offset = offsetof(struct workers, is_json),
     .help = "One JSON object a worker and line"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {workers_options, 0},
    {connection_options, offsetof(struct workers, connection)},
    {curve_options, offsetof(struct workers, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_workers_program = {
    .name = "urlsum workers",
    .doc = "List the fetchers and hashers that have a session with the broker."
           "\v"
           "JOBS are in hand now, DONE and BYTES since the session began, "
           "SILENT is the time since the worker's last word. One that is "
           "\"pausing\" gets no jobs while others take them; its line ends "
           "with the reason.\n\n"
           "Exit codes: 0; 2 usage; 3 no broker.",
    .tables = tables,
};

static void
put_json(const Urlsum__V1__Worker *worker, struct text *out)
{
    struct json json = {out, false};

    json_open_object(&json, NULL);
    json_puts(&json, "role", worker->role);
    json_puts(&json, "name", worker->name);
    json_u64(&json, "session", worker->session);
    json_u64(&json, "jobs", worker->jobs);
    json_u64(&json, "capacity", worker->capacity);
    json_u64(&json, "done", worker->done);
    json_u64(&json, "bytes", worker->bytes);
    json_u64(&json, "silent_ms", worker->silent_ms);
    json_u64(&json, "connected_ms", worker->connected_ms);
    json_bool(&json, "draining", worker->draining);
    if (worker->pauses[0])
        json_puts(&json, "pauses", worker->pauses);
    json_close_object(&json);
    text_putc(out, '\n');
}

static const char *
state_of(const Urlsum__V1__Worker *worker)
{
    if (worker->draining)
        return "draining";
    return worker->pauses[0] ? "pausing" : "serving";
}

static void
put_row(const Urlsum__V1__Worker *worker, struct text *out)
{
    text_printf(out, "%-7s  %6" PRIu64 "  ", worker->role, worker->jobs);
    if (worker->capacity)
        text_printf(out, "%8" PRIu64, worker->capacity);
    else
        text_printf(out, "%8s", "-");
    text_printf(
        out, "  %10" PRIu64 "  %15" PRIu64 "  %6.1f s  %7" PRIu64 " s  %-8s  ",
        worker->done, worker->bytes, (double)worker->silent_ms / 1000,
        worker->connected_ms / 1000, state_of(worker));
    text_printable(out, worker->name, strlen(worker->name), WIRE_NAME_MAX);
    if (worker->pauses[0]) {
        text_puts(out, ": ");
        text_printable(out, worker->pauses, strlen(worker->pauses), 200);
    }
    text_putc(out, '\n');
}

static int
run(struct workers *workers)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetWorkers get = URLSUM__V1__GET_WORKERS__INIT;
    const Urlsum__V1__Reply *reply = NULL;
    struct text *out = &workers->output.text;
    int err;

    err = session_open(&workers->session, &workers->connection, NULL);
    if (err)
        return err;
    request.what_case = URLSUM__V1__REQUEST__WHAT_WORKERS;
    request.workers = &get;
    err = remote_call(workers->session.remote, &request, &reply);
    if (!err && reply->what_case != URLSUM__V1__REPLY__WHAT_WORKERS)
        err = -EPROTO;
    if (err)
        return session_fail(&workers->session, err, NULL);
    if (!workers->is_json)
        text_printf(out, "%-7s  %6s  %8s  %10s  %15s  %8s  %9s  %-8s  %s\n",
                    "ROLE", "JOBS", "CAPACITY", "DONE", "BYTES", "SILENT",
                    "CONNECTED", "STATE", "NAME");
    for (size_t i = 0; i < reply->workers->n_workers; i++) {
        if (workers->is_json)
            put_json(reply->workers->workers[i], out);
        else
            put_row(reply->workers->workers[i], out);
    }
    return 0;
}

int
cmd_workers(int argc, char **argv)
{
    struct workers workers = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;
    int err;

    conf_parse(&cmd_workers_program, argc, argv, &workers, &first);
    (void)output_open(&workers.output, NULL); // stdout is open already
    exit_code = run(&workers);
    err = output_close(&workers.output);
    if (err && !exit_code)
        exit_code = output_fail(&workers.output, err);
    session_close(&workers.session);
    conf_fini(&cmd_workers_program, &workers);
    return exit_code;
}
