// main.c - urlsum-fetcher: options, start, run, stop
#include "common/conf.h"
#include "common/program.h"
#include "fetcher/fetcher.h"

#include <stddef.h>

static const struct conf_table tables[] = {
    {fetcher_options, 0},
    {fetcher_transfer_options, 0},
    {NULL, 0},
};

static const struct conf_program conf = {
    .name = "urlsum-fetcher",
    .doc = "Downloads URLs for a broker and streams their bodies to it.",
    .tables = tables,
};

static int
run(const void *config, struct role *role)
{
    return fetcher_run(config, role);
}

int
main(int argc, char **argv)
{
    struct fetcher_config config = {0};
    const struct program_role program = {.conf = &conf,
                                         .config = &config,
                                         .log_level = &config.log_level,
                                         .run = run};

    return program_main(&program, argc, argv);
}
