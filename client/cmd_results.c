#include "client/batches.h"
#include "client/commands.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/pull.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"
#include "client/watch.h"
#include "common/clock.h"
#include "common/log_conf.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SLEEP_MS 60000
#define PROGRESS_WAIT_MS 1000

struct results {
    bool follows;
    struct output_options output_options;
    struct connection_options connection;
    struct log_config log;

    const char *batch;
    struct format format;
    struct session session;
    struct output output;
    struct pull pull;
    struct watch watch;
    struct progress progress;
};

static const struct conf_option results_options[] = {
    {.name = "follow",
     .short_flag = 'f',
     .type = CONF_BOOL,
     .offset = offsetof(struct results, follows),
     .help = "Go on until the batch is finished"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {results_options, 0},
    {output_options, offsetof(struct results, output_options)},
    {connection_options, offsetof(struct results, connection)},
    {curve_options, offsetof(struct results, connection.keys)},
    {log_client_options, offsetof(struct results, log)},
    {NULL, 0},
};

const struct conf_program cmd_results_program = {
    .name = "urlsum results",
    .usage = "BATCH",
    .doc = "Print the results that a batch has, from its first on. Of a URL "
           "that was retried it is the newest."
           "\v"
           "Failed URLs get a line each on stderr. With --ordered and without "
           "--follow it ends before the first URL that has no result yet.\n\n"
           "Exit codes: 0 the batch is finished and all of it good; 1 a URL "
           "failed, or results could not be written; 2 usage, or no such "
           "batch; 3 no broker, or the batch is not finished or was cancelled.",
    .tables = tables,
    .takes_arguments = true,
};

static int
start(struct results *results)
{
    const Urlsum__V1__Batch *batch = NULL;
    const char *wrong;
    int err;

    err = session_open(&results->session, &results->connection, NULL);
    if (err)
        return err;
    err = batches_status(results->session.remote, results->batch, 0, &batch);
    if (!err)
        err = batches_take_algorithms(batch, &results->format);
    if (err)
        return session_fail(&results->session, err, results->batch);
    wrong = format_check(&results->format);
    if (wrong) {
        say("%s", wrong);
        return EXIT_USAGE;
    }
    err = output_open(&results->output, results->output_options.output);
    if (err) {
        say("%s: %s", results->output.name, strerror(-err));
        return EXIT_USAGE;
    }
    format_header(&results->format, &results->output.text);
    return 0;
}

static void
start_pull(struct results *results)
{
    bool shows_progress =
        results->follows && !results->output_options.is_quiet &&
        !results->output_options.has_no_progress && isatty(STDERR_FILENO);
    struct pull_config config = {
        .batch = results->batch,
        .format = &results->format,
        .output = &results->output,
        .by_seq = results->output_options.is_ordered,
        .is_quiet = results->output_options.is_quiet,
        .follows = results->follows,
        .watch = results->follows ? &results->watch : NULL,
        .wait_ms = shows_progress ? PROGRESS_WAIT_MS : WATCH_WAIT_MS,
    };

    progress_init(&results->progress, shows_progress ? STDERR_FILENO : -1,
                  clock_now_ms());
    say_set_progress(&results->progress);
    watch_init(&results->watch, &results->session, results->batch, false,
               clock_now_ms());
    pull_init(&results->pull, results->session.remote, &config);
    pull_start(&results->pull);
}

static int
turn(struct results *results)
{
    struct pull *pull = &results->pull;
    zmq_pollitem_t item = {NULL, results->session.signal_fd, ZMQ_POLLIN, 0};
    struct progress_numbers numbers;
    int err;

    err = remote_wait(results->session.remote, &item, 1,
                      results->progress.fd >= 0 ? 200 : SLEEP_MS);
    if (item.revents)
        return session_take_signal(&results->session);
    if (err)
        return session_fail(&results->session, err, results->batch);
    if (pull->is_write_error)
        return output_fail(&results->output, pull->err);
    if (pull->err) {
        say("batch %s: %s", results->batch,
            pull->err == -ENOMEM ? "out of memory" : pull->why);
        return EXIT_INCOMPLETE;
    }
    numbers = (struct progress_numbers){
        .done = pull->counts.done,
        .total = pull->counts.submitted,
        .is_total_final = pull->counts.is_closed,
        .failed = pull->counts.failed,
        .bytes = pull->counts.bytes,
    };
    progress_update(&results->progress, &numbers, clock_now_ms());
    return watch_check(&results->watch, clock_now_ms());
}

static int
run(struct results *results)
{
    const struct pull *pull = &results->pull;
    int exit_code = start(results);
    int err;

    if (exit_code)
        return exit_code;
    start_pull(results);
    while (!exit_code && !results->pull.is_ended)
        exit_code = turn(results);
    if (exit_code)
        return exit_code;
    err = output_close(&results->output);
    if (err)
        return output_fail(&results->output, err);
    if (!pull->counts.is_finished || pull->counts.cancelled)
        return EXIT_INCOMPLETE;
    return pull->counts.failed || pull->differing ? EXIT_FAILED_URL : EXIT_GOOD;
}

int
cmd_results(int argc, char **argv)
{
    static struct results results = {.session.signal_fd = -1, .output.fd = -1};
    const char *wrong = NULL;
    int first = argc;
    int exit_code;

    conf_parse(&cmd_results_program, argc, argv, &results, &first);
    log_configure(&results.log);
    options_parse_format(&results.output_options, &results.format);
    if (argc - first != 1 || !options_is_batch_id(argv[first]))
        wrong = "results wants one BATCH; urlsum status lists them";
    if (wrong) {
        say("%s", wrong);
        return EXIT_USAGE;
    }
    results.batch = argv[first];
    exit_code = run(&results);
    progress_clear(&results.progress);
    say_set_progress(NULL);
    if (output_leave(&results.output) && !exit_code)
        exit_code = EXIT_FAILED_URL;
    session_close(&results.session);
    conf_fini(&cmd_results_program, &results);
    return exit_code;
}
