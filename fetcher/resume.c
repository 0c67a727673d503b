#include "fetcher/resume.h"

#include "fetcher/content_range.h"

#include <ctype.h>
#include <string.h>

void
resume_init(struct resume *resume)
{
    *resume = (struct resume){.total = RESUME_UNKNOWN, .end = RESUME_UNKNOWN};
}

static struct validator_fields
fields_of(const struct resume_answer *answer)
{
    return (struct validator_fields){
        .etag = answer_get(answer->fields, ANSWER_ETAG),
        .last_modified = answer_get(answer->fields, ANSWER_LAST_MODIFIED),
        .date = answer_get(answer->fields, ANSWER_DATE),
    };
}

// Returns false when it is too long, or unclear.
static bool
read_encoding(const struct resume_answer *answer,
              char out_encoding[RESUME_ENCODING_MAX + 1])
{
    struct wire_bytes encoding =
        answer_get(answer->fields, ANSWER_CONTENT_ENCODING);

    if (answer_is(encoding, "identity")) // some say it, though they should not
        encoding = (struct wire_bytes){NULL, 0};
    if (encoding.len > RESUME_ENCODING_MAX || (encoding.at && !encoding.len))
        return false;
    for (size_t i = 0; i < encoding.len; i++)
        out_encoding[i] = (char)tolower((unsigned char)encoding.at[i]);
    out_encoding[encoding.len] = '\0';
    return true;
}

void
resume_on_whole(struct resume *resume, const struct resume_answer *answer,
                bool is_raw)
{
    const struct validator_fields fields = fields_of(answer);

    validator_choose(&fields, &resume->validator);
    resume->total = resume->end = is_raw ? answer->length : RESUME_UNKNOWN;
    resume->is_possible =
        is_raw && answer->status == 200 &&
        resume->validator.kind != VALIDATOR_NONE &&
        read_encoding(answer, resume->encoding) &&
        !answer_is(answer_get(answer->fields, ANSWER_ACCEPT_RANGES), "none");
}

// --- The end of a message ---

static bool
has_more_tries(const struct resume *resume, uint64_t size)
{
    return resume->count < RESUMES_FREE + size / RESUME_BYTES_EACH;
}

enum resume_next
resume_on_end(struct resume *resume, enum resume_end end, uint64_t size)
{
    // Without a told length of its own a message may end well too early.
    bool is_short = resume->total != RESUME_UNKNOWN && size < resume->total;

    if (end == RESUME_END_WELL && !is_short)
        return RESUME_DONE;
    if (end == RESUME_END_BROKEN || !resume->is_possible || size == 0)
        return RESUME_GIVE_UP;
    resume->idle = size == resume->asked ? resume->idle + 1 : 0;
    if (resume->idle >= RESUMES_IDLE_MAX || !has_more_tries(resume, size))
        return RESUME_GIVE_UP;
    resume->count++;
    resume->is_range = true;
    resume->asked = size;
    return RESUME_ASK;
}

// --- The answer to a request for what is missing ---

// Why its bytes cannot go on where the body stands, or NULL.
static const char *
check_partial(const struct resume *resume, const struct resume_answer *answer,
              uint64_t size, struct content_range *out_range)
{
    const struct validator_fields fields = fields_of(answer);
    struct wire_bytes value = answer_get(answer->fields, ANSWER_CONTENT_RANGE);
    char encoding[RESUME_ENCODING_MAX + 1];

    if (!value.at)
        return "the 206 does not say which range it has";
    if (content_range_parse(value.at, value.len, out_range) != 0 ||
        !out_range->is_satisfied)
        return "the 206's Content-Range cannot be read";
    if (!validator_matches(&resume->validator, &fields))
        return "the 206 is not known to be of the same version";
    if (!read_encoding(answer, encoding) ||
        strcmp(encoding, resume->encoding) != 0)
        return "the 206 has another Content-Encoding";
    if (out_range->first != size)
        return "the 206 has another range than the one asked for";
    if (answer->length != RESUME_UNKNOWN &&
        answer->length != out_range->last - out_range->first + 1)
        return "the 206's length is not that of its range";
    if (out_range->total == CONTENT_RANGE_UNKNOWN)
        out_range->total = resume->total;
    if (out_range->total == CONTENT_RANGE_UNKNOWN)
        return "the length of the whole is not known";
    if (resume->total != RESUME_UNKNOWN && out_range->total != resume->total)
        return "the 206 is of a body of another length";
    if (out_range->last >= out_range->total)
        return "the 206's range is beyond the end";
    return NULL;
}

// "bytes */N" where N bytes are in: only the end of the message was missing.
static bool
is_complete(const struct resume *resume, const struct resume_answer *answer,
            uint64_t size)
{
    const struct validator_fields fields = fields_of(answer);
    struct wire_bytes value = answer_get(answer->fields, ANSWER_CONTENT_RANGE);
    struct content_range range;

    return value.at && content_range_parse(value.at, value.len, &range) == 0 &&
           !range.is_satisfied && range.total == size &&
           (resume->total == RESUME_UNKNOWN || resume->total == size) &&
           // A server that looks at ranges alone may speak of a new version
           // that happens to end here.
           validator_matches(&resume->validator, &fields);
}

// The body begins anew, if it still may.
static enum resume_step
restart(struct resume *resume, enum resume_step how)
{
    if (resume->restarts >= RESTARTS_MAX)
        return RESUME_FAIL_CUT;
    resume->restarts++;
    resume->count += how == RESUME_ASK_ANEW;
    resume->is_range = false;
    resume->is_possible = false; // until resume_on_whole()
    resume->total = resume->end = RESUME_UNKNOWN;
    resume->asked = 0;
    return how;
}

enum resume_step
resume_judge(struct resume *resume, const struct resume_answer *answer,
             uint64_t size, const char **out_why)
{
    struct content_range range;
    int status = answer->status;

    *out_why = NULL;
    if (status == 206) {
        *out_why = check_partial(resume, answer, size, &range);
        if (*out_why)
            return restart(resume, RESUME_ASK_ANEW);
        resume->total = range.total;
        resume->end = range.last + 1;
        return RESUME_GO_ON;
    }
    if (status == 416) {
        if (is_complete(resume, answer, size))
            return RESUME_COMPLETE;
        *out_why = "the server has no such range";
        return restart(resume, RESUME_ASK_ANEW);
    }
    if (status >= 200 && status <= 299) {
        *out_why = "the server sends the whole body again";
        return restart(resume, RESUME_REPLACE);
    }
    // Too busy, or broken: to ask again at once would make it worse.
    if (status < 300 || status == 408 || status == 429 || status >= 500)
        return RESUME_FAIL_HTTP;
    // It may be the range that is refused, or a place that a redirect named for
    // a while only: the answer to the plain request decides. Elsewhere the same
    // entity-tag may be another body's, so no range request is redirected.
    *out_why = "the server refuses to go on";
    if (resume->restarts >= RESTARTS_MAX)
        return RESUME_FAIL_HTTP;
    return restart(resume, RESUME_ASK_ANEW);
}
