// log_conf.h - the options about log lines, which every program has
#ifndef COMMON_LOG_CONF_H
#define COMMON_LOG_CONF_H
#include "common/conf.h"

struct log_config {
    const char *level; // words of the rows' choices
    const char *format;
};

// --log-level and --log-format; offsets are of struct log_config. A daemon logs
// from info on, the client only errors unless told otherwise.
extern const struct conf_option log_options[];
extern const struct conf_option log_client_options[];

// Sets log.h up by them, and by what stderr is. Call before threads.
void log_configure(const struct log_config *config);

#endif
