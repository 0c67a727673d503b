// main.c - urlsum-hasher: options, start, run, stop
#include "common/conf.h"
#include "common/cpus.h"
#include "common/program.h"
#include "hasher/hasher.h"

#include <stddef.h>

// Hashing threads that one of ZeroMQ's own threads keeps busy.
#define THREADS_PER_IO_THREAD 2

static int
io_threads(const void *config)
{
    const struct hasher_config *hasher = config;
    int64_t threads = hasher->threads ? hasher->threads : cpus_usable();

    return (int)((threads - 1) / THREADS_PER_IO_THREAD) + 1;
}

static int
run(const void *config, struct role *role)
{
    return hasher_run(config, role);
}

int
main(int argc, char **argv)
{
    struct hasher_config config = {0};
    const struct program_role program = {.conf = &hasher_program,
                                         .config = &config,
                                         .log = &config.log,
                                         .io_threads = io_threads,
                                         .run = run};

    return program_main(&program, argc, argv);
}
