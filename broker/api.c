#include "broker/api.h"

#include "broker/api_private.h"
#include "broker/state.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

// protobuf-c unpacks a message into many small pieces: they come from here and
// go at once. A stranger's message cannot make more of it than this.
#define ARENA_BYTES_MAX (64 * 1024 * 1024)
#define ARENA_BLOCK_MIN (16 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, room;
    max_align_t data[];
};

struct arena {
    ProtobufCAllocator allocator;
    struct arena_block *blocks;
    size_t total;
};

struct api {
    struct broker *broker;
    void *socket;
    struct client *clients;
    struct request *parked;
    size_t requests_len;
    size_t pending_bytes;
    bool has_news; // some batch moved since the last flush
    uint64_t next_deadline_ms;
};

// --- The arena ---

static void *
arena_alloc(void *arg, size_t size)
{
    struct arena *arena = arg;
    struct arena_block *block = arena->blocks;
    void *at;

    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    if (!block || block->room - block->used < size) {
        size_t room = block ? block->room * 2 : ARENA_BLOCK_MIN;

        if (room < size)
            room = size;
        if (arena->total + room > ARENA_BYTES_MAX)
            return NULL;
        block = malloc(sizeof(*block) + room);
        if (!block)
            return NULL;
        *block = (struct arena_block){.next = arena->blocks, .room = room};
        arena->blocks = block;
        arena->total += room;
    }
    at = (char *)block->data + block->used;
    block->used += size;
    return at;
}

static void
arena_ignore_free(void *arg, void *at)
{
    (void)arg, (void)at; // goes with the arena
}

static struct arena *
arena_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (arena)
        arena->allocator = (ProtobufCAllocator){
            .alloc = arena_alloc,
            .free = arena_ignore_free,
            .allocator_data = arena,
        };
    return arena;
}

static void
arena_free(struct arena *arena)
{
    struct arena_block *block, *next;

    if (!arena)
        return;
    for (block = arena->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    free(arena);
}

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
        if (!client)
            return NULL;
        memcpy(client->address, data, len);
        client->address_len = len;
        HASH_ADD_KEYPTR(hh, api->clients, client->address, len, client);
    }
    client->unanswered++;
    return client;
}

static void
client_unref(struct api *api, struct client *client)
{
    if (--client->unanswered)
        return;
    HASH_DEL(api->clients, client);
    free(client);
}

static void
request_free(struct request **request)
{
    struct request *it = *request;

    if (!it)
        return;
    if (it->op.done)
        api_fini_op(it);
    it->api->requests_len--;
    it->api->pending_bytes -= it->bytes;
    if (it->client)
        client_unref(it->api, it->client);
    arena_free(it->arena);
    free(it->urls);
    free(it->options);
    free(it);
    *request = NULL;
}

struct broker *
api_broker(struct api *api)
{
    return api->broker;
}

static void
send_reply(struct request *request, const unsigned char *data, size_t len)
{
    void *socket = request->api->socket;
    const struct client *client = request->client;
    int err =
        frames_send_copy(socket, client->address, client->address_len, true);

    if (!err && request->has_delimiter)
        err = frames_send_copy(socket, "", 0, true);
    if (!err)
        err = frames_send_copy(socket, data, len, false);
    if (err) // gone, or it does not read: it will ask again
        log_debug("client.unreachable", "request=%" PRIu64 " error=%d",
                  request->id, err);
}

void
api_reply_raw(struct request **request, unsigned char *data, size_t len)
{
    send_reply(*request, data, len);
    request_free(request);
}

void
api_reply(struct request **request, Urlsum__V1__Reply *reply)
{
    size_t len;
    unsigned char *data;

    reply->id = (*request)->id;
    len = urlsum__v1__reply__get_packed_size(reply);
    data = malloc(len + 1);
    if (data) {
        (void)urlsum__v1__reply__pack(reply, data);
        send_reply(*request, data, len);
    }
    free(data);
    request_free(request);
}

void
api_reply_error(struct request **request, Urlsum__V1__Error__Code code,
                const char *text)
{
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Error error = URLSUM__V1__ERROR__INIT;

    log_debug("client.refused", "request=%" PRIu64 " code=%d why=\"%s\"",
              (*request)->id, (int)code, text);
    error.code = code;
    error.text = (char *)text;
    reply.what_case = URLSUM__V1__REPLY__WHAT_ERROR;
    reply.error = &error;
    api_reply(request, &reply);
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
    if (!batch || batch->is_finished)
        return true;
    // A status waits for the end alone.
    return request->message->what_case == URLSUM__V1__REQUEST__WHAT_RESULTS &&
           batch->landed != request->seen_landed;
}

void
api_flush(struct api *api)
{
    uint64_t now_ms = loop_now_ms(api->broker->loop);
    struct request *request, *next;

    if (!api->has_news && now_ms < api->next_deadline_ms)
        return;
    api->has_news = false;
    api->next_deadline_ms = UINT64_MAX;
    DL_FOREACH_SAFE(api->parked, request, next)
    {
        if (is_due(api, request, now_ms)) {
            DL_DELETE(api->parked, request);
            api_run(request);
        } else if (request->deadline_ms < api->next_deadline_ms) {
            api->next_deadline_ms = request->deadline_ms;
        }
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
    request->arena = arena_new();
    if (!request->client || !request->arena)
        request_free(&request);
    return request;
}

bool
api_on_message(struct api *api)
{
    struct frames frames;
    struct request *request = NULL;
    zmq_msg_t *frame;
    int received = frames_recv(api->socket, &frames);

    if (received && received != -EMSGSIZE)
        return false;
    if (api->requests_len >= API_REQUESTS_MAX) {
        log_warn("client.too_many", "requests=%zu", api->requests_len);
        goto out;
    }
    request = request_new(api, &frames);
    if (!request)
        goto out;
    request->has_delimiter =
        frames.len == 3 && zmq_msg_size(&frames.parts[1]) == 0;
    if (received || frames.len != (request->has_delimiter ? 3 : 2)) {
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__BAD_REQUEST,
                        "a request is one frame");
        goto out;
    }
    frame = &frames.parts[frames.len - 1];
    request->bytes = zmq_msg_size(frame);
    api->pending_bytes += request->bytes;
    request->message = urlsum__v1__request__unpack(
        &request->arena->allocator, request->bytes, zmq_msg_data(frame));
    if (!request->message) {
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__BAD_REQUEST,
                        "the frame is no urlsum.v1.Request");
        goto out;
    }
    request->id = request->message->id;
    if (request->client->unanswered > API_UNANSWERED_MAX)
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__TOO_LARGE,
                        "more than 16 requests without an answer");
    else if (api->pending_bytes > API_PENDING_BYTES_MAX)
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__UNAVAILABLE,
                        "too many submissions at once; try again");
    else if (request->message->version != 1)
        api_reply_error(&request, URLSUM__V1__ERROR__CODE__VERSION,
                        "this broker speaks version 1 of the client API");
    else
        api_run(request);
out:
    frames_close(&frames);
    return true;
}

int
api_new(struct broker *broker, void *socket, struct api **out_api)
{
    struct api *api = calloc(1, sizeof(*api));

    if (!api)
        return -ENOMEM;
    api->broker = broker;
    api->socket = socket;
    api->next_deadline_ms = UINT64_MAX;
    *out_api = api;
    return 0;
}

void
api_free(struct api **api)
{
    struct request *request, *next;

    if (!*api)
        return;
    DL_FOREACH_SAFE((*api)->parked, request, next)
    {
        DL_DELETE((*api)->parked, request);
        request_free(&request);
    }
    free(*api);
    *api = NULL;
}
