// hasher.h - the hasher role: share-nothing threads, each with its own session
#ifndef HASHER_HASHER_H
#define HASHER_HASHER_H
#include "common/conf.h"
#include "common/curve.h"
#include "common/log_conf.h"

#include <stdint.h>

struct role;

struct hasher_config {
    const char *broker; // endpoint as written by the user
    const char *name;   // NULL: host/pid; threads append /0, /1, ...
    int64_t threads;    // 0: as many as the CPU quota allows
    struct curve_options keys;
    int64_t grace_ms;
    struct log_config log; // of log_options
    const char *http;      // where /metrics and so on are served; NULL: nowhere
};

// Offsets are of struct hasher_config; NULL-ended. hasher_work_options:
// --threads, what an embedded run offers as well. hasher_options: the program's
// own: --broker, --name, --grace, --http.
extern const struct conf_option hasher_work_options[];
extern const struct conf_option hasher_options[];

// urlsum-hasher as a program; its rows fill a struct hasher_config.
extern const struct conf_program hasher_program;

// Serves until stopped. Returns the program's exit code.
int hasher_run(const struct hasher_config *config, struct role *role);

#endif
