#include "client/progress.h"

#include "client/text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS 200
// A rate forgets the past with about this time constant.
#define RATE_MS 3000.0

void
progress_init(struct progress *progress, int fd, uint64_t now_ms)
{
    *progress =
        (struct progress){.fd = fd, .start_ms = now_ms, .rate_ms = now_ms};
}

// "12,345": long numbers are read in groups.
static void
put_count(struct text *out, uint64_t count)
{
    if (count >= 1000) {
        put_count(out, count / 1000);
        text_printf(out, ",%03" PRIu64, count % 1000);
    } else {
        text_printf(out, "%" PRIu64, count);
    }
}

// "8.1 MB": powers of 1000, as networks are measured.
static void
put_bytes(struct text *out, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;

    while (bytes >= 999.5 && unit + 1 < sizeof(units) / sizeof(*units)) {
        bytes /= 1000;
        unit++;
    }
    text_printf(out, bytes < 10 && unit ? "%.1f %s" : "%.0f %s", bytes,
                units[unit]);
}

static void
put_duration(struct text *out, uint64_t seconds)
{
    if (seconds >= 3600)
        text_printf(out, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600,
                    seconds / 60 % 60, seconds % 60);
    else
        text_printf(out, "%" PRIu64 ":%02" PRIu64, seconds / 60, seconds % 60);
}

// The line's text for a terminal of so many columns.
static void
put_line(const struct progress *progress, size_t columns, struct text *out)
{
    const struct progress_numbers *now = &progress->last;
    size_t from = out->len;

    put_count(out, now->done);
    text_putc(out, '/');
    put_count(out, now->total);
    if (!now->is_total_final)
        text_putc(out, '+');
    text_puts(out, " URLs");
    if (progress->has_rate) {
        text_puts(out, "  ");
        put_count(out, (uint64_t)(progress->urls_s + 0.5));
        text_puts(out, " URL/s  ");
        put_bytes(out, progress->bytes_s);
        text_puts(out, "/s");
    }
    if (now->failed) {
        text_puts(out, "  ");
        put_count(out, now->failed);
        text_puts(out, " failed");
    }
    if (now->is_total_final && progress->urls_s > 0.01 &&
        now->total > now->done) {
        double left = (double)(now->total - now->done) / progress->urls_s;

        if (left < 360000) {
            text_puts(out, "  ETA ");
            put_duration(out, (uint64_t)(left + 0.5));
        }
    }
    // A line that wraps could not be taken back.
    if (columns && out->len - from > columns - 1)
        out->len = from + columns - 1;
}

static void
update_rates(struct progress *progress, uint64_t now_ms)
{
    double gone = (double)(now_ms - progress->rate_ms);
    double weight, urls, bytes;

    if (gone < REDRAW_MS)
        return;
    urls = (double)(progress->last.done - progress->rated.done) * 1000 / gone;
    bytes =
        (double)(progress->last.bytes - progress->rated.bytes) * 1000 / gone;
    weight = progress->has_rate ? gone / (gone + RATE_MS) : 1;
    progress->urls_s += weight * (urls - progress->urls_s);
    progress->bytes_s += weight * (bytes - progress->bytes_s);
    progress->has_rate = true;
    progress->rate_ms = now_ms;
    progress->rated = progress->last;
}

static size_t
terminal_columns(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col;
    return 80;
}

static void
show(const struct progress *progress, const struct text *line)
{
    if (write(progress->fd, line->at, line->len) < 0)
        return; // the terminal is gone; results are not
}

void
progress_update(struct progress *progress,
                const struct progress_numbers *numbers, uint64_t now_ms)
{
    struct text line = {0};

    if (!progress->has_first) {
        // A batch that was under way already: rates are of what we saw.
        progress->has_first = true;
        progress->first = *numbers;
        progress->rated = *numbers;
    }
    progress->last = *numbers;
    if (progress->fd < 0 ||
        (progress->drawn_ms && now_ms - progress->drawn_ms < REDRAW_MS))
        return;
    update_rates(progress, now_ms);
    text_puts(&line, "\r");
    put_line(progress, terminal_columns(progress->fd), &line);
    text_puts(&line, "\033[K"); // erases what a longer line left
    show(progress, &line);
    progress->is_drawn = true;
    progress->drawn_ms = now_ms;
    text_fini(&line);
}

void
progress_clear(struct progress *progress)
{
    static const char erase[] = "\r\033[K";

    if (!progress->is_drawn)
        return;
    progress->is_drawn = false;
    progress->drawn_ms = 0; // the next update may draw at once
    if (write(progress->fd, erase, strlen(erase)) < 0)
        return; // the terminal is gone; results are not
}

void
progress_end(struct progress *progress, uint64_t now_ms)
{
    const struct progress_numbers *last = &progress->last;
    double seconds = (double)(now_ms - progress->start_ms) / 1000;
    uint64_t urls = last->done - progress->first.done;
    uint64_t bytes = last->bytes - progress->first.bytes;
    struct text line = {0};

    progress_clear(progress);
    if (progress->fd < 0 || seconds < 1)
        return;
    text_puts(&line, "urlsum: ");
    put_count(&line, urls);
    text_puts(&line, " URLs, ");
    put_bytes(&line, (double)bytes);
    text_printf(&line, " in %.1f s: ", seconds);
    put_count(&line, (uint64_t)((double)urls / seconds + 0.5));
    text_puts(&line, " URL/s, ");
    put_bytes(&line, (double)bytes / seconds);
    text_puts(&line, "/s");
    if (last->failed) {
        text_puts(&line, ", ");
        put_count(&line, last->failed);
        text_puts(&line, " failed");
    }
    text_putc(&line, '\n');
    show(progress, &line);
    text_fini(&line);
}
