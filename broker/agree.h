// agree.h - digests that a server declares beside those that are computed
//
// What is declared comes with FETCHED, what is computed with DIGESTS; here they
// meet, and the record says of each whether they agree. A batch may want
// (want_digest) that what is declared is computed too: the fetcher says SUITE
// before the body, and the job's suite becomes longer than its batch's. Loop
// thread only.
#ifndef BROKER_AGREE_H
#define BROKER_AGREE_H
#include "proto/wire.h"

struct job;

// Bytes of a job's suite: the batch's and the algorithms of declared.h.
#define AGREE_SUITE_MAX 320

// SUITE came, before the job's first byte. Algorithms that are none of
// declared.h, or more than a suite may have, are left out.
void agree_add(struct job *job, const struct wire_suite *item);

// The job's suite as text: in out_text, or its batch's own.
struct wire_bytes agree_suite(const struct job *job,
                              char out_text[AGREE_SUITE_MAX]);

// Keeps what FETCHED says is declared, for later; replaces what it had.
void agree_keep(struct job *job, struct wire_bytes declared);

// DIGESTS came: copies those of the batch's suite into the job, compares, and
// adds what came of it to the job's facts (without memory they lack it).
// Returns why the digests cannot be right, or NULL; static.
const char *agree_take(struct job *job, const struct wire_digest *item);

#endif
