// SHA512_Update() goes on from a chaining value of ours, which EVP cannot.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "hasher/sha512_batch.h"

#include "hasher/sha512_x8.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 128
#define LANES 8
// Eight lanes take as long for one body as for eight: about as long as OpenSSL
// takes for three.
#define FEW_LANES 3
// Pieces noted before they are digested in any case.
#define PIECES_MAX 2048
// Streams kept for the next bodies; 512 bytes each.
#define SPARES_MAX 1024

struct piece {
    const unsigned char *at;
    size_t len;
    struct piece *next;
};

struct sha512_stream {
    struct sha512_batch *batch;
    struct sha512_stream *next; // in the batch's work, or among the spares
    bool is_listed;             // in the work
    bool is_final, is_padded, is_dropped;
    unsigned char *out_digest;
    struct piece *first, *last; // noted, not digested
    uint64_t words[8];          // the chaining value
    uint64_t total;             // bytes digested or in rest
    size_t rest_len;
    unsigned char rest[2 * BLOCK]; // less than a block, or the padded end
};

// What a lane works on.
struct batch_lane {
    struct sha512_stream *stream;
    const unsigned char *at;
    size_t blocks;
};

struct sha512_batch {
    struct sha512_stream *work, **work_tail;
    struct sha512_stream *spares;
    size_t spares_len;
    struct piece pieces[PIECES_MAX];
    size_t pieces_len;
    struct batch_lane lanes[LANES];
    uint64_t words[8][LANES]; // of the streams in the lanes
    uint64_t first_words[8];  // of every body: FIPS 180-4, 5.3.5
};

bool
sha512_batch_is_available(void)
{
    return sha512_x8_is_available();
}

int
sha512_batch_new(struct sha512_batch **out_batch)
{
    struct sha512_batch *batch = calloc(1, sizeof(*batch));
    SHA512_CTX start;

    if (!batch)
        return -ENOMEM;
    (void)SHA512_Init(&start);
    memcpy(batch->first_words, start.h, sizeof(batch->first_words));
    batch->work_tail = &batch->work;
    *out_batch = batch;
    return 0;
}

void
sha512_batch_free(struct sha512_batch **batch)
{
    struct sha512_stream *stream;

    if (!*batch)
        return;
    assert(!(*batch)->work);
    while ((stream = (*batch)->spares) != NULL) {
        (*batch)->spares = stream->next;
        free(stream);
    }
    free(*batch);
    *batch = NULL;
}

struct sha512_stream *
sha512_stream_new(struct sha512_batch *batch)
{
    struct sha512_stream *stream = batch->spares;

    if (stream) {
        batch->spares = stream->next;
        batch->spares_len--;
    } else {
        stream = malloc(sizeof(*stream));
        if (!stream)
            return NULL;
    }
    // Not the rest: it is written before it is read.
    memset(stream, 0, offsetof(struct sha512_stream, rest));
    stream->batch = batch;
    memcpy(stream->words, batch->first_words, sizeof(stream->words));
    return stream;
}

static void
recycle(struct sha512_stream *stream)
{
    struct sha512_batch *batch = stream->batch;

    if (batch->spares_len == SPARES_MAX) {
        free(stream);
        return;
    }
    stream->next = batch->spares;
    batch->spares = stream;
    batch->spares_len++;
}

static void
list(struct sha512_stream *stream)
{
    struct sha512_batch *batch = stream->batch;

    if (stream->is_listed)
        return;
    stream->is_listed = true;
    stream->next = NULL;
    *batch->work_tail = stream;
    batch->work_tail = &stream->next;
}

void
sha512_stream_update(struct sha512_stream *stream, const void *data, size_t len)
{
    struct sha512_batch *batch = stream->batch;
    struct piece *piece;

    if (len == 0)
        return;
    if (batch->pieces_len == PIECES_MAX)
        sha512_batch_flush(batch);
    piece = &batch->pieces[batch->pieces_len++];
    *piece = (struct piece){.at = data, .len = len};
    if (stream->first)
        stream->last->next = piece;
    else
        stream->first = piece;
    stream->last = piece;
    list(stream);
}

void
sha512_stream_final(struct sha512_stream **stream, unsigned char *out_digest)
{
    (*stream)->is_final = true;
    (*stream)->out_digest = out_digest;
    list(*stream);
    *stream = NULL;
}

void
sha512_stream_drop(struct sha512_stream **stream)
{
    struct sha512_stream *it = *stream;

    *stream = NULL;
    if (!it)
        return;
    if (!it->is_listed) {
        recycle(it);
        return;
    }
    // The flush passes it by; its pieces may be gone by then.
    it->is_dropped = true;
    it->first = NULL;
}

// --- The flush ---

// Moves bytes of the first piece into the rest, at most up to a full block.
static void
fill_rest(struct sha512_stream *stream)
{
    struct piece *piece = stream->first;
    size_t part = BLOCK - stream->rest_len;

    if (part > piece->len)
        part = piece->len;
    memcpy(stream->rest + stream->rest_len, piece->at, part);
    stream->rest_len += part;
    stream->total += part;
    piece->at += part;
    piece->len -= part;
    if (!piece->len)
        stream->first = piece->next;
}

// FIPS 180-4, 5.1.2: a bit, zeros, and the length in bits as 128-bit number.
// Returns the blocks that makes.
static size_t
pad(struct sha512_stream *stream)
{
    size_t end = stream->rest_len < BLOCK - 16 ? BLOCK : 2 * BLOCK;
    uint64_t high = stream->total >> 61, low = stream->total << 3;

    memset(stream->rest + stream->rest_len, 0, end - stream->rest_len);
    stream->rest[stream->rest_len] = 0x80;
    for (size_t i = 0; i < 8; i++) {
        stream->rest[end - 1 - i] = (unsigned char)(low >> 8 * i);
        stream->rest[end - 9 - i] = (unsigned char)(high >> 8 * i);
    }
    stream->is_padded = true;
    return end / BLOCK;
}

// The next blocks of a stream. Returns false when there are none for now.
static bool
next_blocks(struct sha512_stream *stream, struct batch_lane *lane)
{
    if (stream->rest_len == BLOCK)
        stream->rest_len = 0; // was what the lane did last
    while (stream->first) {
        struct piece *piece = stream->first;

        if (stream->rest_len == 0 && piece->len >= BLOCK) {
            lane->at = piece->at;
            lane->blocks = piece->len / BLOCK;
            stream->total += lane->blocks * BLOCK;
            piece->at += lane->blocks * BLOCK;
            piece->len -= lane->blocks * BLOCK;
            if (!piece->len)
                stream->first = piece->next;
            return true;
        }
        fill_rest(stream);
        if (stream->rest_len == BLOCK) {
            lane->at = stream->rest;
            lane->blocks = 1;
            return true;
        }
    }
    if (!stream->is_final || stream->is_padded)
        return false;
    lane->blocks = pad(stream);
    lane->at = stream->rest;
    return true;
}

static void
write_digest(const struct sha512_stream *stream)
{
    for (size_t i = 0; i < 64; i++)
        stream->out_digest[i] =
            (unsigned char)(stream->words[i / 8] >> (56 - 8 * (i % 8)));
}

// Nothing more is to be done for the stream in this flush.
static void
leave(struct sha512_stream *stream)
{
    stream->is_listed = false;
    if (stream->is_padded && !stream->is_dropped)
        write_digest(stream);
    if (stream->is_final || stream->is_dropped)
        recycle(stream);
}

static struct sha512_stream *
take_work(struct sha512_batch *batch)
{
    struct sha512_stream *stream = batch->work;

    if (!stream)
        return NULL;
    batch->work = stream->next;
    if (!batch->work)
        batch->work_tail = &batch->work;
    return stream;
}

// Puts work into an idle lane. Returns false when there is none.
static bool
fill_lane(struct sha512_batch *batch, size_t i)
{
    struct batch_lane *lane = &batch->lanes[i];
    struct sha512_stream *stream;

    while ((stream = take_work(batch)) != NULL) {
        if (stream->is_dropped || !next_blocks(stream, lane)) {
            leave(stream);
            continue;
        }
        lane->stream = stream;
        for (size_t word = 0; word < 8; word++)
            batch->words[word][i] = stream->words[word];
        return true;
    }
    return false;
}

// The lane's blocks are done: the same stream's next ones, or an idle lane.
static void
refill_lane(struct sha512_batch *batch, size_t i)
{
    struct batch_lane *lane = &batch->lanes[i];

    if (next_blocks(lane->stream, lane))
        return;
    for (size_t word = 0; word < 8; word++)
        lane->stream->words[word] = batch->words[word][i];
    leave(lane->stream);
    lane->stream = NULL;
}

// Few bodies: each by itself.
static void
run_one(struct sha512_batch *batch, size_t i)
{
    struct batch_lane *lane = &batch->lanes[i];
    SHA512_CTX one;

    (void)SHA512_Init(&one);
    for (size_t word = 0; word < 8; word++)
        one.h[word] = batch->words[word][i];
    (void)SHA512_Update(&one, lane->at, lane->blocks * BLOCK);
    for (size_t word = 0; word < 8; word++)
        batch->words[word][i] = one.h[word];
    lane->blocks = 0;
}

// As many blocks as the shortest lane has, in all lanes. Idle lanes read what
// another one reads; nobody looks at what becomes of it.
static void
run_all(struct sha512_batch *batch, const unsigned char *spare)
{
    const unsigned char *data[LANES];
    size_t blocks = SIZE_MAX;

    for (size_t i = 0; i < LANES; i++) {
        const struct batch_lane *lane = &batch->lanes[i];

        data[i] = lane->stream ? lane->at : spare;
        if (lane->stream && lane->blocks < blocks)
            blocks = lane->blocks;
    }
    // An idle lane's bytes must be there for as long.
    sha512_x8_blocks(batch->words, data, blocks);
    for (size_t i = 0; i < LANES; i++) {
        if (!batch->lanes[i].stream)
            continue;
        batch->lanes[i].at += blocks * BLOCK;
        batch->lanes[i].blocks -= blocks;
    }
}

void
sha512_batch_flush(struct sha512_batch *batch)
{
    for (;;) {
        const unsigned char *spare = NULL;
        size_t busy = 0;

        for (size_t i = 0; i < LANES; i++) {
            if (batch->lanes[i].stream || fill_lane(batch, i)) {
                spare = batch->lanes[i].at;
                busy++;
            }
        }
        if (!busy)
            break;
        if (busy >= FEW_LANES)
            run_all(batch, spare);
        for (size_t i = 0; i < LANES; i++) {
            if (!batch->lanes[i].stream)
                continue;
            if (busy < FEW_LANES)
                run_one(batch, i);
            if (!batch->lanes[i].blocks)
                refill_lane(batch, i);
        }
    }
    batch->pieces_len = 0;
}
