#include "client/batches.h"
#include "client/commands.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KINDS_MAX 64

struct retry {
    const char *only;
    bool is_quiet;
    struct connection_options connection;
    struct session session;
    char *kinds[KINDS_MAX];
    size_t kinds_len;
};

static const struct conf_option retry_options[] = {
    {.name = "only",
     .type = CONF_STRING,
     .offset = offsetof(struct retry, only),
     .arg = "KIND,...",
     .help = "Only failures of these kinds: an outcome, a status (503) or a "
             "class of them (5xx)"},
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct retry, is_quiet),
     .help = "No line about it"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {retry_options, 0},
    {connection_options, offsetof(struct retry, connection)},
    {curve_options, offsetof(struct retry, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_retry_program = {
    .name = "urlsum retry",
    .usage = "BATCH",
    .doc =
        "Queue failed URLs of a batch again, with all their tries. Each gets a "
        "new result in place of its old one; what is good stays."
        "\v"
        "The batch's list must be complete. urlsum wait and urlsum results "
        "work as before.\n\n"
        "Kinds: dns, connect, timeout, tls, redirects, http (any status), "
        "404, 503, 4xx, 5xx (and so on), cut, protocol, too_large, "
        "blocked_address, host_down, worker_lost, digest, internal, "
        "invalid_url, url_too_long, scheme.\n\n"
        "Exit codes: 0, also when nothing had failed so; 2 usage, no such "
        "batch, or it is open or cancelled; 3 no broker.",
    .tables = tables,
    .takes_arguments = true,
};

static int
retry_batch(struct retry *retry, const char *id, uint64_t *out_requeued,
            uint64_t *out_failed)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__RetryBatch message = URLSUM__V1__RETRY_BATCH__INIT;
    const Urlsum__V1__Batch *batch = NULL;
    int err;

    message.batch = (char *)(uintptr_t)id; // packed, not changed
    message.n_only = retry->kinds_len;
    message.only = retry->kinds;
    request.what_case = URLSUM__V1__REQUEST__WHAT_RETRY;
    request.retry = &message;
    err = batches_call(retry->session.remote, &request, &batch);
    if (err)
        return err;
    *out_requeued = batch->requeued;
    *out_failed = batch->failed;
    return 0;
}

static int
run(struct retry *retry, const char *id)
{
    uint64_t requeued = 0, failed = 0;
    int err;

    err = session_open(&retry->session, &retry->connection, NULL);
    if (err)
        return err;
    err = retry_batch(retry, id, &requeued, &failed);
    if (err)
        return session_fail(&retry->session, err, id);
    if (retry->is_quiet)
        return EXIT_GOOD;
    if (requeued)
        say("batch %s: %" PRIu64 " failed URLs are queued again", id, requeued);
    else if (failed)
        say("batch %s: nothing to retry: none of its %" PRIu64
            " failures is of these kinds",
            id, failed);
    else
        say("batch %s: nothing to retry: no URL has failed", id);
    return EXIT_GOOD;
}

// Cuts --only at its commas, in place. Returns false when it is no list.
static bool
split_kinds(struct retry *retry, char *only)
{
    char *save = NULL;

    for (char *kind = strtok_r(only, ", ", &save); kind;
         kind = strtok_r(NULL, ", ", &save)) {
        if (retry->kinds_len == KINDS_MAX)
            return false;
        retry->kinds[retry->kinds_len++] = kind;
    }
    return retry->kinds_len > 0;
}

int
cmd_retry(int argc, char **argv)
{
    struct retry retry = {.session.signal_fd = -1};
    char *only = NULL;
    int first = argc;
    int exit_code = EXIT_USAGE;

    conf_parse(&cmd_retry_program, argc, argv, &retry, &first);
    if (argc - first != 1 || !options_is_batch_id(argv[first])) {
        say("retry wants one BATCH; urlsum status lists them");
        goto out;
    }
    if (retry.only) {
        only = strdup(retry.only);
        if (!only || !split_kinds(&retry, only)) {
            say("--only wants kinds with commas between, as in "
                "dns,timeout,5xx");
            goto out;
        }
    }
    exit_code = run(&retry, argv[first]);
out:
    session_close(&retry.session);
    conf_fini(&cmd_retry_program, &retry);
    free(only);
    return exit_code;
}
