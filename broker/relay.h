// relay.h - bodies from fetchers to hashers, and what both say of them
//
// A raw frame is forwarded untouched and never copied; only its head is written
// anew. What is stale (an older attempt, a job that ended) is refused politely:
// dropped with an ABORT, never an error. Loop thread only.
#ifndef BROKER_RELAY_H
#define BROKER_RELAY_H
#include "proto/wire.h"

#include <zmq.h>

struct broker;
struct job;
struct session;

// Messages of a live session; a breach of the protocol dooms it.
void relay_on_fetched(struct broker *broker, struct session *fetcher,
                      const struct wire_message *message);
void relay_on_suite(struct broker *broker, struct session *fetcher,
                    const struct wire_message *message);
void relay_on_body(struct broker *broker, struct session *fetcher,
                   const struct wire_message *message, zmq_msg_t *body);
void relay_on_digests(struct broker *broker, struct session *hasher,
                      const struct wire_message *message);
void relay_on_abort(struct broker *broker, struct session *hasher,
                    const struct wire_message *message);

// Returns the credit of the hasher's oldest count messages to their fetchers.
void relay_pop_notes(struct broker *broker, struct session *hasher,
                     size_t count);

// The session is out of all tables: its jobs go back to their queues. One that
// was lost alone, as a suspect, often enough fails as worker_lost.
void relay_lose_leases(struct broker *broker, struct session *session);

// A job that does not move is taken from its workers, who are told. Counts as
// the loss of a worker: of its work on this job nothing came.
void relay_take_back(struct broker *broker, struct job *job);

// Takes a job back from a fetcher that could not begin it: nobody's fault.
void relay_give_back(struct broker *broker, struct job *job);

#endif
