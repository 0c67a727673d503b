#include "fetcher/receive.h"

#include "common/limits.h"
#include "fetcher/apart.h"
#include "fetcher/fetch_stats.h"
#include "fetcher/framing.h"
#include "fetcher/outbox.h"
#include "fetcher/outcome.h"
#include "fetcher/sharing.h"
#include "fetcher/tls.h"
#include "fetcher/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// An error page of at most so many bytes is read to its end, so that its
// connection can be used again; a longer one costs more than a new connection.
#define DISCARD_MAX (64 * 1024)
// An encoded body may have so many times the bytes of --max-filesize, and some:
// servers that flush after every few bytes make much of little.
#define ENCODED_FACTOR 4
#define ENCODED_EXTRA ((uint64_t)64 * 1024)
// Bytes of a Location header: whatever it builds on, the URL would be too long.
#define LOCATION_MAX URL_BYTES_MAX

void
receive_stop(struct transfer *transfer, enum fail fail, const char *why)
{
    transfer->stopped = fail;
    (void)snprintf(transfer->error, sizeof(transfer->error), "%s", why);
}

// Inside a callback: libcurl writes a message of its own over ours.
static void
give_up(struct transfer *transfer, enum fail fail, const char *why)
{
    transfer->stopped = fail;
    transfer->why = why;
}

// --- The header ---

static void
forget_answer(struct transfer *transfer)
{
    answer_reset(&transfer->answer);
    transfer->location_len = 0;
    transfer->is_headed = false;
    transfer->is_watched = false;
    transfer->is_declaring = false;
}

void
receive_reset(struct transfer *transfer)
{
    forget_answer(transfer);
    transfer->status = 0;
    transfer->step = RESUME_GO_ON;
    transfer->expected = UINT64_MAX;
    transfer->discarded = 0;
    transfer->header_bytes = 0;
    transfer->header_lines = 0;
    transfer->is_answered = false;
    transfer->is_doubtful = false;
    transfer->is_crowded = false;
    transfer->stopped = FAIL_OK;
    transfer->code = CURLE_OK;
    transfer->error[0] = '\0';
    transfer->why = NULL;
}

static void
keep_location(struct transfer *transfer, struct wire_bytes value)
{
    if (transfer->location_len || !value.len || value.len > LOCATION_MAX)
        return; // the first one counts; left out, not cut
    if (value.len > transfer->location_room) {
        char *grown = realloc(transfer->location, value.len);

        if (!grown)
            return; // a redirect that leads nowhere is an error, and ends so
        transfer->location = grown;
        transfer->location_room = value.len;
    }
    memcpy(transfer->location, value.at, value.len);
    transfer->location_len = value.len;
}

// "HTTP/1.1 200 OK", "HTTP/2 200": the first line, also of an interim answer.
// False ends the transfer.
static bool
on_status_line(struct transfer *transfer, const char *line, size_t len)
{
    const char *blank = memchr(line, ' ', len);
    size_t at = blank ? (size_t)(blank - line) : len;

    forget_answer(transfer);
    transfer->convoy.is_alone = !transfer->is_multiplexed;
    // A success but a 206: what it declares is of the whole.
    transfer->is_declaring = at + 3 < len && line[at + 1] == '2' &&
                             memcmp(line + at + 2, "06", 2) != 0;
    if (transfer->is_declaring && transfer->declared)
        transfer->declared->len = 0;
    // libcurl (7.88) believes it, and would share the connection.
    if (line[5] >= '2' && !transfer->is_multiplexed)
        give_up(transfer, FAIL_PROTOCOL,
                "an answer of HTTP/2 on a connection of HTTP/1.1");
    return transfer->stopped == FAIL_OK;
}

static void
on_declaring_field(struct transfer *transfer, struct wire_bytes name,
                   struct wire_bytes value)
{
    if (!digest_fields_is_one(name))
        return;
    if (!transfer->declared)
        transfer->declared = calloc(1, sizeof(*transfer->declared));
    if (transfer->declared) // else the record says less
        digest_fields_add(transfer->declared, name, value,
                          transfer->is_answered);
}

// Whether the line may be one of a header; stops the transfer if not.
static bool
takes_line(struct transfer *transfer, const char *line, size_t len)
{
    transfer->header_bytes += len;
    if (transfer->header_bytes > HEADER_BYTES_MAX)
        give_up(transfer, FAIL_PROTOCOL, "a header of more than 256 KiB");
    else if (++transfer->header_lines > HEADER_LINES_MAX)
        give_up(transfer, FAIL_PROTOCOL, "a header of more than 2000 lines");
    else if (memchr(line, '\0', len))
        give_up(transfer, FAIL_PROTOCOL, "a NUL byte in the header");
    else
        return true;
    return false;
}

static void
on_header_end(struct transfer *transfer)
{
    long status = 0, version = 0;

    transfer->is_headed = true;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    sharing_on_header(transfer, (int)status);
    if (answer_get(&transfer->answer, ANSWER_CONTENT_LENGTH).at ||
        answer_get(&transfer->answer, ANSWER_TRANSFER_ENCODING).at)
        return;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
    // Else the connection has no end here, and may be of use to others.
    if (status >= 200 && status != 204 && status != 304 &&
        (version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1))
        transfer->is_watched =
            tls_watch_end(transfer->easy, &transfer->is_announced);
}

// False ends the transfer.
static bool
on_line(struct transfer *transfer, const char *line, size_t len)
{
    struct wire_bytes name, value;

    if (!takes_line(transfer, line, len))
        return false;
    // Once the answer was looked at only trailers come.
    if (!transfer->is_answered && len > 5 && strncasecmp(line, "HTTP/", 5) == 0)
        return on_status_line(transfer, line, len);
    if (!transfer->is_answered && (*line == ' ' || *line == '\t'))
        answer_add_folded(&transfer->answer);
    else if (!transfer->is_answered && (*line == '\r' || *line == '\n'))
        on_header_end(transfer); // not that of trailers
    if (!answer_split(line, len, &name, &value))
        return true;
    if (transfer->is_declaring)
        on_declaring_field(transfer, name, value);
    if (transfer->is_answered)
        return true;
    if (answer_is(name, "location"))
        keep_location(transfer, value);
    else
        answer_add(&transfer->answer, name, value);
    return true;
}

size_t
receive_header(char *lines, size_t size, size_t len, void *arg)
{
    const char *line = lines, *end = lines + len;

    (void)size; // always 1
    // One line, but of a transfer that was paused all that came meanwhile.
    while (line < end) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        const char *next = feed ? feed + 1 : end;

        if (!on_line(arg, line, (size_t)(next - line)))
            return 0;
        line = next;
    }
    return len;
}

// --- The answer ---

int
receive_restart(struct transfer *transfer)
{
    uint64_t unsent = 0;
    int err = body_restart(&transfer->body, &unsent);

    transfer->env->return_credit(transfer->env->arg, transfer, unsent);
    return err;
}

// Tells which algorithms the declared digests need beside the batch's. What has
// left of the body had its suite.
static void
want_declared(struct transfer *transfer)
{
    struct wire_suite item = {.job = transfer->job,
                              .attempt = transfer->attempt};
    const struct digest_fields *fields = transfer->declared;

    if (!transfer->set.want_digest || !fields || transfer->body.has_left)
        return;
    for (size_t i = 0; i < fields->len; i++) {
        enum declared_algorithm algorithm = fields->items[i].algorithm;
        const char *name = declared_algorithm_name(algorithm);

        if (declared_is_computed(algorithm) && !fields->items[i].is_other &&
            item.algorithms_len < WIRE_ALGORITHMS_MAX)
            item.algorithms[item.algorithms_len++] =
                (struct wire_bytes){name, strlen(name)};
    }
    if (item.algorithms_len &&
        outbox_add_suite(transfer->env->sink->outbox, &item) != 0)
        give_up(transfer, FAIL_INTERNAL, "out of memory");
}

// Whether it is certain where the answer's body ends; stops the transfer if
// not.
static bool
is_framed(struct transfer *transfer)
{
    const char *fault = transfer->is_headed ? framing_fault(&transfer->answer)
                                            : "its header has no end";

    if (fault)
        give_up(transfer, FAIL_PROTOCOL, fault);
    return !fault;
}

// Whether the body of an answer that is no 2xx is wanted. Where a redirect
// leads is, and not what it says; a part was not asked for.
static bool
is_status_wanted(const struct transfer *transfer, int status)
{
    uint64_t any_status = transfer->set.any_status;

    if (any_status == WIRE_UNSET || any_status == WIRE_ANY_STATUS_NO ||
        status < 200 || status == 206 ||
        (redirect_is_status(status) && transfer->location_len))
        return false;
    return any_status == WIRE_ANY_STATUS_ALL ||
           !fail_is_soft(FAIL_HTTP, status);
}

// Makes a decoder if the body is encoded and wanted otherwise. Returns false
// when that cannot be: the transfer knows then.
static bool
begin_decoding(struct transfer *transfer)
{
    struct wire_bytes encoding =
        answer_get(&transfer->answer, ANSWER_CONTENT_ENCODING);
    int err;

    decoder_free(&transfer->decoder);
    transfer->skip = 0;
    transfer->decoded_bytes = 0;
    if (!transfer->profile || !transfer->profile->is_compressed ||
        !encoding.at || answer_is(encoding, "identity"))
        return true;
    err = decoder_new(encoding, &transfer->decoder);
    if (err == -ENOMEM)
        give_up(transfer, FAIL_INTERNAL, "out of memory");
    else if (err)
        give_up(transfer, FAIL_PROTOCOL,
                "a Content-Encoding that --compressed did not ask for");
    return !err;
}

bool
receive_is_doubtful(struct transfer *transfer, uint64_t length)
{
    if (!transfer->env->apart || !transfer->is_multiplexed ||
        length != UINT64_MAX)
        return false;
    apart_add(transfer->env->apart, transfer->origin);
    return convoy_is_shared(&transfer->convoy);
}

// Whether so many bytes are more than may come for a body within
// --max-filesize. An encoding may make it longer, and endless without a byte of
// it: by blocks of nothing.
static bool
is_beyond(const struct transfer *transfer, uint64_t bytes)
{
    uint64_t most = transfer->set.max_filesize;

    if (!most)
        return false;
    return transfer->decoder
               ? bytes / ENCODED_FACTOR > most + ENCODED_EXTRA / ENCODED_FACTOR
               : bytes > most;
}

// The body begins with this answer, if it is one that we want.
static void
begin_whole(struct transfer *transfer, const struct resume_answer *answer)
{
    struct answer other = transfer->whole;
    struct wire_bytes stored =
        answer_get(&transfer->answer, ANSWER_STORED_ENCODING);

    transfer->is_any_status = is_status_wanted(transfer, answer->status);
    transfer->stopped =
        outcome(&(struct outcome_of){.http_status = answer->status,
                                     .is_any_status = transfer->is_any_status});
    if (transfer->stopped != FAIL_OK || !is_framed(transfer))
        return;
    if (receive_is_doubtful(transfer, answer->length)) {
        transfer->is_doubtful = true;
        give_up(transfer, FAIL_CUT, NULL);
        return;
    }
    if (!begin_decoding(transfer))
        return;
    if (answer->length != UINT64_MAX && is_beyond(transfer, answer->length)) {
        transfer->stopped = FAIL_TOO_LARGE;
        return;
    }
    transfer->is_measured = answer->length != UINT64_MAX;
    if (transfer->decoder)
        transfer->expected = UINT64_MAX; // what is told is of encoded bytes
    resume_on_whole(&transfer->resume, answer, !transfer->decoder);
    if (transfer->set.no_resume)
        transfer->resume.is_possible = false;
    if (transfer->declared)
        digest_fields_mark(
            transfer->declared, transfer->decoder != NULL,
            stored.at && !answer_is(stored, "identity") &&
                !answer_get(&transfer->answer, ANSWER_CONTENT_ENCODING).at);
    want_declared(transfer);
    transfer->is_begun = true;
    // Its fields stay, whatever further answers say.
    transfer->whole = transfer->answer;
    transfer->answer = other;
    answer_reset(&transfer->answer);
}

static void
judge_partial(struct transfer *transfer, const struct resume_answer *answer)
{
    const char *why = NULL;

    if (answer->status == 206 && !is_framed(transfer))
        return;
    transfer->step =
        resume_judge(&transfer->resume, answer, transfer->body.size, &why);
    switch (transfer->step) {
    case RESUME_GO_ON:
        transfer->expected = transfer->resume.total;
        transfer->status = 200; // as a part of that answer
        return;
    case RESUME_REPLACE:
        if (receive_restart(transfer) != 0)
            give_up(transfer, FAIL_INTERNAL, "out of memory");
        else
            begin_whole(transfer, answer);
        return;
    case RESUME_COMPLETE:
        transfer->status = 200;
        give_up(transfer, FAIL_CUT, NULL); // its own body is thrown away
        return;
    case RESUME_ASK_ANEW:
    case RESUME_FAIL_CUT:
        give_up(transfer, FAIL_CUT, why);
        return;
    case RESUME_FAIL_HTTP:
        transfer->stopped = FAIL_HTTP;
        return;
    }
}

// Once an answer: at the first byte of its body, or at its end.
static void
look_at_answer(struct transfer *transfer)
{
    curl_off_t length = -1;
    struct resume_answer answer = {.fields = &transfer->answer};
    long status = 0;

    transfer->is_answered = true;
    transfer->tls_version = tls_version(transfer->easy);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                            &length);
    transfer->status = answer.status = (int)status;
    transfer->expected = answer.length =
        length < 0 ? UINT64_MAX : (uint64_t)length;
    if (transfer->resume.is_range)
        judge_partial(transfer, &answer);
    else
        begin_whole(transfer, &answer);
}

// An end that libcurl has believed, and we do not.
static void
end_cut(struct transfer *transfer, const char *why)
{
    transfer->code = CURLE_PARTIAL_FILE;
    transfer->why = why;
}

// At the end of an answer without a body, or of none.
static void
end_header(struct transfer *transfer)
{
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return; // an interim answer is none
    transfer->status = (int)status;
    if (transfer->stopped != FAIL_OK)
        return; // its header could not be taken
    if (transfer->code == CURLE_OK && !transfer->is_headed)
        end_cut(transfer, "the connection ended within the header");
    else if (transfer->code == CURLE_OK || transfer->resume.is_range)
        look_at_answer(transfer);
}

void
receive_end(struct transfer *transfer)
{
    if (!transfer->is_answered)
        end_header(transfer);
    if (transfer->code == CURLE_OK && transfer->stopped == FAIL_OK &&
        transfer->is_watched && !transfer->is_announced && transfer->is_begun)
        end_cut(transfer, "the connection ended, and TLS had not (no "
                          "close_notify): the body may be cut");
    if (transfer->code == CURLE_OK && transfer->stopped == FAIL_OK &&
        transfer->decoder && !decoder_is_whole(transfer->decoder))
        receive_stop(transfer, FAIL_PROTOCOL, "the encoded body breaks off");
}

// --- The body ---

// Of a body that is not wanted. Fewer bytes than were given end the transfer.
static size_t
discard(struct transfer *transfer, size_t len)
{
    // Where the body ends is not known, or far away.
    if (transfer->stopped == FAIL_TOO_LARGE ||
        transfer->stopped == FAIL_PROTOCOL)
        return 0;
    if (transfer->expected != UINT64_MAX && transfer->expected > DISCARD_MAX)
        return 0;
    transfer->discarded += len;
    return transfer->discarded > DISCARD_MAX ? 0 : len;
}

// Whether the bytes may be the body's; stops the transfer if not.
static bool
fits(struct transfer *transfer, size_t len)
{
    uint64_t size = transfer->body.size + len;

    if (transfer->set.max_filesize && size > transfer->set.max_filesize) {
        transfer->stopped = FAIL_TOO_LARGE;
        return false;
    }
    if (transfer->resume.is_range && size > transfer->resume.end) {
        give_up(transfer, FAIL_CUT, "more bytes than the 206's range has");
        return false;
    }
    return true;
}

// Takes bytes of the body, all of them. Returns len, or what libcurl is to be
// told.
static size_t
take(struct transfer *transfer, const char *data, size_t len)
{
    const struct transfer_env *env = transfer->env;
    uint64_t need;

    if (!fits(transfer, len))
        return 0;
    need = body_need(&transfer->body, len, transfer->expected);
    if (need && !env->take_credit(env->arg, transfer, need)) {
        metrics_add(&env->stats->credit_waits, 1);
        return CURL_WRITEFUNC_PAUSE;
    }
    metrics_add(&env->stats->bytes, len);
    if (body_write(&transfer->body, data, len, transfer->expected) != 0) {
        transfer->stopped = FAIL_INTERNAL;
        return 0;
    }
    return len;
}

// libcurl comes with the same bytes again after a pause, and perhaps more:
// those that the decoder has taken of them are passed over.
static size_t
take_decoded(struct transfer *transfer, const char *data, size_t len)
{
    struct decoder *decoder = transfer->decoder;
    size_t at = transfer->skip;

    do {
        struct wire_bytes out = decoder_peek(decoder);
        size_t taken = out.len ? take(transfer, out.at, out.len) : 0;
        size_t used = 0;
        int err;

        if (taken != out.len) {
            transfer->skip = taken == CURL_WRITEFUNC_PAUSE ? at : 0;
            return taken;
        }
        decoder_take(decoder);
        err = decoder_run(decoder, data + at, len - at, &used);
        at += used;
        transfer->decoded_bytes += used;
        if (is_beyond(transfer, transfer->decoded_bytes)) {
            transfer->stopped = FAIL_TOO_LARGE;
            return 0;
        }
        if (err) {
            give_up(transfer, err == -ENOMEM ? FAIL_INTERNAL : FAIL_PROTOCOL,
                    err == -ENOMEM ? "out of memory"
                                   : "the body is not encoded as it says");
            return 0;
        }
    } while (decoder_peek(decoder).len || at < len ||
             decoder_has_more(decoder));
    transfer->skip = 0;
    return len;
}

size_t
receive_body(char *data, size_t size, size_t len, void *arg)
{
    struct transfer *transfer = arg;
    const struct transfer_env *env = transfer->env;
    size_t taken;

    (void)size; // always 1
    if (len == 0)
        return 0; // libcurl may call so for an empty body; that is success
    if (!env->take_rate(env->arg, transfer, len)) {
        convoy_wait(env->convoys, &transfer->convoy);
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!transfer->is_answered)
        look_at_answer(transfer);
    if (transfer->stopped != FAIL_OK)
        return discard(transfer, len);
    taken = transfer->decoder ? take_decoded(transfer, data, len)
                              : take(transfer, data, len);
    if (taken == CURL_WRITEFUNC_PAUSE) {
        rate_keep(&transfer->rate, len);
        convoy_wait(env->convoys, &transfer->convoy);
    }
    return taken;
}
