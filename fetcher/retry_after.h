// retry_after.h - when a server wants to be asked again
//
// The value of a Retry-After field (RFC 9110, 10.2.3): delay-seconds, or an
// HTTP-date in one of its three forms (5.6.7). Pure.
#ifndef FETCHER_RETRY_AFTER_H
#define FETCHER_RETRY_AFTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads an HTTP-date of len bytes, without blanks around it: IMF-fixdate,
// rfc850-date or asctime-date. now_s decides which century a year of two digits
// is of. Returns false for what is none (a wrong day of the week is passed
// over). Seconds since 1970, UTC.
bool http_date_parse(const char *text, size_t len, int64_t now_s,
                     int64_t *out_s);

// Seconds to wait from the receipt of the answer, at most RETRY_AFTER_MAX_S; 0
// for a date that is past. A date is compared with the answer's own Date field
// (date, date_len; len 0: there was none), so that neither clock needs to be
// right; with now_s where there is none that can be read. Returns false for
// what is no such value: it counts as absent.
bool retry_after_parse(const char *value, size_t len, const char *date,
                       size_t date_len, int64_t now_s, uint64_t *out_s);

#endif
