// format.h - a result record as a line of output
//
// Pure: a record in, bytes out. What each format is:
// sum    exactly GNU sha512sum's lines; with several algorithms one line each
// tag    exactly GNU sha512sum --tag's: `SHA512 (url) = hex`
// jsonl  one JSON object a line, failures too
// csv    RFC 4180 with a header line, failures too
// sri    `sha512-BASE64  url` (W3C Subresource Integrity: sha256, sha384,
// sha512)
//
// A URL that is not UTF-8 is kept byte for byte everywhere but in jsonl, whose
// object then has url_bytes (base64) in place of url.
#ifndef CLIENT_FORMAT_H
#define CLIENT_FORMAT_H
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <urlsum.pb-c.h>

struct text;

enum format_kind {
    FORMAT_SUM,
    FORMAT_TAG,
    FORMAT_JSONL,
    FORMAT_CSV,
    FORMAT_SRI,
};

struct format {
    enum format_kind kind;
    bool is_zero_ended; // sum and tag: ends in NUL, nothing is escaped
    size_t algorithms_len;
    // Lower case, in the order of the records' digests.
    char algorithms[WIRE_ALGORITHMS_MAX][WIRE_ALGORITHM_NAME_MAX + 1];
};

// Parses a word of FORMAT_CHOICE. Returns 0 or -EINVAL.
#define FORMAT_CHOICE "sum|tag|jsonl|csv|sri"
int format_parse(const char *text, enum format_kind *out_kind);

// Why this format cannot be (sri of md5, -z with csv), a sentence; NULL when it
// can. Static.
const char *format_check(const struct format *format);

// Appends what comes before the first record: csv's header line.
void format_header(const struct format *format, struct text *out);

// Appends a record. In sum, tag and sri a record that is not ok appends
// nothing.
void format_record(const struct format *format,
                   const Urlsum__V1__Record *record, struct text *out);

// True for a body whose digest is not what its server declares.
bool format_differs(const Urlsum__V1__Record *record);

// Appends a line for stderr for each declared digest that differs.
void format_difference(const Urlsum__V1__Record *record, struct text *out);

// Appends `urlsum: URL: reason` and LF, the line that stderr gets of a record
// that is not ok.
void format_failure(const Urlsum__V1__Record *record, struct text *out);

#endif
