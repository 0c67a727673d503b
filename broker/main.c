// main.c - urlsum-broker: options, start, run, stop
#include "broker/broker.h"
#include "broker/endpoints.h"
#include "broker/life.h"
#include "common/conf.h"
#include "common/fault.h"
#include "common/program.h"

#include <stdio.h>
#include <string.h>

static int
io_threads(const void *config)
{
    return endpoints_io_threads(config);
}

static int
run(const void *config, struct role *role)
{
    return broker_run(config, role);
}

int
main(int argc, char **argv)
{
    struct broker_config config = {0};
    const struct program_role program = {.conf = &broker_program,
                                         .config = &config,
                                         .log = &config.log,
                                         .io_threads = io_threads,
                                         .run = run};

    // For proto/worker.md and the test that compares the two.
    if (argc == 2 && strcmp(argv[1], "--print-life") == 0) {
        life_print(stdout);
        return 0;
    }
    fault_init();
    return program_main(&program, argc, argv);
}
