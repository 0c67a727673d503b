#include "fetcher/retry_after.h"

#include "common/limits.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define YEARS_AHEAD_MAX 50 // RFC 9110, 5.6.7

// What a pattern's letters read; every other character stands for itself.
struct date {
    int day, month, year, hour, minute, second;
};

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekdays[] = {"Monday",   "Tuesday", "Wednesday",
                                       "Thursday", "Friday",  "Saturday",
                                       "Sunday"};

// Reads exactly so many digits, or (is_padded) a blank in place of the first.
static bool
read_number(const char **at, int digits, bool is_padded, int *out_value)
{
    int value = 0;

    for (int i = 0; i < digits; i++, (*at)++) {
        if (is_padded && i == 0 && **at == ' ')
            continue;
        if (!isdigit((unsigned char)**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *out_value = value;
    return true;
}

// Reads one of the names, or their first bytes (bytes > 0) only.
static bool
read_name(const char **at, const char *const *names, int names_len,
          size_t bytes, int *out_index)
{
    for (int i = 0; i < names_len; i++) {
        size_t len = bytes ? bytes : strlen(names[i]);

        if (strncasecmp(*at, names[i], len) == 0) {
            *at += len;
            *out_index = i;
            return true;
        }
    }
    return false;
}

static bool
read_part(char letter, const char **at, struct date *date)
{
    int weekday; // not compared: the rest says it all

    switch (letter) {
    case 'w':
        return read_name(at, weekdays, 7, 3, &weekday);
    case 'W':
        return read_name(at, weekdays, 7, 0, &weekday);
    case 'd':
        return read_number(at, 2, false, &date->day);
    case 'e':
        return read_number(at, 2, true, &date->day);
    case 'b':
        return read_name(at, months, 12, 3, &date->month);
    case 'y':
        return read_number(at, 2, false, &date->year);
    case 'Y':
        return read_number(at, 4, false, &date->year);
    case 'h':
        return read_number(at, 2, false, &date->hour);
    case 'm':
        return read_number(at, 2, false, &date->minute);
    case 's':
        return read_number(at, 2, false, &date->second);
    default:
        return *(*at)++ == letter;
    }
}

static bool
read_date(const char *pattern, const char *text, struct date *out_date)
{
    struct date date = {0};

    for (; *pattern; pattern++) {
        // The end of the text is no letter, digit or blank of any pattern.
        if (!read_part(*pattern, &text, &date))
            return false;
    }
    if (*text)
        return false;
    *out_date = date;
    return true;
}

static bool
is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool
is_possible(const struct date *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int days_max =
        days[date->month] + (date->month == 1 && is_leap(date->year));

    // A minute may have a leap second.
    return date->day >= 1 && date->day <= days_max && date->hour <= 23 &&
           date->minute <= 59 && date->second <= 60;
}

// A year of two digits that seems to be more than 50 years ahead is the last
// one of these digits that is past.
static int
full_year(int two_digits, int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm tm;
    int this_year, year;

    if (!gmtime_r(&now, &tm))
        return 1900 + two_digits;
    this_year = tm.tm_year + 1900;
    year = this_year - this_year % 100 + two_digits;
    if (year <= this_year - 100 + YEARS_AHEAD_MAX)
        year += 100;
    return year > this_year + YEARS_AHEAD_MAX ? year - 100 : year;
}

bool
http_date_parse(const char *text, size_t len, int64_t now_s, int64_t *out_s)
{
    char copy[40]; // the longest form, with a Wednesday, has 33
    struct date date;
    struct tm tm = {0};

    if (len >= sizeof(copy) || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (read_date("W, d-b-y h:m:s GMT", copy, &date))
        date.year = full_year(date.year, now_s);
    else if (!read_date("w, d b Y h:m:s GMT", copy, &date) &&
             !read_date("w b e h:m:s Y", copy, &date))
        return false;
    if (!is_possible(&date))
        return false;
    tm.tm_mday = date.day;
    tm.tm_mon = date.month;
    tm.tm_year = date.year - 1900;
    tm.tm_hour = date.hour;
    tm.tm_min = date.minute;
    tm.tm_sec = date.second;
    *out_s = (int64_t)timegm(&tm);
    return true;
}

static bool
read_seconds(const char *value, size_t len, uint64_t *out_s)
{
    uint64_t seconds = 0;

    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)value[i]))
            return false;
        seconds = seconds * 10 + (uint64_t)(value[i] - '0');
        if (seconds > RETRY_AFTER_MAX_S)
            seconds = RETRY_AFTER_MAX_S; // more digits cannot make it less
    }
    if (!len)
        return false;
    *out_s = seconds;
    return true;
}

bool
retry_after_parse(const char *value, size_t len, const char *date,
                  size_t date_len, int64_t now_s, uint64_t *out_s)
{
    int64_t until_s, from_s;

    if (read_seconds(value, len, out_s))
        return true;
    if (!http_date_parse(value, len, now_s, &until_s))
        return false;
    if (!date_len || !http_date_parse(date, date_len, now_s, &from_s))
        from_s = now_s;
    if (until_s <= from_s)
        *out_s = 0;
    else if (until_s - from_s > RETRY_AFTER_MAX_S)
        *out_s = RETRY_AFTER_MAX_S;
    else
        *out_s = (uint64_t)(until_s - from_s);
    return true;
}
