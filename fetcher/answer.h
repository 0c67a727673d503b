// answer.h - the header fields of one answer that the fetcher looks at
//
// Filled field by field as libcurl delivers them. Values are kept as received,
// without the blanks around them. Pure but for memory; loop thread only.
#ifndef FETCHER_ANSWER_H
#define FETCHER_ANSWER_H
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>

//    symbol, the field's name in lower case, is a list: lines add up
#define ANSWER_FIELDS(X)                                                       \
    X(ETAG, "etag", false)                                                     \
    X(LAST_MODIFIED, "last-modified", false)                                   \
    X(DATE, "date", false)                                                     \
    X(RETRY_AFTER, "retry-after", false)                                       \
    X(CONTENT_TYPE, "content-type", false)                                     \
    X(CONTENT_RANGE, "content-range", false)                                   \
    X(CONTENT_ENCODING, "content-encoding", true)                              \
    X(CONTENT_LENGTH, "content-length", true)                                  \
    X(TRANSFER_ENCODING, "transfer-encoding", true)                            \
    X(ACCEPT_RANGES, "accept-ranges", true)                                    \
    X(STORED_ENCODING, "x-goog-stored-content-encoding", true)

enum answer_field {
#define X(symbol, name, is_list) ANSWER_##symbol,
    ANSWER_FIELDS(X)
#undef X
        ANSWER_FIELD_COUNT
};

// Lines of one list that are put together; of more the list is unclear.
#define ANSWER_LINES_MAX 8

struct answer_value {
    size_t at, len;
    unsigned lines;  // 0: the answer has no such field
    bool is_unclear; // twice with different values, or longer than it may be
};

// Embedded; zeroed is an empty one.
struct answer {
    char *text;
    size_t len, room;
    size_t last_field; // ... of the table, and one, was in the last line; or 0
    struct answer_value values[ANSWER_FIELD_COUNT];
};

void answer_fini(struct answer *answer);

// The next answer begins.
void answer_reset(struct answer *answer);

// Takes a field, if it is one of the table. Without memory it is as one that is
// unclear.
void answer_add(struct answer *answer, struct wire_bytes name,
                struct wire_bytes value);

// Takes a line that goes on with the one before (RFC 9112, 5.2): the value of
// that is unclear now, rather than the half of it.
void answer_add_folded(struct answer *answer);

// A field's value: at == NULL when the answer has none; an empty one when it is
// unclear. Borrowed until the next call that changes the answer.
struct wire_bytes answer_get(const struct answer *answer,
                             enum answer_field field);

// Splits "Name: value" and strips the blanks around the value. False: no such
// line.
bool answer_split(const char *line, size_t len, struct wire_bytes *out_name,
                  struct wire_bytes *out_value);

// True when a name or a token is this one, whatever the case of its letters.
bool answer_is(struct wire_bytes text, const char *lower);

#endif
