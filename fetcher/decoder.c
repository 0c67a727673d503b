#include "fetcher/decoder.h"

#include "fetcher/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

// Window bits, as zlib takes them.
enum { WINDOW_ZLIB = 15, WINDOW_RAW = -15, WINDOW_GZIP = 15 + 16 };

struct decoder {
    z_stream stream;
    bool is_gzip;
    bool has_begun; // the stream is initialised
    bool is_ended;  // ... and has come to its end
    bool is_full;   // there was no room for all that could come out
    size_t len;
    unsigned char out[DECODER_BYTES_MAX];
};

int
decoder_new(struct wire_bytes encoding, struct decoder **out_decoder)
{
    bool is_gzip = answer_is(encoding, "gzip") || answer_is(encoding, "x-gzip");
    struct decoder *decoder;

    if (!is_gzip && !answer_is(encoding, "deflate"))
        return -ENOTSUP;
    decoder = malloc(sizeof(*decoder));
    if (!decoder)
        return -ENOMEM;
    decoder->is_gzip = is_gzip;
    decoder->has_begun = decoder->is_ended = decoder->is_full = false;
    decoder->len = 0;
    *out_decoder = decoder;
    return 0;
}

void
decoder_free(struct decoder **decoder)
{
    if (!*decoder)
        return;
    if ((*decoder)->has_begun)
        (void)inflateEnd(&(*decoder)->stream);
    free(*decoder);
    *decoder = NULL;
}

// What servers call deflate is zlib's format, as it should be, or the bare
// stream: zlib's first byte names its method, 8, which a bare one would begin
// with only for a stored block with odd padding.
static int
begin(struct decoder *decoder, unsigned char first)
{
    int window = decoder->is_gzip         ? WINDOW_GZIP
                 : (first & 0x0f) == 0x08 ? WINDOW_ZLIB
                                          : WINDOW_RAW;

    decoder->stream = (z_stream){.next_in = NULL};
    if (inflateInit2(&decoder->stream, window) != Z_OK)
        return -ENOMEM;
    decoder->has_begun = true;
    return 0;
}

int
decoder_run(struct decoder *decoder, const char *data, size_t len,
            size_t *out_used)
{
    z_stream *stream = &decoder->stream;
    int code;

    *out_used = 0;
    if (!len && !decoder->is_full)
        return 0;
    if (!decoder->has_begun && begin(decoder, (unsigned char)*data) != 0)
        return -ENOMEM;
    if (decoder->is_ended) {
        // gzip may have another member; nothing else may follow.
        if (!decoder->is_gzip || inflateReset(stream) != Z_OK)
            return -EBADMSG;
        decoder->is_ended = false;
    }
    stream->next_in = (z_const Bytef *)(uintptr_t)data;
    stream->avail_in = (uInt)len; // one delivery of libcurl's
    stream->next_out = decoder->out;
    stream->avail_out = sizeof(decoder->out);
    code = inflate(stream, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR)
        return -ENOMEM;
    // Z_BUF_ERROR: nothing could be done, which is well without input.
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return -EBADMSG;
    *out_used = len - stream->avail_in;
    decoder->len = sizeof(decoder->out) - stream->avail_out;
    decoder->is_ended = code == Z_STREAM_END;
    decoder->is_full = !decoder->is_ended && stream->avail_out == 0;
    return 0;
}

struct wire_bytes
decoder_peek(const struct decoder *decoder)
{
    return (struct wire_bytes){(const char *)decoder->out, decoder->len};
}

void
decoder_take(struct decoder *decoder)
{
    decoder->len = 0;
}

bool
decoder_has_more(const struct decoder *decoder)
{
    return decoder->is_full;
}

bool
decoder_is_whole(const struct decoder *decoder)
{
    return !decoder->has_begun || decoder->is_ended;
}
