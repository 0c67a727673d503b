#include "broker/agree.h"

#include "broker/batch.h"
#include "broker/facts.h"
#include "broker/job.h"
#include "proto/declared.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(DECLARED_ALGORITHM_COUNT <= 8, "they are bits of job->also");
#define X(symbol, name, bytes, is_computed)                                    \
    +1 + (is_computed ? sizeof(name) : 0)
static_assert(sizeof(((struct suite *)0)->text)
                      DECLARED_ALGORITHMS(X) <= AGREE_SUITE_MAX,
              "room for all of them");
#undef X

static bool
is_also(const struct job *job, int algorithm)
{
    return job->also >> algorithm & 1;
}

// Algorithms of the job's suite that its batch's has not.
static size_t
count_also(const struct job *job)
{
    size_t count = 0;

    for (int i = 0; i < DECLARED_ALGORITHM_COUNT; i++)
        count += is_also(job, i);
    return count;
}

void
agree_add(struct job *job, const struct wire_suite *item)
{
    const struct suite *suite = &job->flow->batch->suite;

    job->also = 0;
    for (size_t i = 0; i < item->algorithms_len; i++) {
        enum declared_algorithm algorithm;

        if (declared_find_algorithm(item->algorithms[i], &algorithm) &&
            declared_is_computed(algorithm) &&
            suite_find(suite, declared_algorithm_name(algorithm)) ==
                suite->len &&
            suite->len + count_also(job) < WIRE_ALGORITHMS_MAX)
            job->also |= (uint8_t)(1u << algorithm);
    }
}

struct wire_bytes
agree_suite(const struct job *job, char out_text[AGREE_SUITE_MAX])
{
    struct wire_bytes own = job->flow->batch->suite_name;
    size_t used = own.len;

    if (!job->also)
        return own;
    memcpy(out_text, own.at, own.len);
    for (int i = 0; i < DECLARED_ALGORITHM_COUNT; i++) {
        const char *name = declared_algorithm_name((enum declared_algorithm)i);
        size_t len = strlen(name);

        if (!is_also(job, i))
            continue;
        out_text[used++] = ',';
        memcpy(out_text + used, name, len);
        used += len;
    }
    return (struct wire_bytes){out_text, used};
}

void
agree_keep(struct job *job, struct wire_bytes declared)
{
    free(job->declared);
    job->declared = NULL;
    job->declared_len = 0;
    if (!declared.at || !declared.len)
        return;
    job->declared = malloc(declared.len);
    if (!job->declared)
        return; // a record that says less; the digest is what matters
    memcpy(job->declared, declared.at, declared.len);
    job->declared_len = declared.len;
}

// The computed digest of that algorithm, or one with at == NULL.
static struct wire_bytes
find_computed(const struct job *job, const struct wire_digest *item,
              enum declared_algorithm algorithm)
{
    const struct suite *suite = &job->flow->batch->suite;
    size_t place = suite_find(suite, declared_algorithm_name(algorithm));

    if (place < suite->len)
        return item->digests[place];
    if (!is_also(job, (int)algorithm))
        return (struct wire_bytes){NULL, 0};
    for (int i = 0; i < (int)algorithm; i++)
        place += is_also(job, i);
    return item->digests[place];
}

static void
compare(struct job *job, const struct wire_digest *item)
{
    struct wire_bytes rest = {job->declared, job->declared_len};
    struct facts_declared all[FACTS_DECLARED_MAX];
    size_t len = 0;

    while (len < FACTS_DECLARED_MAX && declared_next(&rest, &all[len].said)) {
        struct facts_declared *one = &all[len++];
        size_t bytes = declared_algorithm_bytes(one->said.algorithm);

        one->computed = (struct wire_bytes){NULL, 0};
        if (!one->said.is_other)
            one->computed = find_computed(job, item, one->said.algorithm);
        one->agrees = one->computed.at && one->computed.len == bytes &&
                      memcmp(one->computed.at, one->said.digest, bytes) == 0;
    }
    job_add_declared(job, all, len);
}

const char *
agree_take(struct job *job, const struct wire_digest *item)
{
    const struct suite *suite = &job->flow->batch->suite;
    size_t used = 0, place = suite->len;

    if (item->size != job->size)
        return "digested bytes are not the body's size";
    if (item->digests_len != suite->len + count_also(job))
        return "not one digest an algorithm";
    for (size_t i = 0; i < suite->len; i++) {
        if (item->digests[i].len != suite->digest_bytes[i])
            return "a digest of the wrong length";
        memcpy(job->digests + used, item->digests[i].at,
               suite->digest_bytes[i]);
        used += suite->digest_bytes[i];
    }
    for (int i = 0; i < DECLARED_ALGORITHM_COUNT; i++) {
        if (is_also(job, i) &&
            item->digests[place++].len !=
                declared_algorithm_bytes((enum declared_algorithm)i))
            return "a digest of the wrong length";
    }
    if (job->declared)
        compare(job, item);
    return NULL;
}
