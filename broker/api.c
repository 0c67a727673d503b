#include "broker/api.h"

#include "broker/access.h"
#include "broker/api_private.h"
#include "broker/guard.h"
#include "broker/outbound.h"
#include "broker/state.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// Unpacked bytes of a request that is neither a submission nor makes a batch:
// they may wait for a minute.
#define REQUEST_BYTES_MAX ((size_t)16 * 1024)
// How often it is looked for clients that do not read.
#define UNREAD_CHECK_MS 1000

// --- Clients and requests ---

static struct client *
client_ref(struct api *api, const zmq_msg_t *address)
{
    size_t len = zmq_msg_size(address);
    const void *data = zmq_msg_data((zmq_msg_t *)address);
    struct client *client;

    HASH_FIND(hh, api->clients, data, len, client);
    if (!client) {
        client = calloc(1, sizeof(*client));
        if (!client || !(client->unread = unread_new(api->outbound))) {
            free(client);
            return NULL;
        }
        memcpy(client->address, data, len);
        client->address_len = len;
        HASH_ADD_KEYPTR(hh, api->clients, client->address, len, client);
        if (!client->hh.tbl) { // not added: no memory
            unread_unref(&client->unread);
            free(client);
            return NULL;
        }
    }
    client->unanswered++;
    return client;
}

static void
client_drop(struct api *api, struct client *client)
{
    HASH_DEL(api->clients, client);
    unread_unref(&client->unread);
    free(client);
}

static void
client_unref(struct api *api, struct client *client)
{
    client->unanswered--;
    if (!client->unanswered && !unread_bytes(client->unread))
        client_drop(api, client); // else: look_at_clients() does
}

// A large request came to its end, or waits for its batch.
static void
end_large(struct request *request)
{
    if (!request->is_large)
        return;
    request->is_large = false;
    request->client->has_large = false;
    request->api->large_len--;
    request->api->has_room = true;
}

void
api_request_free(struct request **request)
{
    struct request *it = *request;

    if (!it)
        return;
    if (it->op.done)
        api_fini_op(it);
    end_large(it);
    it->api->requests_len--;
    it->api->pending_bytes -= it->bytes;
    if (it->client)
        client_unref(it->api, it->client);
    api_arena_free(it->arena);
    free(it->urls);
    free(it->options);
    free(it->rows);
    free(it);
    *request = NULL;
}

struct broker *
api_broker(struct api *api)
{
    return api->broker;
}

static void
on_op_done(struct store_op *op)
{
    api_on_done(op->arg);
}

void
api_push(struct request *request)
{
    request->op.done = on_op_done;
    request->op.arg = request;
    store_push(request->api->broker->store, &request->op);
}

// --- Parking ---

void
api_park(struct request **request, const struct store_batch *row)
{
    struct request *it = *request;

    it->batch = row->batch;
    it->seen_landed = row->landed;
    api_fini_op(it);
    it->op.done = NULL;
    end_large(it);
    DL_APPEND(it->api->parked, it);
    it->api->has_news = true; // it may have moved meanwhile: look once
    *request = NULL;
}

void
api_on_landed(struct api *api, const struct batch *batch)
{
    (void)batch;
    api->has_news = true;
}

static bool
is_due(const struct api *api, const struct request *request, uint64_t now_ms)
{
    struct batch *batch;

    if (now_ms >= request->deadline_ms)
        return true;
    HASH_FIND(hh, api->broker->batches.by_number, &request->batch,
              sizeof(request->batch), batch);
    if (!batch && api->broker->recovery.has_more)
        return false; // it waits in the store for its turn
    if (!batch || batch->is_finished)
        return true;
    // A status waits for the end alone.
    return request->message->what_case == URLSUM__V1__REQUEST__WHAT_RESULTS &&
           batch->landed != request->seen_landed;
}

// --- Whose turn it is ---

// Answers may be large: one at a time for a client, and for all together a few.
static bool
asks_for_much(const struct request *request)
{
    switch (request->message->what_case) {
    case URLSUM__V1__REQUEST__WHAT_RESULTS:
    case URLSUM__V1__REQUEST__WHAT_LIST:
    case URLSUM__V1__REQUEST__WHAT_WORKERS:
    case URLSUM__V1__REQUEST__WHAT_WAITING:
    case URLSUM__V1__REQUEST__WHAT_HOSTS:
    case URLSUM__V1__REQUEST__WHAT_RETRY: // no large answer, but as much work
        return true;
    case URLSUM__V1__REQUEST__WHAT_CREATE:
    case URLSUM__V1__REQUEST__WHAT_SUBMIT:
    case URLSUM__V1__REQUEST__WHAT_CLOSE:
    case URLSUM__V1__REQUEST__WHAT_STATUS:
    case URLSUM__V1__REQUEST__WHAT_CANCEL:
    case URLSUM__V1__REQUEST__WHAT_REMOVE:
    case URLSUM__V1__REQUEST__WHAT__NOT_SET:
    case _URLSUM__V1__REQUEST__WHAT__CASE_IS_INT_SIZE:
        break;
    }
    return false;
}

// Runs a request, or holds it until the client has read what it asked for
// before and the store is not busy with others' pages.
static void
start_request(struct request *request)
{
    struct api *api = request->api;
    struct client *client = request->client;

    if (!asks_for_much(request)) {
        api_run(request);
        return;
    }
    if (client->has_large || api->large_len >= API_LARGE_MAX ||
        unread_bytes(client->unread)) {
        DL_APPEND(api->held, request);
        return;
    }
    request->is_large = client->has_large = true;
    api->large_len++;
    api_run(request);
}

static void
start_held(struct api *api)
{
    struct request *list = api->held, *request, *next;

    api->has_room = false;
    api->held = NULL;
    DL_FOREACH_SAFE(list, request, next)
    {
        DL_DELETE(list, request);
        start_request(request); // or it is held again, in the same order
    }
}

// Makes room for one more request: whoever has waited longest is answered now.
static void
evict_one(struct api *api)
{
    struct request *request = api->held;

    if (request) {
        DL_DELETE(api->held, request);
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__UNAVAILABLE,
                        "too many requests at once; try again");
        return;
    }
    request = api->parked;
    if (!request)
        return;
    DL_DELETE(api->parked, request);
    request->deadline_ms = loop_now_ms(api->broker->loop);
    start_request(request);
}

// Forgets clients that have read all, and cuts the slowest one off when too
// much waits for all.
static void
look_at_clients(struct api *api)
{
    uint64_t now_ms = loop_now_ms(api->broker->loop);
    struct client *client, *next, *slowest = NULL;
    size_t unread = outbound_bytes(api->outbound);

    HASH_ITER(hh, api->clients, client, next)
    {
        if (!unread_bytes(client->unread)) {
            if (!client->unanswered)
                client_drop(api, client);
        } else if (!slowest ||
                   client->unread_since_ms < slowest->unread_since_ms) {
            slowest = client;
        }
    }
    if (slowest && unread > API_UNREAD_MAX &&
        now_ms - slowest->unread_since_ms > API_UNREAD_MS)
        guard_cut(api->broker->client_guard, slowest->connection,
                  slowest->unread_since_ms, "it does not read its answers");
}

static void
on_outbound(void *arg)
{
    struct api *api = arg;

    api->has_room = true; // api_flush() comes at the end of this turn
}

static void
flush_parked(struct api *api, uint64_t now_ms)
{
    struct request *request, *next;

    api->has_news = false;
    api->next_deadline_ms = UINT64_MAX;
    DL_FOREACH_SAFE(api->parked, request, next)
    {
        if (is_due(api, request, now_ms)) {
            DL_DELETE(api->parked, request);
            start_request(request);
        } else if (request->deadline_ms < api->next_deadline_ms) {
            api->next_deadline_ms = request->deadline_ms;
        }
    }
}

void
api_flush(struct api *api)
{
    uint64_t now_ms = loop_now_ms(api->broker->loop);

    if (api->has_room)
        start_held(api);
    if (api->has_news || now_ms >= api->next_deadline_ms)
        flush_parked(api, now_ms);
    if (now_ms >= api->next_check_ms) {
        api->next_check_ms = now_ms + UNREAD_CHECK_MS;
        look_at_clients(api);
    }
}

// --- Receiving ---

static struct request *
request_new(struct api *api, const struct frames *frames)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->api = api;
    api->requests_len++;
    request->client = client_ref(api, &frames->parts[0]);
    if (request->client)
        request->client->connection = guard_connection(frames);
    request->arena = api_arena_new();
    if (!request->client || !request->arena)
        api_request_free(&request);
    return request;
}

// True for one that may be large, and is over with the store's next commit.
static bool
is_for_store(const struct request *request)
{
    return request->message->what_case == URLSUM__V1__REQUEST__WHAT_SUBMIT ||
           request->message->what_case == URLSUM__V1__REQUEST__WHAT_CREATE;
}

// Why a request is refused before it is run, or NULL.
static const char *
check_request(const struct request *request, Urlsum__V1__Error__Code *out_code)
{
    const struct api *api = request->api;

    *out_code = URLSUM__V1__ERROR__CODE__VERSION;
    if (request->message->version != 1)
        return "this broker speaks version 1 of the client API";
    *out_code = URLSUM__V1__ERROR__CODE__UNAVAILABLE;
    if (api->pending_bytes > API_PENDING_BYTES_MAX)
        return "too many submissions at once; try again";
    *out_code = URLSUM__V1__ERROR__CODE__TOO_LARGE;
    if (request->client->unanswered > API_UNANSWERED_MAX)
        return "more than 16 requests without an answer";
    if (!is_for_store(request) && request->arena->total > REQUEST_BYTES_MAX)
        return "a request other than SubmitUrls and CreateBatch is small";
    return NULL;
}

// The id of a request that could not be unpacked, which nearly always stands
// first; else 0.
static uint64_t
peek_id(const zmq_msg_t *frame)
{
    const unsigned char *at = zmq_msg_data((zmq_msg_t *)frame);
    size_t len = zmq_msg_size(frame);
    uint64_t id = 0;

    if (!len || at[0] != (1 << 3)) // field 1, a varint
        return 0;
    for (size_t i = 1; i < len && i <= 10; i++) {
        id |= (uint64_t)(at[i] & 0x7f) << (7 * (i - 1));
        if (!(at[i] & 0x80))
            return id;
    }
    return 0;
}

static void
refuse_for_memory(struct api *api, const struct frames *frames)
{
    const zmq_msg_t *address = &frames->parts[0];
    struct client client = {.address_len = zmq_msg_size(address)};
    struct request request = {.api = api, .client = &client};

    if (frames->len < 2)
        return;
    memcpy(client.address, zmq_msg_data((zmq_msg_t *)address),
           client.address_len);
    request.has_delimiter =
        frames->len == 3 && zmq_msg_size(&frames->parts[1]) == 0;
    request.id = peek_id(&frames->parts[frames->len - 1]);
    (void)api_send_no_memory(&request); // gone: nobody waits
}

static void
take_request(struct request *request, zmq_msg_t *frame)
{
    Urlsum__V1__Error__Code code;
    const char *why;

    request->message = urlsum__v1__request__unpack(
        &request->arena->allocator, zmq_msg_size(frame), zmq_msg_data(frame));
    if (!request->message) {
        request->id = peek_id(frame);
        if (request->arena->is_exhausted)
            api_reply_error(&request, URLSUM__V1__ERROR__CODE__UNAVAILABLE,
                            "out of memory");
        else
            api_reply_error(&request, URLSUM__V1__ERROR__CODE__BAD_REQUEST,
                            "the frame is no urlsum.v1.Request");
        return;
    }
    request->id = request->message->id;
    if (is_for_store(request)) {
        request->bytes = request->arena->total;
        request->api->pending_bytes += request->bytes;
    }
    why = check_request(request, &code);
    if (why)
        api_reply_error(&request, code, why);
    else
        start_request(request);
}

size_t
api_requests(const struct api *api)
{
    return api->requests_len;
}

bool
api_on_message(struct api *api)
{
    struct frames frames;
    struct request *request = NULL;
    int received = frames_recv(api->socket, &frames);

    if (received && received != -EMSGSIZE)
        return false;
    (void)guard_on_message(api->broker->client_guard, &frames, false,
                           loop_now_ms(api->broker->loop));
    if (!access_admits(api->broker, ACCESS_CLIENT, &frames))
        goto out;
    metrics_add(&api->broker->stats.requests, 1);
    if (api->requests_len >= API_REQUESTS_MAX)
        evict_one(api);
    if (api->requests_len >= 2 * API_REQUESTS_MAX) {
        log_outside(LOG_WARN, "client.too_many", "requests=%zu",
                    api->requests_len);
        goto out;
    }
    request = request_new(api, &frames);
    if (!request) {
        refuse_for_memory(api, &frames);
        goto out;
    }
    request->has_delimiter =
        frames.len == 3 && zmq_msg_size(&frames.parts[1]) == 0;
    if (received || frames.len != (request->has_delimiter ? 3 : 2))
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__BAD_REQUEST,
                        "a request is one frame");
    else
        take_request(request, &frames.parts[frames.len - 1]);
out:
    frames_close(&frames);
    return true;
}

int
api_new(struct broker *broker, void *socket, struct api **out_api)
{
    struct api *api = calloc(1, sizeof(*api));
    int err;

    if (!api)
        return -ENOMEM;
    api->broker = broker;
    api->socket = socket;
    api->next_deadline_ms = UINT64_MAX;
    err = outbound_new(broker->loop, on_outbound, api, &api->outbound);
    if (err) {
        free(api);
        return err;
    }
    *out_api = api;
    return 0;
}

static void
free_requests(struct request **list)
{
    struct request *request, *next;

    DL_FOREACH_SAFE(*list, request, next)
    {
        DL_DELETE(*list, request);
        api_request_free(&request);
    }
}

void
api_free(struct api **api)
{
    struct client *client, *next;

    if (!*api)
        return;
    free_requests(&(*api)->parked);
    free_requests(&(*api)->held);
    HASH_ITER(hh, (*api)->clients, client, next)
    client_drop(*api, client);
    outbound_free(&(*api)->outbound);
    free(*api);
    *api = NULL;
}
