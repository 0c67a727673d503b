// schedule.h - which job goes to which fetcher, and when
//
// Batches share by weighted round robin: a turn of a batch is up to its weight
// times QUANTUM jobs, so five URLs behind ten million are out within a turn.
// Inside a batch its ready flows take turns, one job each. Only a job whose
// origin has a free slot is handed out; no worker ever waits inside one. Loop
// thread only.
#ifndef BROKER_SCHEDULE_H
#define BROKER_SCHEDULE_H
#include "proto/fail.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct job;

// Jobs a batch hands out in its turn, times its weight: enough for a JOBS
// message to be worth its while.
#define SCHEDULE_QUANTUM 16

// Hands out what can be handed out now. Once a turn, at its end.
void schedule_run(struct broker *broker);

// Moves retries that are due back to their queues; returns when to come again
// (ms on the loop's clock), UINT64_MAX: nothing waits.
uint64_t schedule_run_retries(struct broker *broker);

// Decides what a failed transfer means for its job, whose tries are those
// before it: true = it gets another one at *out_due_ms. Exponential back-off
// from 1 s to 10 min with jitter, as curl's --retry; a Retry-After is obeyed up
// to 24 h. Pure but for the seed.
bool schedule_wants_retry(const struct job *job, enum fail outcome,
                          int http_status, uint64_t retry_after_s,
                          uint64_t now_ms, unsigned *seed,
                          uint64_t *out_due_ms);

// What the job's next attempt is told of any_status: a status that is worth
// another try is no result yet while there are tries.
uint64_t schedule_any_status(const struct job *job);

#endif
