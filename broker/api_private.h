// api_private.h - what the files of the client endpoint share
//
// api.c: transport, parking, whose turn it is; api_reply.c: answers;
// api_requests.c: what each request means; api_results.c, api_lists.c,
// api_retry.c and api_waiting.c: the longer ones; api_arena.c: the memory of a
// message. Loop thread only.
#ifndef BROKER_API_PRIVATE_H
#define BROKER_API_PRIVATE_H
#include "broker/store.h"
#include "urlsum.pb-c.h"

#include <stdbool.h>
#include <uthash.h>
#include <zmq.h>

struct broker;
struct origin;
struct outbound;
struct unread;

// What protobuf-c unpacks a message into: many small pieces that go at once. A
// stranger's message cannot make more of it than ARENA_BYTES_MAX; the largest
// SubmitUrls makes half as much.
#define ARENA_BYTES_MAX ((size_t)2 * 1024 * 1024)
struct arena_block;
struct arena {
    ProtobufCAllocator allocator;
    struct arena_block *blocks;
    size_t total;      // bytes taken from the heap
    bool is_exhausted; // there was no memory, which is not the client's fault
};

struct client {
    unsigned char address[256];
    size_t address_len;
    size_t unanswered;
    bool has_large;        // a request whose answer may be large is under way
    int connection;        // see guard.h
    struct unread *unread; // large replies inside libzmq
    uint64_t unread_since_ms;
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
    size_t bytes;  // of a submission, counted in the api's pending bytes
    bool is_large; // counted as one whose answer may be large
    union {
        struct store_op op; // every operation begins with one
        struct store_create create;
        struct store_append append;
        struct store_mark mark;
        struct store_results results;
        struct store_batches batches;
        struct store_requeue requeue;
    };
    struct store_url *urls;
    unsigned char *options; // as they were packed
    size_t options_len;
    // RetryBatch: the rows on their way, how far it has read, where it stops,
    // how many were queued again.
    struct store_requeue_row *rows;
    uint64_t retry_next, retry_until, requeued;
    // Parked: runs again when the batch moved on from what was seen.
    uint64_t batch;
    uint64_t seen_landed;
    uint64_t deadline_ms;
    struct request *prev, *next;
};

// The endpoint. Only api.c and api_reply.c look into it.
struct api {
    struct broker *broker;
    void *socket;
    struct client *clients;
    struct request *parked;
    struct request *held; // large ones whose turn has not come
    size_t requests_len;
    size_t pending_bytes; // of submissions
    size_t large_len;     // large requests under way
    bool has_news;        // some batch moved since the last flush
    bool has_room;        // a held request may have its turn now
    uint64_t next_deadline_ms;
    uint64_t next_check_ms; // for clients that do not read
    struct outbound *outbound;
};

// --- api_arena.c ---
// Returns NULL without memory.
struct arena *api_arena_new(void);
void api_arena_free(struct arena *arena); // NULL is fine

// --- api.c, for the others ---
struct broker *api_broker(struct api *api);

// Ends a request without a reply: whoever replies has it done. *request becomes
// NULL; NULL is fine.
void api_request_free(struct request **request);

// Pushes request->op.
void api_push(struct request *request);

// Keeps a request until its batch has moved on from row, or its deadline. Takes
// it (*request becomes NULL).
void api_park(struct request **request, const struct store_batch *row);

// --- api_reply.c ---
// Each sends the reply and frees the request (*request becomes NULL).
void api_reply(struct request **request, Urlsum__V1__Reply *reply);
void api_reply_error(struct request **request, Urlsum__V1__Error__Code code,
                     const char *text);
// Takes data (from malloc) as it is.
void api_reply_raw(struct request **request, unsigned char **data, size_t len);

// Bytes of a page of results: less when much waits for clients that do not
// read. Other large replies should keep to it as well.
size_t api_page_bytes(const struct api *api);

// The answer where there is no memory for another one: a client that heard
// nothing would wait for ever. Frees nothing. Returns 0 or a negative errno.
int api_send_no_memory(struct request *request);

// --- api_requests.c, for the files of one request ---
// Pushes CANCEL, REMOVE or STATUS of the batch of that id.
void api_run_mark(struct request *request, enum store_kind kind,
                  const char *id);
// Replies with the batch of that row.
void api_reply_batch(struct request **request, const struct store_batch *row);
// Says what the store's error means to a client.
void api_reply_store_error(struct request **request, int err);

// --- api_results.c, for api_requests.c: each takes the request ---
void api_results_run(struct request *request);
// The batch's row came back, by which its number is known.
void api_results_on_batch(struct request *request);
// The page's rows came back.
void api_results_on_done(struct request *request);

// --- api_lists.c, for api_requests.c: each takes the request ---
void api_workers_run(struct request *request);
void api_list_run(struct request *request);
void api_list_on_done(struct request *request);

// --- api_retry.c, for api_requests.c: each takes the request ---
void api_retry_run(struct request *request);
void api_retry_on_batch(struct request *request);
void api_retry_on_page(struct request *request);
void api_retry_on_done(struct request *request);

// --- api_waiting.c, for api_requests.c: takes the request ---
void api_waiting_on_batch(struct request *request);
// ... and for api_hosts.c: why a job of the origin does not run; "" when it
// may.
#define API_WHY_MAX 200
void api_why_host(const struct broker *broker, const struct origin *origin,
                  char out[API_WHY_MAX]);

// --- api_hosts.c, for api_requests.c: takes the request ---
void api_hosts_run(struct request *request);

// --- api_requests.c, for api.c ---
// Starts a request, or runs a parked one again. Takes it.
void api_run(struct request *request);
// The request's operation came back: replies, parks or runs on. Takes it.
void api_on_done(struct request *request);
// Frees what the operation's outcome owns.
void api_fini_op(struct request *request);

#endif
