// resume.h - whether a transfer that was cut goes on, and with which answer
//
// Decides, and does nothing: facts in, a verdict out. The rule behind all of
// it: the bytes of one body come from one version of one resource, without a
// gap or an overlap, or it is begun anew, or the attempt fails. Pure.
#ifndef FETCHER_RESUME_H
#define FETCHER_RESUME_H
#include "fetcher/answer.h"
#include "fetcher/validator.h"

#include <stdbool.h>
#include <stdint.h>

// Further requests of one attempt: so many, and one more for each so many bytes
// that are in. So a body of a terabyte may be cut a thousand times, while a
// server that cuts after every byte is given up soon.
#define RESUMES_FREE 20
#define RESUME_BYTES_EACH (1024 * 1024)
// Of these, in a row without a byte.
#define RESUMES_IDLE_MAX 3
// Beginnings anew in one attempt. A server that knows no ranges would have the
// same bytes sent again and again: that is what charged tries are for.
#define RESTARTS_MAX 1

// Bytes of a Content-Encoding; bodies with a longer one are not resumed.
#define RESUME_ENCODING_MAX 31

#define RESUME_UNKNOWN UINT64_MAX

// Of one attempt; embedded in its transfer.
struct resume {
    bool is_possible; // the answer that began the body allows it
    bool is_range;    // the last request asked for what was missing
    struct validator validator;
    char encoding[RESUME_ENCODING_MAX + 1]; // lower case; "": none
    uint64_t total; // bytes of the whole body; RESUME_UNKNOWN
    uint64_t end;   // where this answer's bytes end; RESUME_UNKNOWN
    uint64_t asked; // where the body stood at the last request
    unsigned count; // further requests
    unsigned idle;  // of these the last ones, that brought nothing
    unsigned restarts;
};

struct resume_answer {
    int status;
    const struct answer *fields;
    uint64_t length; // Content-Length; RESUME_UNKNOWN
};

// An attempt begins.
void resume_init(struct resume *resume);

// The whole body begins with this answer. is_raw: what is digested are its
// bytes as they come, not what decoding makes of them.
void resume_on_whole(struct resume *resume, const struct resume_answer *answer,
                     bool is_raw);

// How a message ended of which a body came.
enum resume_end {
    RESUME_END_WELL,   // at its end
    RESUME_END_CUT,    // before it: connection or stream ended, or stalled
    RESUME_END_BROKEN, // its framing is wrong: no byte of it can be trusted
};

enum resume_next {
    RESUME_DONE,    // the body is complete
    RESUME_ASK,     // ask for what is missing: counted
    RESUME_GIVE_UP, // it stays cut
};

// size: bytes of the body that are in.
enum resume_next resume_on_end(struct resume *resume, enum resume_end end,
                               uint64_t size);

enum resume_step {
    RESUME_GO_ON,     // its bytes go on where the body stands
    RESUME_REPLACE,   // its bytes are the whole body, which begins anew
    RESUME_ASK_ANEW,  // drop it, ask for the whole body: counted
    RESUME_COMPLETE,  // nothing was missing
    RESUME_FAIL_HTTP, // its status is the outcome
    RESUME_FAIL_CUT, // it does not help, and the body began anew once too often
};

// What to do with an answer to a request for what is missing, which goes to the
// place that the body came from. size: where the
// body stands. *out_why: why it is not what was asked for, a clause for people;
// static; NULL with RESUME_GO_ON and RESUME_COMPLETE.
enum resume_step resume_judge(struct resume *resume,
                              const struct resume_answer *answer, uint64_t size,
                              const char **out_why);

#endif
