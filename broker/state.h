// state.h - what the broker's modules share: one struct, one loop thread
#ifndef BROKER_STATE_H
#define BROKER_STATE_H
#include "broker/batch.h"
#include "broker/broker.h"
#include "broker/job.h"
#include "broker/sessions.h"
#include "common/heap.h"

struct api;
struct loop;
struct origin_parser;
struct store;

struct broker {
    const struct broker_config *config;
    struct loop *loop;
    struct store *store;
    struct origin_parser *origin_parser;
    struct jobs jobs;         // all in memory
    struct batches batches;   // unfinished batches, their flows, the origins
    struct heap retries;      // jobs in RETRY_WAIT, by due time
    struct sessions sessions; // fetchers and hashers
    struct api *api;          // clients
    struct job *parked;       // records the store refused: written again
    unsigned seed;            // of jitter
    bool is_draining;         // nothing is handed out any more
};

// Keeps a job whose record the store refused; it is pushed again every second.
void broker_park_finish(struct broker *broker, struct job *job);

#endif
