#include "client/batches.h"
#include "client/commands.h"
#include "client/progress.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"
#include "client/watch.h"
#include "common/clock.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_WAIT_MS 500

struct wait {
    int64_t timeout_ms;
    bool is_quiet, has_no_progress;
    struct connection_options connection;
    struct session session;
    struct progress progress;
    struct watch watch;
};

static const struct conf_option wait_options[] = {
    {.name = "timeout",
     .type = CONF_SECONDS,
     .offset = offsetof(struct wait, timeout_ms),
     .initial = "0",
     .highest = INT64_C(1) << 40,
     .arg = "SECONDS",
     .help = "Wait no longer than that (0: for ever)"},
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct wait, is_quiet),
     .help = "No progress line, no line at the end"},
    {.name = "no-progress",
     .type = CONF_BOOL,
     .offset = offsetof(struct wait, has_no_progress),
     .help = "No progress line (there is one only on a terminal)"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {wait_options, 0},
    {connection_options, offsetof(struct wait, connection)},
    {curve_options, offsetof(struct wait, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_wait_program = {
    .name = "urlsum wait",
    .usage = "BATCH",
    .doc = "Wait until a batch is finished."
           "\v"
           "Exit codes: 0 finished, all good; 1 finished, a URL failed; 2 "
           "usage, or no such batch; 3 no broker, not finished in time, or "
           "cancelled; 130 interrupted.",
    .tables = tables,
    .takes_arguments = true,
};

static void
update_progress(struct wait *wait, const Urlsum__V1__Batch *batch)
{
    struct progress_numbers numbers = {
        .done = batch->done,
        .total = batch->submitted,
        .is_total_final = batch->closed,
        .failed = batch->failed,
        .bytes = batch->bytes,
    };

    progress_update(&wait->progress, &numbers, clock_now_ms());
}

// How long the next question may wait for its answer.
static uint32_t
next_wait_ms(const struct wait *wait, uint64_t start_ms)
{
    uint64_t wait_ms =
        wait->progress.fd >= 0 ? PROGRESS_WAIT_MS : WATCH_WAIT_MS;
    uint64_t gone_ms = clock_now_ms() - start_ms;
    uint64_t limit_ms = (uint64_t)wait->timeout_ms;

    if (limit_ms && gone_ms >= limit_ms)
        return 0;
    if (limit_ms && limit_ms - gone_ms < wait_ms)
        wait_ms = limit_ms - gone_ms;
    return (uint32_t)wait_ms;
}

static int
run(struct wait *wait, const char *id)
{
    const Urlsum__V1__Batch *batch = NULL;
    uint64_t start_ms = clock_now_ms();
    uint32_t wait_ms = 0; // the first answer tells that there is such a batch
    int err;

    err = session_open(&wait->session, &wait->connection, NULL);
    if (err)
        return err;
    watch_init(&wait->watch, &wait->session, id, false, clock_now_ms());
    for (;;) {
        err = batches_status(wait->session.remote, id, wait_ms, &batch);
        if (err)
            return session_fail(&wait->session, err, id);
        if (batch->finished_ms)
            break;
        update_progress(wait, batch);
        watch_note(&wait->watch, batch, clock_now_ms());
        err = watch_check(&wait->watch, clock_now_ms());
        if (err)
            return err;
        wait_ms = next_wait_ms(wait, start_ms);
        if (!wait_ms)
            break;
    }
    progress_clear(&wait->progress);
    if (!wait->is_quiet)
        say("batch %s is %s: %" PRIu64 " of %" PRIu64 " URLs done, %" PRIu64
            " failed, %" PRIu64 " cancelled",
            id, batches_state(batch), batch->done, batch->submitted,
            batch->failed, batch->cancelled_urls);
    return batches_exit_code(batch);
}

int
cmd_wait(int argc, char **argv)
{
    struct wait wait = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_wait_program, argc, argv, &wait, &first);
    if (argc - first != 1 || !options_is_batch_id(argv[first])) {
        say("wait wants one BATCH; urlsum status lists them");
        return EXIT_USAGE;
    }
    progress_init(&wait.progress,
                  !wait.is_quiet && !wait.has_no_progress &&
                          isatty(STDERR_FILENO)
                      ? STDERR_FILENO
                      : -1,
                  clock_now_ms());
    say_set_progress(&wait.progress);
    exit_code = run(&wait, argv[first]);
    progress_clear(&wait.progress);
    say_set_progress(NULL);
    session_close(&wait.session);
    conf_fini(&cmd_wait_program, &wait);
    return exit_code;
}
