#include "common/conf.h"
#include "common/http.h"
#include "common/limits.h"
#include "hasher/hasher.h"

const struct conf_option hasher_work_options[] = {
    {.name = "threads",
     .type = CONF_INT,
     .offset = offsetof(struct hasher_config, threads),
     .initial = "0",
     .lowest = 0,
     .highest = HASHER_THREADS_MAX,
     .arg = "N",
     .help = "Hash on N threads; 0: as many as the CPU quota allows."},
    {0},
};

const struct conf_option hasher_options[] = {
    {.name = "broker",
     .type = CONF_STRING,
     .offset = offsetof(struct hasher_config, broker),
     .initial = "tcp://127.0.0.1",
     .arg = "ENDPOINT",
     .help = "Work for the broker at ENDPOINT; its port is 5552 if not said."},
    {.name = "name",
     .type = CONF_STRING,
     .offset = offsetof(struct hasher_config, name),
     .arg = "NAME",
     .help = "Call this hasher NAME in logs and records; host/pid if not "
             "said."},
    {.name = "grace",
     .type = CONF_SECONDS,
     .offset = offsetof(struct hasher_config, grace_ms),
     .initial = "25",
     .lowest = 0,
     .highest = 86400000,
     .arg = "SECONDS",
     .help = "When told to stop, finish open bodies for at most SECONDS."},
    HTTP_OPTION(offsetof(struct hasher_config, http)),
    {0},
};

static const struct conf_table tables[] = {
    {hasher_work_options, 0},
    {hasher_options, 0},
    {curve_options, offsetof(struct hasher_config, keys)},
    {log_options, offsetof(struct hasher_config, log)},
    {NULL, 0},
};

const struct conf_program hasher_program = {
    .name = "urlsum-hasher",
    .doc = "Computes digests of the bodies that a urlsum broker sends."
           "\v"
           "It waits for a broker that is not there. SIGTERM lets open bodies "
           "be finished (--grace) and hands the others back; a second one "
           "leaves at once.\n\n"
           "Exit codes: 0 stopped as it was told to; 1 something it cannot do "
           "without failed; 2 usage, or a setting that cannot be; 3 no "
           "ZeroMQ.",
    .tables = tables,
};
