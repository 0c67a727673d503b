// api.h - the client endpoint: proto/urlsum.proto over a ROUTER socket
//
// Requests become store operations; a reply goes out when the operation is
// committed. Requests that wait for something (wait_ms) are parked here and run
// again when their batch moved. Loop thread only.
#ifndef BROKER_API_H
#define BROKER_API_H
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>

struct api;
struct batch;
struct broker;

// Bytes of unpacked submissions that may be on their way to the store at once,
// all clients together. Beyond it clients are told to come again (UNAVAILABLE).
#define API_PENDING_BYTES_MAX ((size_t)16 * 1024 * 1024)
// Requests of one client without an answer (urlsum.proto promises it).
#define API_UNANSWERED_MAX 16
// Requests without an answer, all clients together; with one more, the one that
// has waited longest is answered early.
#define API_REQUESTS_MAX 4096
// Requests whose answers may be large (pages and lists) that are worked on at
// once; each has at most RESULTS_BYTES_MAX of rows and as much of answer.
#define API_LARGE_MAX 8
// Bytes of large answers that wait inside libzmq for clients to read them: a
// client has one of them, and the next only when that is gone. Pages shrink to
// API_PAGE_BYTES_MIN as the sum comes near this; beyond it, the client that has
// not read for longest (and for API_UNREAD_MS) is cut off, one a second.
#define API_UNREAD_MAX ((size_t)64 * 1024 * 1024)
#define API_PAGE_BYTES_MIN ((size_t)64 * 1024)
#define API_UNREAD_MS 10000
// Longest wait a client may ask for, milliseconds.
#define API_WAIT_MS_MAX 60000

// socket: a bound ROUTER, the caller's. Returns 0 or a negative errno.
int api_new(struct broker *broker, void *socket, struct api **out_api);

// Nothing of it may be out at the store. NULL is fine.
void api_free(struct api **api);

// Takes one message from the socket. Returns false when none was there.
bool api_on_message(struct api *api);

// A record of the batch is committed, or the batch is finished. Cheap: parked
// requests are looked at in api_flush().
void api_on_landed(struct api *api, const struct batch *batch);

// Requests that have no answer yet.
size_t api_requests(const struct api *api);

// Runs parked requests whose time has come. Once a turn.
void api_flush(struct api *api);

#endif
