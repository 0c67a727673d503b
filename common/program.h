// program.h - the main() of a daemon, said once
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H
#include <stddef.h>

struct conf_program;
struct log_config;
struct role;

struct program_role {
    const struct conf_program *conf;
    void *config;                 // what conf's rows fill, zeroed
    const struct log_config *log; // the config's, filled by log_options
    // How many of ZeroMQ's own threads the role keeps busy; NULL: one.
    int (*io_threads)(const void *config);
    // <role>_run: serves until stopped, returns the exit code.
    int (*run)(const void *config, struct role *role);
};

// Parses options, sets the log up, runs the role with signals, tells a service
// manager about it (notify.h), cleans up.
// Returns the exit code; usage errors exit 2 before anything is done.
int program_main(const struct program_role *program, int argc, char **argv);

// Keeps freed memory in the process: buffers come and go with every transfer,
// and giving their pages back each time cost a quarter of the CPU time a small
// body takes. Call before threads.
void program_keep_freed_memory(void);

// For a program that is about to have so many bytes in small pieces: grows the
// heap once and asks the kernel for huge pages there (where it gives them on
// request or always). Nothing is used up by that, and a failure costs speed
// alone. In the main thread, whose heap it is; after
// program_keep_freed_memory().
void program_expect_memory(size_t bytes);

// Opens /dev/null for whichever of descriptors 0 to 2 is closed, the wrong way
// round, so that its use is an error: else a file or socket of ours could take
// its place and be written to as standard output. Returns 0 or a negative
// errno. First thing in main(); program_main() does it.
int program_fill_descriptors(void);

#endif
