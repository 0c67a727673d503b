#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level level_max = LOG_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void
log_set_level(enum log_level level)
{
    level_max = level;
}

int
log_level_parse(const char *text, enum log_level *out_level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool
log_enabled(enum log_level level)
{
    return level <= level_max;
}

// Appends to line, never beyond size - 1 bytes; a cut text ends in dots.
static size_t append(char *line, size_t size, size_t len, const char *fmt,
                     va_list args) __attribute__((format(printf, 4, 0)));

static size_t
append(char *line, size_t size, size_t len, const char *fmt, va_list args)
{
    int more = vsnprintf(line + len, size - len, fmt, args);

    if (more < 0)
        return len; // a text that the locale cannot say: the event is enough
    if ((size_t)more < size - len)
        return len + (size_t)more;
    memcpy(line + size - 4, "...", 3);
    return size - 1;
}

static size_t
append_head(char *line, size_t size, enum log_level level, const char *event)
{
    struct timespec ts;
    struct tm tm;
    int len;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    (void)gmtime_r(&ts.tv_sec, &tm);
    len = snprintf(line, size,
                   "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s "
                   "event=%.64s ",
                   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                   tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000,
                   level_names[level], event);
    return len < 0 ? 0 : (size_t)len;
}

static void write_line(enum log_level level, const char *event, const char *fmt,
                       va_list args) __attribute__((format(printf, 3, 0)));

static void
write_line(enum log_level level, const char *event, const char *fmt,
           va_list args)
{
    int saved_errno = errno; // callers log first and look at errno then
    char line[2048];         // below PIPE_BUF: one write is one piece
    size_t len;
    ssize_t sent;

    len = append_head(line, sizeof(line), level, event);
    len = append(line, sizeof(line), len, fmt, args);
    // The last guard: what somebody forgot to escape cannot forge a line or
    // steer a terminal.
    for (size_t i = 0; i < len; i++) {
        if (line[i] < 0x20 || line[i] > 0x7e)
            line[i] = '?';
    }
    while (len > 0 && line[len - 1] == ' ')
        len--;
    line[len++] = '\n';
    do {
        sent = write(STDERR_FILENO, line, len);
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
