// log_lines.c - strangers' texts as log lines, for a test that reads them back
//
//     log_lines logfmt|json <TEXTS
//
// TEXTS are divided by NUL. Each is logged as a program would (escaped), as a
// URL, and as somebody would who forgot to escape it.
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
log_text(const char *text, size_t len, uint64_t number)
{
    static char shown[64 * 1024];

    log_info("test.text", "job=" LOG_JOB " n=%" PRIu64 " text=%s last=%d",
             LOG_JOB_ARG(number), number,
             log_escape(text, len, shown, sizeof(shown)), -1);
    log_info("test.url", "n=%" PRIu64 " url=%s", number,
             log_escape_url(text, len, shown, sizeof(shown)));
    log_info("test.raw", "n=%" PRIu64 " quoted=\"%s\" bare=%s last=%d", number,
             text, text, -1);
    log_info("test.fmt", "%s", text);
}

int
main(int argc, char **argv)
{
    enum log_format format;
    char *text = NULL;
    size_t size = 0;
    ssize_t len;

    if (argc != 2 || log_format_parse(argv[1], &format) != 0)
        return 2;
    log_set_format(format);
    for (uint64_t number = 0; (len = getdelim(&text, &size, 0, stdin)) > 0;
         number++)
        log_text(text, (size_t)len - !text[len - 1], number);
    free(text);
    return 0;
}
