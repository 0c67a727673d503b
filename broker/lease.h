// lease.h - leases: renewed by progress, taken back without it
//
// A job in a worker's hands is leased for LEASE_TTLS times --ttl from the last
// sign that it moves: bytes of its body, FETCHED, the fetcher's word for it in
// a PONG (which a fetcher gives while bytes come, while its own time limits
// run, and while it waits for credit), or, once a hasher has it all, that
// hasher taking something. There is no total limit: a body may take a day. A
// worker that answers PINGs but moves nothing loses the job (EV_LEASE_LOST).
// Loop thread only.
#ifndef BROKER_LEASE_H
#define BROKER_LEASE_H
#include "proto/wire.h"

struct broker;
struct job;
struct session;

// A lease in TTLs: a worker that is alive has had two PINGs too many by then.
#define LEASE_TTLS 3

// The job moved.
void lease_renew(struct broker *broker, struct job *job);

// The jobs of a fetcher's PONG: renews those that it holds, passes over others.
void lease_on_pong(struct broker *broker, struct session *fetcher,
                   const struct wire_message *message);

// A fetcher begins or ends a pause: while another takes jobs, what waits with
// it goes back to the queue, at no cost.
void lease_on_pause(struct broker *broker, struct session *fetcher,
                    const struct wire_message *message);

// Takes back what has not moved for too long, and ends hashers that take
// nothing of what they were sent. Every beat.
void leases_check(struct broker *broker);

#endif
