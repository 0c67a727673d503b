#include "fetcher/content_range.h"

#include "common/limits.h"

#include <errno.h>
#include <strings.h>

// What is left to read.
struct rest {
    const char *at;
    size_t len;
};

static bool
take_char(struct rest *rest, char c)
{
    if (!rest->len || *rest->at != c)
        return false;
    rest->at++;
    rest->len--;
    return true;
}

// One digit or more.
static bool
take_number(struct rest *rest, uint64_t *out_number)
{
    uint64_t number = 0;
    size_t digits = 0;

    while (rest->len && *rest->at >= '0' && *rest->at <= '9') {
        if (number > WIRE_SIZE_MAX / 10)
            return false;
        number = number * 10 + (uint64_t)(*rest->at - '0');
        if (number > WIRE_SIZE_MAX)
            return false;
        rest->at++;
        rest->len--;
        digits++;
    }
    *out_number = number;
    return digits > 0;
}

int
content_range_parse(const char *value, size_t len,
                    struct content_range *out_range)
{
    static const char unit[] = "bytes "; // its name in any case (14.1)
    struct content_range range = {.total = CONTENT_RANGE_UNKNOWN};
    struct rest rest;

    if (len < sizeof(unit) - 1 ||
        strncasecmp(value, unit, sizeof(unit) - 1) != 0)
        return -EINVAL;
    rest = (struct rest){value + sizeof(unit) - 1, len - sizeof(unit) + 1};
    range.is_satisfied = !take_char(&rest, '*');
    if (range.is_satisfied &&
        (!take_number(&rest, &range.first) || !take_char(&rest, '-') ||
         !take_number(&rest, &range.last) || range.last < range.first))
        return -EINVAL;
    if (!take_char(&rest, '/'))
        return -EINVAL;
    if (!(range.is_satisfied && take_char(&rest, '*')) &&
        !take_number(&rest, &range.total))
        return -EINVAL;
    if (rest.len || (range.is_satisfied && range.last >= range.total))
        return -EINVAL;
    *out_range = range;
    return 0;
}
