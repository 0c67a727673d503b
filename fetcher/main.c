// main.c - urlsum-fetcher: options, start, run, stop
#include "common/conf.h"
#include "common/program.h"
#include "fetcher/fetcher.h"

#include <stddef.h>

// A transfer with what libcurl has for it, and its connection. Some hundred of
// them are no matter; with thousands each touches memory that no cache has.
#define TRANSFER_BYTES (24 * 1024)
#define TRANSFERS_FEW 512

static int
run(const void *options, struct role *role)
{
    const struct fetcher_config *config = options;

    if (config->parallel_max > TRANSFERS_FEW)
        program_expect_memory((size_t)config->parallel_max * TRANSFER_BYTES);
    return fetcher_run(config, role);
}

int
main(int argc, char **argv)
{
    struct fetcher_config config = {0};
    const struct program_role program = {.conf = &fetcher_program,
                                         .config = &config,
                                         .log = &config.log,
                                         .run = run};

    return program_main(&program, argc, argv);
}
