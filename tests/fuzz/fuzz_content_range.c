// Content-Range fields: what is taken is possible, and reads back the same.
#include "fetcher/content_range.h"

#include "common/limits.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct content_range range, again;
    char total[24] = "*", text[96];
    int len;

    if (content_range_parse((const char *)data, size, &range) != 0)
        return 0;
    if (range.total != CONTENT_RANGE_UNKNOWN) {
        if (range.total > WIRE_SIZE_MAX)
            abort();
        (void)snprintf(total, sizeof(total), "%" PRIu64, range.total);
    }
    if (range.is_satisfied) {
        if (range.first > range.last || range.last >= range.total ||
            range.last > WIRE_SIZE_MAX)
            abort();
        len = snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%s",
                       range.first, range.last, total);
    } else {
        if (range.total == CONTENT_RANGE_UNKNOWN)
            abort();
        len = snprintf(text, sizeof(text), "bytes */%s", total);
    }
    if (content_range_parse(text, (size_t)len, &again) != 0 ||
        again.is_satisfied != range.is_satisfied ||
        again.total != range.total || again.first != range.first ||
        again.last != range.last)
        abort();
    return 0;
}
