// sha512_batch.h - SHA-512 of many bodies at once, gathered and done together
//
// Pieces of bodies are only noted when they come; sha512_batch_flush() digests
// all of them, eight bodies side by side where there are enough, one by one
// with OpenSSL's code where there are few. Until then the bytes must stay where
// they are, and digests are not written. One thread.
#ifndef HASHER_SHA512_BATCH_H
#define HASHER_SHA512_BATCH_H
#include <stdbool.h>
#include <stddef.h>

struct sha512_batch;
struct sha512_stream;

// False where the CPU cannot do it: use OpenSSL's EVP then.
bool sha512_batch_is_available(void);

// Returns 0 or -ENOMEM. The caller owns *out_batch, and flushes before freeing.
int sha512_batch_new(struct sha512_batch **out_batch);
void sha512_batch_free(struct sha512_batch **batch);

// Begins a body. Returns NULL without memory. Ends by final or drop.
struct sha512_stream *sha512_stream_new(struct sha512_batch *batch);

// Notes the body's next bytes.
void sha512_stream_update(struct sha512_stream *stream, const void *data,
                          size_t len);

// The body is complete: 64 bytes are written to out_digest by the flush. Takes
// *stream.
void sha512_stream_final(struct sha512_stream **stream,
                         unsigned char *out_digest);

// The body is not wanted any more. Takes *stream; NULL is fine.
void sha512_stream_drop(struct sha512_stream **stream);

// Digests everything noted. Cheap when there is nothing.
void sha512_batch_flush(struct sha512_batch *batch);

#endif
