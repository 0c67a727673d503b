#include "client/batches.h"
#include "client/commands.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"

#include <inttypes.h>

struct cancel {
    bool is_quiet;
    struct connection_options connection;
    struct session session;
};

static const struct conf_option cancel_options[] = {
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct cancel, is_quiet),
     .help = "No line about it"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {cancel_options, 0},
    {connection_options, offsetof(struct cancel, connection)},
    {curve_options, offsetof(struct cancel, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_cancel_program = {
    .name = "urlsum cancel",
    .usage = "BATCH",
    .doc = "Cancel a batch: each URL that has no result yet gets the outcome "
           "'cancelled'. Results stay."
           "\v"
           "Exit codes: 0; 2 usage, or no such batch; 3 no broker.",
    .tables = tables,
    .takes_arguments = true,
};

static int
run(struct cancel *cancel, const char *id)
{
    const Urlsum__V1__Batch *batch = NULL;
    int err;

    err = session_open(&cancel->session, &cancel->connection, NULL);
    if (err)
        return err;
    err = batches_cancel(cancel->session.remote, id, &batch);
    if (err)
        return session_fail(&cancel->session, err, id);
    if (!cancel->is_quiet)
        say("batch %s is %s: %" PRIu64 " of %" PRIu64 " URLs done", id,
            batches_state(batch), batch->done - batch->cancelled_urls,
            batch->submitted);
    return EXIT_GOOD;
}

int
cmd_cancel(int argc, char **argv)
{
    struct cancel cancel = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_cancel_program, argc, argv, &cancel, &first);
    if (argc - first != 1 || !options_is_batch_id(argv[first])) {
        say("cancel wants one BATCH; urlsum status lists them");
        return EXIT_USAGE;
    }
    exit_code = run(&cancel, argv[first]);
    session_close(&cancel.session);
    conf_fini(&cmd_cancel_program, &cancel);
    return exit_code;
}
