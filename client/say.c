#include "client/say.h"

#include "client/progress.h"
#include "client/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static struct progress *progress;

void
say_set_progress(struct progress *line)
{
    progress = line;
}

static void
write_all(const char *bytes, size_t len)
{
    while (len) {
        ssize_t wrote = write(STDERR_FILENO, bytes, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; // nowhere left to say it
        bytes += wrote;
        len -= (size_t)wrote;
    }
}

void
say_clear(void)
{
    if (progress)
        progress_clear(progress);
}

void
say(const char *fmt, ...)
{
    char line[4096];
    va_list args;
    int len = snprintf(line, sizeof(line), "urlsum: ");

    va_start(args, fmt);
    len += vsnprintf(line + len, sizeof(line) - (size_t)len, fmt, args);
    va_end(args);
    if (len > (int)sizeof(line) - 2)
        len = (int)sizeof(line) - 2; // a cut line is still one line
    line[len++] = '\n';
    say_clear();
    write_all(line, (size_t)len);
}

void
say_lines(struct text *lines)
{
    if (lines->len)
        say_clear();
    write_all(lines->at, lines->len);
    lines->len = 0;
}
