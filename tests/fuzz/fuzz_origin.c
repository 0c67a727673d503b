// A list's line as a URL. Remembering the last authority must not change an
// answer, and what is no URL of ours has no origin. A line break in the input
// divides it into URLs that one parser sees after one another.
#include "broker/origin.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct origin_parser *remembering;

static void
check(const char *url, size_t len)
{
    struct origin_parser *fresh = NULL;
    char text[ORIGIN_TEXT_MAX] = "", expected_text[ORIGIN_TEXT_MAX] = "";
    uint64_t origin = 1, expected_origin = 1;
    enum fail fail, expected;

    if (origin_parser_new(&fresh) != 0)
        abort();
    expected = origin_parse(fresh, url, len, &expected_origin, expected_text);
    origin_parser_free(&fresh);
    fail = origin_parse(remembering, url, len, &origin, text);
    if (fail != expected || origin != expected_origin ||
        strcmp(text, expected_text) != 0)
        abort();
    if ((fail == FAIL_OK) != (origin != ORIGIN_NONE))
        abort();
    if (fail == FAIL_OK && strncmp(text, "http://", 7) != 0 &&
        strncmp(text, "https://", 8) != 0)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;

    if (origin_parser_new(&remembering) != 0)
        return 0;
    for (int urls = 0; urls < 16; urls++) {
        const char *end = size ? memchr(at, '\n', size) : NULL;
        size_t len = end ? (size_t)(end - at) : size;

        check(at, len);
        if (!end)
            break;
        at += len + 1;
        size -= len + 1;
    }
    origin_parser_free(&remembering);
    return 0;
}
