#include "fetcher/answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t len;
    bool is_list;
} fields[ANSWER_FIELD_COUNT] = {
#define X(symbol, name, is_list) {name, sizeof(name) - 1, is_list},
    ANSWER_FIELDS(X)
#undef X
};

void
answer_fini(struct answer *answer)
{
    free(answer->text);
    *answer = (struct answer){0};
}

void
answer_reset(struct answer *answer)
{
    answer->len = 0;
    answer->last_field = 0;
    memset(answer->values, 0, sizeof(answer->values));
}

bool
answer_split(const char *line, size_t len, struct wire_bytes *out_name,
             struct wire_bytes *out_value)
{
    const char *colon = memchr(line, ':', len);
    const char *at;
    size_t left;

    if (!colon || colon == line)
        return false;
    at = colon + 1;
    left = len - (size_t)(at - line);
    while (left && (*at == ' ' || *at == '\t')) {
        at++;
        left--;
    }
    while (left && memchr(" \t\r\n", at[left - 1], 4))
        left--;
    *out_name = (struct wire_bytes){line, (size_t)(colon - line)};
    *out_value = (struct wire_bytes){at, left};
    return true;
}

bool
answer_is(struct wire_bytes text, const char *lower)
{
    return text.at && text.len == strlen(lower) &&
           strncasecmp(text.at, lower, text.len) == 0;
}

static bool
append(struct answer *answer, const char *bytes, size_t len)
{
    if (answer->len + len > answer->room) {
        size_t room = 2 * (answer->len + len);
        char *grown = realloc(answer->text, room);

        if (!grown)
            return false;
        answer->text = grown;
        answer->room = room;
    }
    memcpy(answer->text + answer->len, bytes, len);
    answer->len += len;
    return true;
}

// The first line of a field, or a further one of a list: "a, b".
static void
keep(struct answer *answer, struct answer_value *value, struct wire_bytes old,
     struct wire_bytes more)
{
    size_t at = answer->len;
    bool is_kept = true;

    if ((old.len ? old.len + 2 : 0) + more.len > WIRE_FACT_MAX) {
        value->is_unclear = true;
        return;
    }
    if (old.len) {
        char copy[WIRE_FACT_MAX]; // append() may move what old points to

        memcpy(copy, old.at, old.len);
        is_kept = append(answer, copy, old.len) && append(answer, ", ", 2);
    }
    is_kept = is_kept && append(answer, more.at, more.len);
    value->at = at;
    value->len = answer->len - at;
    value->is_unclear |= !is_kept;
}

void
answer_add(struct answer *answer, struct wire_bytes name,
           struct wire_bytes value)
{
    struct wire_bytes old;
    size_t i;

    answer->last_field = 0;
    for (i = 0; i < ANSWER_FIELD_COUNT; i++) {
        if (name.len == fields[i].len &&
            strncasecmp(name.at, fields[i].name, name.len) == 0)
            break;
    }
    if (i == ANSWER_FIELD_COUNT)
        return;
    answer->last_field = i + 1;
    old = answer_get(answer, (enum answer_field)i);
    if (old.at && !fields[i].is_list) {
        answer->values[i].is_unclear |=
            old.len != value.len || memcmp(old.at, value.at, value.len) != 0;
        return;
    }
    if (++answer->values[i].lines > ANSWER_LINES_MAX)
        answer->values[i].is_unclear = true;
    if (!answer->values[i].is_unclear)
        keep(answer, &answer->values[i], old, value);
}

void
answer_add_folded(struct answer *answer)
{
    if (answer->last_field)
        answer->values[answer->last_field - 1].is_unclear = true;
}

struct wire_bytes
answer_get(const struct answer *answer, enum answer_field field)
{
    const struct answer_value *value = &answer->values[field];

    if (!value->lines)
        return (struct wire_bytes){NULL, 0};
    if (value->is_unclear || !value->len)
        return (struct wire_bytes){"", 0};
    return (struct wire_bytes){answer->text + value->at, value->len};
}
