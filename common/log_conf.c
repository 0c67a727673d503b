#include "common/log_conf.h"

#include "common/log.h"

#define LEVEL(first)                                                           \
    {                                                                          \
        .name = "log-level", .type = CONF_CHOICE,                              \
        .offset = offsetof(struct log_config, level), .initial = (first),      \
        .arg = LOG_LEVEL_CHOICE,                                               \
        .help = "The least important lines to log on stderr."                  \
    }
#define FORMAT                                                                 \
    {                                                                          \
        .name = "log-format", .type = CONF_CHOICE,                             \
        .offset = offsetof(struct log_config, format), .initial = "logfmt",    \
        .arg = LOG_FORMAT_CHOICE,                                              \
        .help = "What log lines look like: key=value pairs or objects."        \
    }

const struct conf_option log_options[] = {LEVEL("info"), FORMAT, {0}};
const struct conf_option log_client_options[] = {LEVEL("error"), FORMAT, {0}};

void
log_configure(const struct log_config *config)
{
    enum log_level level = LOG_INFO;
    enum log_format format = LOG_LOGFMT;

    (void)log_level_parse(config->level, &level); // words of the rows
    (void)log_format_parse(config->format, &format);
    log_set_level(level);
    log_set_format(format);
    log_set_journal(log_stderr_is_journal());
}
