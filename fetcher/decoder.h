// decoder.h - a body's Content-Encoding undone, piece by piece
//
// libcurl could do it, but says nothing of an encoding that breaks off, and
// keeps all that a paused transfer's bytes unpack to: up to 64 MiB. Here a
// piece is decoded when there is room for it, and the end must be there. gzip
// (also of several members) and deflate: their windows are 32 KiB, whereas
// zstd's may have 8 MiB and br's 16, for each transfer. Loop thread only.
#ifndef FETCHER_DECODER_H
#define FETCHER_DECODER_H
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct decoder;

// What is asked for, as a header line.
#define DECODER_ACCEPT "Accept-Encoding: gzip, deflate"

// Bytes that come out at a time.
#define DECODER_BYTES_MAX ((size_t)16 * 1024)

// encoding: a Content-Encoding, not identity. Returns 0, -ENOMEM, or -ENOTSUP
// for one that is not known. The caller owns *out_decoder.
int decoder_new(struct wire_bytes encoding, struct decoder **out_decoder);
// NULL is fine.
void decoder_free(struct decoder **decoder);

// Decodes until what came out fills its room or all bytes are taken. What came
// out before must have been taken. Returns 0, or -EBADMSG for bytes that cannot
// be the encoding.
int decoder_run(struct decoder *decoder, const char *data, size_t len,
                size_t *out_used);

// What came out and was not taken, and that it was.
struct wire_bytes decoder_peek(const struct decoder *decoder);
void decoder_take(struct decoder *decoder);

// More may come out without further bytes.
bool decoder_has_more(const struct decoder *decoder);

// The encoding has come to its end, or never began.
bool decoder_is_whole(const struct decoder *decoder);

#endif
