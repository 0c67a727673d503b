// main.c - urlsum-fetcher: options, start, run, stop
#include "common/conf.h"
#include "common/program.h"
#include "fetcher/fetcher.h"

#include <stddef.h>

static int
run(const void *config, struct role *role)
{
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
