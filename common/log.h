// log.h - one line an event on stderr, with the ids it concerns
//
// A line is logfmt: `ts=... level=info event=worker.silent worker="a"
// silent_ms=9`, or the same as a JSON object. The event id is stable and
// documented once (docs/log-events.md). Any thread; a line is written by one
// write(2) and so never interleaved. error = a person must act; warn = we coped
// but it cost something; info = life events; debug = for us.
#ifndef COMMON_LOG_H
#define COMMON_LOG_H
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

// Lines above this level are dropped. LOG_INFO at start. Call before threads.
void log_set_level(enum log_level level);

// Parses a word of LOG_LEVEL_CHOICE (as rows of the option table call them).
// Returns 0 or -EINVAL.
#define LOG_LEVEL_CHOICE "error|warn|info|debug"
int log_level_parse(const char *text, enum log_level *out_level);

// How lines look. LOG_LOGFMT at start. Call before threads.
enum log_format { LOG_LOGFMT, LOG_JSON };
void log_set_format(enum log_format format);

// Parses a word of LOG_FORMAT_CHOICE. Returns 0 or -EINVAL.
#define LOG_FORMAT_CHOICE "logfmt|json"
int log_format_parse(const char *text, enum log_format *out_format);

// Lines go to systemd's journal: each begins with its priority (sd-daemon(3)),
// so `journalctl -p warning` works; logfmt leaves the time to the journal.
void log_set_journal(bool is_journal);

// True when stderr is what $JOURNAL_STREAM names (systemd.exec(5)).
bool log_stderr_is_journal(void);

// True when a line of this level would be written: guards costly arguments.
bool log_enabled(enum log_level level);

// Writes one line; fmt makes the key=value pairs after the event: each key
// once, none of ts, level, event, cut; a text that may have blanks in quotes,
// one from outside through log_escape(). tests/check_log_events looks at every
// fmt.
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                         \
    do {                                                                       \
        if (log_enabled(LOG_DEBUG))                                            \
            log_line(LOG_DEBUG, __VA_ARGS__);                                  \
    } while (0)

// The same for lines that a stranger can cause as often as he likes: LOG_BURST
// at once and LOG_RATE_S a second are written, all such lines of the process
// together; how many were left out is said (log.left_out) before the next.
#define LOG_BURST 20
#define LOG_RATE_S 2
void log_outside(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// The rule behind it, for tests: zeroed at first. Returns false when a line at
// now_ms is one too many; *out_left_out (of the lines before): to be said now.
struct log_rate {
    uint64_t tokens_at_ms, left_out;
    unsigned tokens;
};
bool log_rate_take(struct log_rate *rate, uint64_t now_ms,
                   uint64_t *out_left_out);

// Writes text as a quoted logfmt value into buf (always terminated, cut when it
// does not fit) and returns buf. Control bytes, quotes and bytes that are not
// ASCII become \xHH.
const char *log_escape(const char *text, size_t len, char *buf, size_t size);

// The same for a URL: user-info and query string are left out, for they may
// hold credentials.
const char *log_escape_url(const char *url, size_t len, char *buf, size_t size);

// How every line names a job: log_debug("x", "job=" LOG_JOB, LOG_JOB_ARG(id)).
#define LOG_JOB "%" PRIu64 "/%" PRIu64
#define LOG_JOB_ARG(job) ((job) >> 40), ((job) & ((UINT64_C(1) << 40) - 1))

#endif
