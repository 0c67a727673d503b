// main.c - urlsum-broker: options, start, run, stop
#include "broker/broker.h"
#include "broker/life.h"
#include "common/conf.h"
#include "common/fault.h"
#include "common/program.h"

#include <stdio.h>
#include <string.h>

static const struct conf_table tables[] = {
    {broker_options, 0},
    {broker_schedule_options, 0},
    {NULL, 0},
};

static const struct conf_program conf = {
    .name = "urlsum-broker",
    .doc = "The broker of urlsum: owns the durable queue, hands URLs to "
           "fetchers, bodies to hashers, and keeps the results.\v"
           "SIGTERM lets running transfers finish (--grace); a second one "
           "leaves at once. Killed at any moment, the broker goes on where it "
           "was when it is started again on the same --store.",
    .tables = tables,
};

static int
run(const void *config, struct role *role)
{
    return broker_run(config, role);
}

int
main(int argc, char **argv)
{
    struct broker_config config = {0};
    const struct program_role program = {.conf = &conf,
                                         .config = &config,
                                         .log_level = &config.log_level,
                                         .run = run};

    // For proto/worker.md and the test that compares the two.
    if (argc == 2 && strcmp(argv[1], "--print-life") == 0) {
        life_print(stdout);
        return 0;
    }
    fault_init();
    return program_main(&program, argc, argv);
}
