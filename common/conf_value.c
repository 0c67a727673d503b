#include "common/conf_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S (INT64_C(24) * 60 * 60)

int
conf_parse_int(const char *text, int64_t *out_value)
{
    const char *digits = text + (*text == '-');
    long long value;
    char *end;

    // strtoll() would also take blanks and a plus sign.
    if (!isdigit((unsigned char)*digits))
        return -EINVAL;
    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno || *end)
        return -EINVAL;
    *out_value = value;
    return 0;
}

int
conf_parse_size(const char *text, int64_t *out_bytes)
{
    static const char units[] = "kmgtp";
    const char *unit;
    int64_t bytes;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    bytes = strtoll(text, &end, 10);
    if (errno)
        return -EINVAL;
    if (*end) {
        unit = strchr(units, tolower((unsigned char)*end));
        if (!unit || end[1])
            return -EINVAL;
        for (const char *u = units; u <= unit; u++) {
            if (bytes > INT64_MAX / 1024)
                return -EINVAL;
            bytes *= 1024;
        }
    }
    *out_bytes = bytes;
    return 0;
}

int
conf_parse_seconds(const char *text, int64_t *out_ms)
{
    int64_t scale = 1000;
    int64_t ms;
    bool has_more = false;
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    ms = strtoll(text, &end, 10);
    if (errno || ms > INT64_MAX / 1000 - 1)
        return -EINVAL;
    ms *= 1000;
    if (*end == '.') {
        if (!isdigit((unsigned char)*++end))
            return -EINVAL;
        for (; isdigit((unsigned char)*end); end++) {
            scale /= 10;
            ms += scale * (*end - '0');
            has_more = has_more || (!scale && *end != '0');
        }
    }
    if (*end)
        return -EINVAL;
    // Rounded up: a tiny time must not become 0, which often means "no limit".
    *out_ms = ms + has_more;
    return 0;
}

int
conf_parse_days(const char *text, int64_t *out_ms)
{
    int64_t thousandths;

    if (conf_parse_seconds(text, &thousandths) != 0 ||
        thousandths > INT64_MAX / DAY_S)
        return -EINVAL;
    *out_ms = thousandths * DAY_S;
    return 0;
}

int
conf_parse_rate(const char *text, int64_t *out_rate)
{
    static const struct {
        char letter;
        int64_t an_hour;
    } units[] = {{'s', 3600}, {'m', 60}, {'h', 1}};
    const char *slash = strchr(text, '/');
    char number[CONF_VALUE_MAX];
    int64_t thousandths;

    if (strcmp(text, "0") == 0) {
        *out_rate = 0;
        return 0;
    }
    if (!slash || (size_t)(slash - text) >= sizeof(number) || !slash[1] ||
        slash[2])
        return -EINVAL;
    memcpy(number, text, (size_t)(slash - text));
    number[slash - text] = '\0';
    if (conf_parse_seconds(number, &thousandths) != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        if (tolower((unsigned char)slash[1]) == units[i].letter) {
            if (thousandths > CONF_RATE_MAX / units[i].an_hour)
                return -EINVAL;
            *out_rate = thousandths * units[i].an_hour;
            return 0;
        }
    }
    return -EINVAL;
}

int
conf_parse_bool(const char *text, bool *out_value)
{
    static const char *const words[] = {"0", "false", "no", "1", "true", "yes"};

    for (size_t i = 0; i < 6; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out_value = i >= 3;
            return 0;
        }
    }
    return -EINVAL;
}

static const char *
print_size(int64_t bytes, char text[CONF_VALUE_MAX])
{
    const char *unit = "\0KMGTP";

    while (bytes && bytes % 1024 == 0 && unit[1]) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, CONF_VALUE_MAX, "%" PRId64 "%.1s", bytes, unit);
    return text;
}

static const char *
print_seconds(int64_t ms, char text[CONF_VALUE_MAX])
{
    int len = snprintf(text, CONF_VALUE_MAX, "%" PRId64 ".%03d", ms / 1000,
                       (int)(ms % 1000));

    while (text[len - 1] == '0')
        text[--len] = '\0';
    if (text[len - 1] == '.')
        text[--len] = '\0';
    return text;
}

// In the first unit that needs no decimals.
static const char *
print_rate(int64_t rate, char text[CONF_VALUE_MAX])
{
    const char *unit = rate % 3600000 == 0 ? "/s"
                       : rate % 60000 == 0 ? "/m"
                                           : "/h";
    int64_t an_hour = *(unit + 1) == 's' ? 3600 : *(unit + 1) == 'm' ? 60 : 1;

    (void)print_seconds(rate / an_hour, text);
    if (rate)
        (void)strcat(text, unit);
    return text;
}

const char *
conf_print_number(enum conf_type type, int64_t value, char text[CONF_VALUE_MAX])
{
    if (type == CONF_SIZE)
        return print_size(value, text);
    if (type == CONF_SECONDS)
        return print_seconds(value, text);
    if (type == CONF_DAYS)
        return print_seconds(value / DAY_S, text);
    if (type == CONF_RATE)
        return print_rate(value, text);
    (void)snprintf(text, CONF_VALUE_MAX, "%" PRId64, value);
    return text;
}
