// api_private.h - what api.c (transport, parking), api_requests.c (what each
// request means) and api_results.c (GetResults) share
#ifndef BROKER_API_PRIVATE_H
#define BROKER_API_PRIVATE_H
#include "broker/store.h"
#include "urlsum.pb-c.h"

#include <stdbool.h>
#include <uthash.h>
#include <zmq.h>

struct api;
struct arena;
struct broker;

struct client {
    unsigned char address[256];
    size_t address_len;
    size_t unanswered;
    UT_hash_handle hh;
};

// One request, from its frame to its reply. Owned by the api.
struct request {
    struct api *api;
    struct client *client;
    bool has_delimiter;
    uint64_t id;
    struct arena *arena; // holds message
    const Urlsum__V1__Request *message;
    size_t bytes; // counted in the api's pending bytes
    union {
        struct store_op op; // every operation begins with one
        struct store_create create;
        struct store_append append;
        struct store_mark mark;
        struct store_results results;
        struct store_batches batches;
    };
    struct store_url *urls;
    unsigned char *options;
    // Parked: runs again when the batch moved on from what was seen.
    uint64_t batch;
    uint64_t seen_landed;
    uint64_t deadline_ms;
    struct request *prev, *next;
};

// --- api.c, for api_requests.c ---
struct broker *api_broker(struct api *api);

// Each sends the reply and frees the request (*request becomes NULL).
void api_reply(struct request **request, Urlsum__V1__Reply *reply);
void api_reply_error(struct request **request, Urlsum__V1__Error__Code code,
                     const char *text);
void api_reply_raw(struct request **request, unsigned char *data, size_t len);

// Pushes request->op.
void api_push(struct request *request);

// Keeps a request until its batch has moved on from row, or its deadline.
void api_park(struct request **request, const struct store_batch *row);

// --- api_requests.c, for api_results.c ---
// Pushes CLOSE, CANCEL or STATUS of the batch of that id.
void api_run_mark(struct request *request, enum store_kind kind, const char *id,
                  uint64_t size);
// Says what the store's error means to a client.
void api_reply_store_error(struct request **request, int err);

// --- api_results.c, for api_requests.c: each takes the request ---
void api_results_run(struct request *request);
// The batch's row came back, by which its number is known.
void api_results_on_batch(struct request *request);
// The page's rows came back.
void api_results_on_done(struct request *request);

// --- api_requests.c, for api.c ---
// Starts a request, or runs a parked one again. Takes it.
void api_run(struct request *request);
// The request's operation came back: replies, parks or runs on. Takes it.
void api_on_done(struct request *request);
// Frees what the operation's outcome owns.
void api_fini_op(struct request *request);

#endif
