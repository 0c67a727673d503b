// commands.h - the subcommands: one file and one row each
#ifndef CLIENT_COMMANDS_H
#define CLIENT_COMMANDS_H
struct conf_program;

struct command {
    const char *name;
    const char *summary;                // one line of `urlsum --help`
    int (*run)(int argc, char **argv);  // argv[0]: the name; exit code
    const struct conf_program *program; // its options, as run() parses them
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
int cmd_hosts(int argc, char **argv);
int cmd_health(int argc, char **argv);
int cmd_keygen(int argc, char **argv);

extern const struct conf_program cmd_get_program;
extern const struct conf_program cmd_submit_program;
extern const struct conf_program cmd_status_program;
extern const struct conf_program cmd_results_program;
extern const struct conf_program cmd_wait_program;
extern const struct conf_program cmd_cancel_program;
extern const struct conf_program cmd_retry_program;
extern const struct conf_program cmd_rm_program;
extern const struct conf_program cmd_workers_program;
extern const struct conf_program cmd_hosts_program;
extern const struct conf_program cmd_health_program;
extern const struct conf_program cmd_keygen_program;

#endif
