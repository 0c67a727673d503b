// A list's bytes, in chunks whose size the first byte chooses: plain, gzip and
// zstd. Lines must keep their bounds, and the reader must come to an end.
#include "client/input.h"

#include "common/limits.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input *input = NULL;
    const char *line = NULL;
    size_t chunk, len = 0;
    uint64_t bytes = 0;
    int got;

    if (!size)
        return 0;
    chunk = data[0] ? data[0] : 65536;
    data++;
    size--;
    if (input_new("fuzz", &input))
        return 0;
    // A small packed list can be very long: some MiB of it are enough.
    while (bytes < 4 * 1024 * 1024) {
        got = input_next(input, &line, &len);
        if (got == -EAGAIN) {
            size_t taken = input_feed(input, data, size < chunk ? size : chunk);

            if (!taken && size)
                abort(); // it would wait for ever
            data += taken;
            size -= taken;
            continue;
        }
        if (got != 1)
            break;
        if (!len || len > URL_BYTES_MAX + 1 ||
            (len <= URL_BYTES_MAX && memchr(line, '\n', len)))
            abort();
        bytes += len;
    }
    input_free(&input);
    return 0;
}
