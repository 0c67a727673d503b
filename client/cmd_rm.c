#include "client/batches.h"
#include "client/commands.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"

#include <errno.h>

struct rm {
    bool is_quiet;
    struct connection_options connection;
    struct session session;
};

static const struct conf_option rm_options[] = {
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct rm, is_quiet),
     .help = "No line for each batch"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {rm_options, 0},
    {connection_options, offsetof(struct rm, connection)},
    {curve_options, offsetof(struct rm, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_rm_program = {
    .name = "urlsum rm",
    .usage = "BATCH...",
    .doc = "Remove finished batches and their results from the broker."
           "\v"
           "Their room on the broker's disk is free some time later. A batch "
           "that is not finished stays; urlsum cancel ends it first.\n\n"
           "Exit codes: 0 all are removed; 2 usage, no such batch, or one that "
           "is not finished; 3 no broker.",
    .tables = tables,
    .takes_arguments = true,
};

static int
remove_one(struct rm *rm, const char *id)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__RemoveBatch message = URLSUM__V1__REMOVE_BATCH__INIT;
    const Urlsum__V1__Batch *batch = NULL;
    int err;

    message.batch = (char *)(uintptr_t)id; // packed, not changed
    request.what_case = URLSUM__V1__REQUEST__WHAT_REMOVE;
    request.remove = &message;
    err = batches_call(rm->session.remote, &request, &batch);
    if (err == -EEXIST) {
        say("batch %s is not finished and stays; urlsum cancel %s ends it", id,
            id);
        return EXIT_USAGE;
    }
    if (err)
        return session_fail(&rm->session, err, id);
    if (!rm->is_quiet)
        say("batch %s is removed", id);
    return EXIT_GOOD;
}

static int
remove_all(struct rm *rm, int len, char **ids)
{
    int exit_code = 0;

    // One that cannot go is no reason to keep the others; no broker is.
    for (int i = 0; i < len && (!exit_code || exit_code == EXIT_USAGE); i++) {
        int one = remove_one(rm, ids[i]);

        if (one)
            exit_code = one;
    }
    return exit_code;
}

int
cmd_rm(int argc, char **argv)
{
    struct rm rm = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_rm_program, argc, argv, &rm, &first);
    for (int i = first; i < argc; i++) {
        if (!options_is_batch_id(argv[i]))
            first = argc;
    }
    if (first == argc) {
        say("rm wants one BATCH or more; urlsum status lists them");
        return EXIT_USAGE;
    }
    exit_code = session_open(&rm.session, &rm.connection, NULL);
    if (!exit_code)
        exit_code = remove_all(&rm, argc - first, argv + first);
    session_close(&rm.session);
    conf_fini(&cmd_rm_program, &rm);
    return exit_code;
}
