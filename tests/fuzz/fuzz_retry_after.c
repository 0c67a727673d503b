// A server's Retry-After and Date. What is taken is within its ceiling; digits
// alone are always taken; and a date that is read is the date that was written.
#include "common/limits.h"
#include "fetcher/retry_after.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1770000000)

static void
check_date(const char *text, size_t len)
{
    int64_t seconds, again = 0;
    char written[64];
    struct tm tm;
    time_t time;

    if (!http_date_parse(text, len, NOW, &seconds))
        return;
    time = (time_t)seconds;
    if (!gmtime_r(&time, &tm))
        abort();
    (void)strftime(written, sizeof(written), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    // A year below 1000 has fewer digits there.
    if (tm.tm_year >= -900 && tm.tm_year <= 8099 &&
        (!http_date_parse(written, strlen(written), NOW, &again) ||
         again != seconds))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *value = (const char *)data;
    const char *end = size ? memchr(value, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - value) : size;
    const char *date = end ? end + 1 : "";
    size_t date_len = end ? size - len - 1 : 0, digits = 0;
    uint64_t seconds = UINT64_MAX;

    while (digits < len && value[digits] >= '0' && value[digits] <= '9')
        digits++;
    if (!retry_after_parse(value, len, date, date_len, NOW, &seconds)) {
        if (seconds != UINT64_MAX || (digits && digits == len))
            abort();
    } else if (seconds > RETRY_AFTER_MAX_S) {
        abort();
    }
    check_date(value, len);
    check_date(date, date_len);
    return 0;
}
