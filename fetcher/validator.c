#include "fetcher/validator.h"

#include "fetcher/retry_after.h"

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

static bool
is_strong_date(struct wire_bytes last_modified, struct wire_bytes date)
{
    int64_t modified_s = 0, answered_s = 0, now_s = (int64_t)time(NULL);

    return last_modified.at && date.at &&
           http_date_parse(last_modified.at, last_modified.len, now_s,
                           &modified_s) &&
           http_date_parse(date.at, date.len, now_s, &answered_s) &&
           answered_s - modified_s >= VALIDATOR_AGE_MIN_S;
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
