#include "common/log.h"

#include "common/clock.h"
#include "common/log_json.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// Bytes of a line: below PIPE_BUF, so that one write is one piece.
#define LINE_BYTES 2048
#define TS_BYTES sizeof("2026-01-01T00:00:00.000000Z")

static enum log_level level_max = LOG_INFO;
static enum log_format line_format = LOG_LOGFMT;
static bool goes_to_journal;
static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"logfmt", "json"};

void
log_set_level(enum log_level level)
{
    level_max = level;
}

void
log_set_format(enum log_format format)
{
    line_format = format;
}

void
log_set_journal(bool is_journal)
{
    goes_to_journal = is_journal;
}

// Returns the place of text among the names, or -EINVAL.
static int
find_name(const char *const *names, size_t len, const char *text)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    }
    return -EINVAL;
}

int
log_level_parse(const char *text, enum log_level *out_level)
{
    int found = find_name(level_names,
                          sizeof(level_names) / sizeof(*level_names), text);

    if (found >= 0)
        *out_level = (enum log_level)found;
    return found < 0 ? found : 0;
}

int
log_format_parse(const char *text, enum log_format *out_format)
{
    int found = find_name(format_names,
                          sizeof(format_names) / sizeof(*format_names), text);

    if (found >= 0)
        *out_format = (enum log_format)found;
    return found < 0 ? found : 0;
}

bool
log_stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    int end = 0;

    // A child whose stderr was sent elsewhere inherits the variable as well.
    return stream &&
           sscanf(stream, "%llu:%llu%n", &device, &inode, &end) == 2 &&
           !stream[end] && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

bool
log_enabled(enum log_level level)
{
    return level <= level_max;
}

static void
print_now(char ts[TS_BYTES])
{
    struct timespec now;
    struct tm tm;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    // Exact enough that lines of several programs sort into their order.
    (void)snprintf(ts, TS_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                   (unsigned)(tm.tm_year + 1900) % 10000,
                   (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100,
                   (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
                   (unsigned)tm.tm_sec % 100,
                   (unsigned)(now.tv_nsec / 1000) % 1000000);
}

// Formats into buf and returns the length. What forgot to be escaped cannot
// forge a line or steer a terminal.
static size_t print_fields(char *buf, size_t size, const char *fmt,
                           va_list args, bool *out_is_cut)
    __attribute__((format(printf, 3, 0)));

static size_t
print_fields(char *buf, size_t size, const char *fmt, va_list args,
             bool *out_is_cut)
{
    int got = vsnprintf(buf, size, fmt, args);
    size_t len = got < 0 ? 0 : (size_t)got; // the locale cannot say it

    *out_is_cut = len >= size;
    if (*out_is_cut)
        len = size - 1;
    for (size_t i = 0; i < len; i++) {
        if (buf[i] < 0x20 || buf[i] > 0x7e)
            buf[i] = '?';
    }
    return len;
}

// A line without its end, at most size bytes; returns its length.
static size_t
print_logfmt(const struct log_json *line, char *buf, size_t size)
{
    int head =
        snprintf(buf, size, "%s%s%slevel=%s event=%.64s ",
                 goes_to_journal ? "" : "ts=", goes_to_journal ? "" : line->ts,
                 goes_to_journal ? "" : " ", line->level, line->event);
    size_t len = head < 0 ? 0 : (size_t)head;
    bool fits = line->fields_len < size - len;
    size_t taken = fits ? line->fields_len : size - len;

    memcpy(buf + len, line->fields, taken);
    len += taken;
    if (!fits || line->is_cut)
        memcpy(buf + len - 3, "...", 3);
    while (len > 0 && buf[len - 1] == ' ')
        len--;
    return len;
}

static void write_line(enum log_level level, const char *event, const char *fmt,
                       va_list args) __attribute__((format(printf, 3, 0)));

static void
write_line(enum log_level level, const char *event, const char *fmt,
           va_list args)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    int saved_errno = errno;     // callers log first and look at errno then
    char fields[2 * LINE_BYTES]; // JSON may be shorter
    char buf[LINE_BYTES];
    char ts[TS_BYTES];
    struct log_json line = {.ts = ts,
                            .level = level_names[level],
                            .event = event,
                            .fmt = fmt,
                            .fields = fields};
    size_t len = 0;
    ssize_t sent;

    print_now(ts);
    line.fields_len =
        print_fields(fields, sizeof(fields), fmt, args, &line.is_cut);
    if (goes_to_journal) {
        memcpy(buf, priorities[level], 3);
        len = 3;
    }
    if (line_format == LOG_JSON)
        len += log_json(&line, buf + len, sizeof(buf) - len - 1);
    else
        len += print_logfmt(&line, buf + len, sizeof(buf) - len - 1);
    buf[len++] = '\n';
    do {
        sent = write(STDERR_FILENO, buf, len);
    } while (sent < 0 && errno == EINTR); // else: nowhere left to say it
    errno = saved_errno;
}

void
log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, fmt);
    write_line(level, event, fmt, args);
    va_end(args);
}

bool
log_rate_take(struct log_rate *rate, uint64_t now_ms, uint64_t *out_left_out)
{
    uint64_t more;

    if (!rate->tokens_at_ms) {
        rate->tokens_at_ms = now_ms;
        rate->tokens = LOG_BURST;
    }
    more = (now_ms - rate->tokens_at_ms) * LOG_RATE_S / 1000;
    if (more > LOG_BURST - rate->tokens)
        more = LOG_BURST - rate->tokens;
    if (more || rate->tokens == LOG_BURST)
        rate->tokens_at_ms = now_ms;
    rate->tokens += (unsigned)more;
    if (!rate->tokens) {
        rate->left_out++;
        return false;
    }
    rate->tokens--;
    *out_left_out = rate->left_out;
    rate->left_out = 0;
    return true;
}

void
log_outside(enum log_level level, const char *event, const char *fmt, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct log_rate rate;
    uint64_t left_out = 0;
    bool is_taken;
    va_list args;

    if (!log_enabled(level))
        return;
    (void)pthread_mutex_lock(&lock);
    is_taken = log_rate_take(&rate, clock_now_ms(), &left_out);
    (void)pthread_mutex_unlock(&lock);
    if (left_out)
        log_warn("log.left_out", "lines=%" PRIu64, left_out);
    if (!is_taken)
        return;
    va_start(args, fmt);
    write_line(level, event, fmt, args);
    va_end(args);
}

// Appends text escaped; leaves room for the closing quote and the end.
static size_t
escape(const char *text, size_t len, char *buf, size_t size, size_t used)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

        if (used + (is_plain ? 1 : 4) + 2 > size)
            break;
        if (is_plain) {
            buf[used++] = (char)c;
        } else {
            buf[used++] = '\\';
            buf[used++] = 'x';
            buf[used++] = hex[c >> 4];
            buf[used++] = hex[c & 15];
        }
    }
    return used;
}

// Two texts, one value.
static const char *
escape_both(const char *a, size_t a_len, const char *b, size_t b_len, char *buf,
            size_t size)
{
    size_t used = 0;

    if (size < 3) {
        if (size)
            buf[0] = '\0';
        return buf;
    }
    buf[used++] = '"';
    used = escape(a, a_len, buf, size, used);
    used = escape(b, b_len, buf, size, used);
    buf[used++] = '"';
    buf[used] = '\0';
    return buf;
}

const char *
log_escape(const char *text, size_t len, char *buf, size_t size)
{
    return escape_both(text, len, "", 0, buf, size);
}

const char *
log_escape_url(const char *url, size_t len, char *buf, size_t size)
{
    size_t shown = 0; // up to the query or the fragment
    size_t host = 0;
    size_t rest;

    while (shown < len && url[shown] != '?' && url[shown] != '#')
        shown++;
    // libcurl reads "http:/host" and "http:///host" as "http://host".
    for (size_t i = 0; i + 1 < shown && !host; i++) {
        if (url[i] == ':' && url[i + 1] == '/')
            host = i + 1;
    }
    while (host && host < shown && url[host] == '/')
        host++;
    // User-info ends at the last @ before the path.
    rest = host;
    for (size_t i = host; i < shown && url[i] != '/'; i++) {
        if (url[i] == '@')
            rest = i + 1;
    }
    return escape_both(url, host, url + rest, shown - rest, buf, size);
}
