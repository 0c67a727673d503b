// fuzz_wire.c - heads of the worker protocol from strangers
//
// What decodes is encoded again, and must decode to the same: so the decoder
// accepts nothing that the encoder's assertions refuse, and both agree about
// every field.
#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

// libFuzzer knows it by its name.
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static struct wire_decoder *decoder;
static struct wire_buf *buf, *again;

static void
require(bool is_true)
{
    if (!is_true)
        abort();
}

static void
encode(const struct wire_message *message, struct wire_buf *to)
{
    char text[WIRE_TEXT_MAX + 1];

    switch (message->kind) {
    case WIRE_HELLO:
        wire_put_hello(to, message->hello);
        return;
    case WIRE_WELCOME:
        wire_put_welcome(to, &message->welcome);
        return;
    case WIRE_PING:
        wire_put_ping(to, message->ping_ttl_ms);
        return;
    case WIRE_PONG:
        wire_put_pong(to, message->pong.load, message->pong.items,
                      message->pong.len);
        return;
    case WIRE_JOBS:
        wire_put_jobs(to, &message->jobs.request, message->jobs.jobs,
                      message->jobs.len);
        return;
    case WIRE_BODY:
        wire_put_body(to, message->body.segments, message->body.len);
        return;
    case WIRE_FETCHED:
        wire_put_fetched(to, message->fetched.items, message->fetched.len);
        return;
    case WIRE_HASH:
        wire_put_hash(to, message->body.suites, message->body.suites_len,
                      message->body.segments, message->body.len);
        return;
    case WIRE_DIGESTS:
        wire_put_digests(to, message->digests.taken, message->digests.items,
                         message->digests.len);
        return;
    case WIRE_CREDIT:
        wire_put_credit(to, message->credit.bytes, message->credit.items,
                        message->credit.len);
        return;
    case WIRE_ABORT:
        wire_put_abort(to, message->abort.items, message->abort.len);
        return;
    case WIRE_SUITE:
        wire_put_suite(to, message->suite.items, message->suite.len);
        return;
    case WIRE_PROFILE:
        wire_put_profile(to, message->profile.place, message->profile.profile);
        return;
    case WIRE_CONNECTED:
        wire_put_connected(to, message->connected.items,
                           message->connected.len);
        return;
    case WIRE_PAUSE:
        wire_put_pause(to, message->pause.reason, message->pause.items,
                       message->pause.len);
        return;
    case WIRE_BYE:
        wire_put_bye(to, message->bye_is_final != 0);
        return;
    case WIRE_ERROR:
        memcpy(text, message->error.text.at, message->error.text.len);
        text[message->error.text.len] = 0;
        wire_put_error(to, message->error.code, text);
        return;
    case WIRE_KIND_COUNT:
        abort();
    }
    abort(); // a kind that the decoder must not let pass
}

// Sizes that messages promise to receivers.
static void
check(const struct wire_message *message)
{
    uint64_t bytes = 0;

    if (message->kind == WIRE_FETCHED) {
        for (size_t i = 0; i < message->fetched.len; i++)
            bytes += wire_fetched_bytes(&message->fetched.items[i]);
        require(wire_buf_len(buf) <= bytes + 16);
    }
    if (message->kind != WIRE_BODY && message->kind != WIRE_HASH)
        return;
    for (size_t i = 0; i < message->body.len; i++)
        bytes += message->body.segments[i].length;
    require(bytes == message->body.bytes && bytes <= WIRE_BODY_BYTES_MAX);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
    struct wire_message message;

    if (!decoder)
        require(!wire_decoder_new(&decoder) && !wire_buf_new(&buf) &&
                !wire_buf_new(&again));
    if (wire_decode(decoder, data, len, &message)) {
        require(strlen(wire_decoder_error(decoder)) > 0);
        return 0;
    }
    encode(&message, buf);
    check(&message);
    // The canonical form is never longer than what came.
    require(wire_buf_error(buf) == 0 && wire_buf_len(buf) <= len);
    require(
        !wire_decode(decoder, wire_buf_data(buf), wire_buf_len(buf), &message));
    encode(&message, again);
    require(wire_buf_len(again) == wire_buf_len(buf) &&
            memcmp(wire_buf_data(again), wire_buf_data(buf),
                   wire_buf_len(buf)) == 0);
    return 0;
}
