#include "broker/job.h"

#include "broker/batch.h"
#include "broker/facts.h"

#include <stdlib.h>
#include <string.h>

struct job *
jobs_add(struct jobs *jobs, struct flow *flow, uint64_t batch,
         const struct store_job *row)
{
    struct job *job = calloc(1, sizeof(*job) + row->len);

    if (!job)
        return NULL;
    job->id = job_id_make(batch, row->seq);
    job->flow = flow;
    job->tries = row->tries;
    job->lost = row->lost;
    job->attempt = jobs->attempts;
    job->url_len = row->len;
    memcpy(job->url, row->url, row->len);
    HASH_ADD(hh, jobs->by_id, id, sizeof(job->id), job);
    if (!job->hh.tbl) { // not added: no memory
        free(job);
        return NULL;
    }
    jobs->len++;
    flow->batch->jobs_len++;
    return job;
}

struct job *
jobs_find(const struct jobs *jobs, uint64_t id)
{
    struct job *job;

    HASH_FIND(hh, jobs->by_id, &id, sizeof(id), job);
    return job;
}

void
jobs_remove(struct jobs *jobs, struct job **job)
{
    if (((*job)->state == JOB_FAILED || (*job)->state == JOB_QUEUED) &&
        (*job)->attempt > jobs->attempts)
        jobs->attempts = (*job)->attempt;
    HASH_DEL(jobs->by_id, *job);
    jobs->len--;
    (*job)->flow->batch->jobs_len--;
    free((*job)->facts);
    free((*job)->declared);
    free(*job);
    *job = NULL;
}

void
job_take_facts(struct job *job, unsigned char **facts, size_t len)
{
    free(job->facts);
    job->facts = *facts;
    job->facts_len = len;
    *facts = NULL;
}

// Two serialized messages, one behind the other, are one.
static void
append_facts(struct job *job, const unsigned char *more, size_t len)
{
    unsigned char *facts = realloc(job->facts, job->facts_len + len);

    if (!facts)
        return;
    memcpy(facts + job->facts_len, more, len);
    job->facts = facts;
    job->facts_len += len;
}

void
job_add_declared(struct job *job, const struct facts_declared *items,
                 size_t len)
{
    unsigned char *more = NULL;
    size_t more_len = 0;

    if (!len || facts_encode_declared(items, len, &more, &more_len) != 0)
        return;
    append_facts(job, more, more_len);
    free(more);
}

void
job_add_hasher(struct job *job, const char *name)
{
    unsigned char more[WIRE_NAME_MAX + 4];

    append_facts(job, more, facts_encode_hasher(name, more));
}
