// commands.h - the subcommands: one file and one row each
#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H

struct command {
    const char *name;
    const char *summary;               // one line of `urlsum --help`
    int (*run)(int argc, char **argv); // argv[0]: the name; exit code
};

// In the order of --help; a row without name ends them.
extern const struct command commands[];

int cmd_get(int argc, char **argv);
int cmd_submit(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_results(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_retry(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_workers(int argc, char **argv);

#endif
