// api_reply.c - answers: made into frames, and handed to libzmq
#include "broker/api.h"
#include "broker/api_private.h"
#include "broker/outbound.h"
#include "broker/state.h"
#include "common/fault.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"

#include <stdlib.h>

// Replies up to this are copied and not counted: libzmq's queue bounds them.
#define REPLY_SMALL_MAX ((size_t)4 * 1024)

size_t
api_page_bytes(const struct api *api)
{
    size_t unread = outbound_bytes(api->outbound);
    size_t room = unread < API_UNREAD_MAX ? (API_UNREAD_MAX - unread) / 16 : 0;

    if (room > RESULTS_BYTES_MAX)
        return RESULTS_BYTES_MAX;
    return room < API_PAGE_BYTES_MIN ? API_PAGE_BYTES_MIN : room;
}

static int
send_head(struct request *request)
{
    void *socket = request->api->socket;
    const struct client *client = request->client;
    int err =
        frames_send_copy(socket, client->address, client->address_len, true);

    if (!err && request->has_delimiter)
        err = frames_send_copy(socket, "", 0, true);
    return err;
}

static int
send_small(struct request *request, const unsigned char *data, size_t len)
{
    int err = send_head(request);

    return err ? err : frames_send_copy(request->api->socket, data, len, false);
}

int
api_send_no_memory(struct request *request)
{
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Error error = URLSUM__V1__ERROR__INIT;
    unsigned char data[64];

    error.code = URLSUM__V1__ERROR__CODE__UNAVAILABLE;
    error.text = (char *)"out of memory";
    reply.id = request->id;
    reply.what_case = URLSUM__V1__REPLY__WHAT_ERROR;
    reply.error = &error;
    return send_small(request, data, urlsum__v1__reply__pack(&reply, data));
}

// Takes data; NULL: there was no memory for it.
static void
send_reply(struct request *request, unsigned char *data, size_t len)
{
    void *socket = request->api->socket;
    zmq_msg_t frame;
    int err = 0;

    fault_before_reply();
    if (!data) {
        err = api_send_no_memory(request);
    } else if (len <= REPLY_SMALL_MAX) {
        err = send_small(request, data, len);
        free(data);
    } else {
        err = outbound_wrap(request->api->outbound, request->client->unread,
                            data, len, &frame);
        if (!err) {
            request->client->unread_since_ms =
                loop_now_ms(request->api->broker->loop);
            err = send_head(request);
            if (!err)
                err = frames_send_take(socket, &frame, false);
            (void)zmq_msg_close(&frame); // empty once it is sent
        } else {
            err = api_send_no_memory(request);
        }
    }
    fault_after_reply();
    if (err) // gone, or it does not read: it will ask again
        log_debug("client.unreachable", "request=%" PRIu64 " error=%d",
                  request->id, err);
}

void
api_reply_raw(struct request **request, unsigned char **data, size_t len)
{
    send_reply(*request, *data, len);
    *data = NULL;
    api_request_free(request);
}

void
api_reply(struct request **request, Urlsum__V1__Reply *reply)
{
    size_t len;
    unsigned char *data;

    reply->id = (*request)->id;
    len = urlsum__v1__reply__get_packed_size(reply);
    data = malloc(len + 1);
    if (data)
        (void)urlsum__v1__reply__pack(reply, data);
    send_reply(*request, data, len);
    api_request_free(request);
}

void
api_reply_error(struct request **request, Urlsum__V1__Error__Code code,
                const char *text)
{
    Urlsum__V1__Reply reply = URLSUM__V1__REPLY__INIT;
    Urlsum__V1__Error error = URLSUM__V1__ERROR__INIT;

    metrics_add(&(*request)->api->broker->stats.requests_refused, 1);
    log_debug("client.refused", "request=%" PRIu64 " code=%d why=\"%s\"",
              (*request)->id, (int)code, text);
    error.code = code;
    error.text = (char *)text;
    reply.what_case = URLSUM__V1__REPLY__WHAT_ERROR;
    reply.error = &error;
    api_reply(request, &reply);
}
