#include "fetcher/validator.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>

// An entity-tag that is not weak: no W/ before it, printable, between quotes.
static bool
is_strong_etag(struct wire_bytes etag)
{
    if (etag.len < 2 || etag.at[0] != '"' || etag.at[etag.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < etag.len; i++) {
        unsigned char c = (unsigned char)etag.at[i];

        if (c <= ' ' || c == '"' || c == 0x7f)
            return false;
    }
    return true;
}

// Seconds since 1970, or -1.
static time_t
read_date(struct wire_bytes date)
{
    char text[64];

    if (!date.at || date.len >= sizeof(text) || memchr(date.at, '\0', date.len))
        return -1;
    memcpy(text, date.at, date.len);
    text[date.len] = '\0';
    return curl_getdate(text, NULL);
}

static bool
is_strong_date(struct wire_bytes last_modified, struct wire_bytes date)
{
    time_t modified = read_date(last_modified), answered = read_date(date);

    // It goes into a request of ours: printable, whatever curl can read.
    for (size_t i = 0; i < last_modified.len; i++) {
        if (last_modified.at[i] < ' ' || last_modified.at[i] > '~')
            return false;
    }
    return modified >= 0 && answered >= 0 &&
           answered - modified >= VALIDATOR_AGE_MIN_S;
}

void
validator_choose(const struct validator_fields *fields,
                 struct validator *out_validator)
{
    struct wire_bytes text = {NULL, 0};

    out_validator->kind = VALIDATOR_NONE;
    out_validator->len = 0;
    if (fields->etag.at) {
        // Who has an entity-tag may not ask by date (RFC 9110, 13.1.5).
        if (!is_strong_etag(fields->etag))
            return;
        text = fields->etag;
    } else if (is_strong_date(fields->last_modified, fields->date)) {
        text = fields->last_modified;
    }
    if (!text.len || text.len > VALIDATOR_BYTES_MAX)
        return;
    memcpy(out_validator->text, text.at, text.len);
    out_validator->text[text.len] = '\0';
    out_validator->len = text.len;
    out_validator->kind = fields->etag.at ? VALIDATOR_ETAG : VALIDATOR_DATE;
}

bool
validator_matches(const struct validator *validator,
                  const struct validator_fields *fields)
{
    struct wire_bytes text = {NULL, 0};

    switch (validator->kind) {
    case VALIDATOR_NONE:
        return false;
    case VALIDATOR_ETAG:
        text = fields->etag;
        break;
    case VALIDATOR_DATE:
        // One that has an entity-tag now is another one.
        if (!fields->etag.at)
            text = fields->last_modified;
        break;
    }
    return text.at && text.len == validator->len &&
           memcmp(text.at, validator->text, text.len) == 0;
}
