// digest.h - any digest OpenSSL offers, several in one pass
//
// A kit holds one thread's algorithms: each is fetched from OpenSSL once, when
// it is first named, and its contexts are used again and again, so that the
// digest of a small body allocates nothing. Names are OpenSSL's short ones in
// lower case ("sha512", "sha3-256", "blake2b512", "sha512-256", "md5"), and no
// other spelling is accepted: what is announced is exactly what is computed.
// Digests whose length is the caller's choice (SHAKE) are left out. A kit
// belongs to one thread.
//
// A kit that gathers does SHA-512 of many bodies together where the CPU has the
// means (sha512_batch.h): bytes given to it must stay until digest_kit_flush(),
// and only then are all digests written.
#ifndef HASHER_DIGEST_H
#define HASHER_DIGEST_H
#include "common/limits.h"

#include <stdbool.h>
#include <stddef.h>

// Bytes of the digests of one body at most.
#define DIGEST_SUITE_BYTES_MAX (WIRE_ALGORITHMS_MAX * WIRE_DIGEST_BYTES_MAX)

struct digest_kit;
struct digest_algorithm;
struct evp_md_ctx_st; // OpenSSL's EVP_MD_CTX
struct sha512_stream;

// A list of algorithms; a value, good as long as its kit. Read only.
struct digest_suite {
    size_t len;
    size_t bytes; // of all its digests, end to end in the list's order
    struct digest_algorithm *algorithms[WIRE_ALGORITHMS_MAX];
    size_t sizes[WIRE_ALGORITHMS_MAX]; // bytes of each digest
};

// A body whose bytes come piece by piece. Embedded in its owner's struct.
struct digest_run {
    struct digest_suite suite;
    struct evp_md_ctx_st *contexts[WIRE_ALGORITHMS_MAX];
    struct sha512_stream *gathered[WIRE_ALGORITHMS_MAX]; // instead, or NULL
};

// Names of all algorithms that OpenSSL offers now, sorted, at most
// WIRE_HELLO_ALGORITHMS_MAX, ended by NULL. Initialises OpenSSL, so call it
// once before the threads start. Returns 0 or -ENOMEM; the caller owns
// *out_names.
int digest_names_new(char ***out_names);
void digest_names_free(char ***names);

// Returns 0 or -ENOMEM. The caller owns *out_kit; it must outlive its suites
// and runs.
int digest_kit_new(bool gathers, struct digest_kit **out_kit);

// Does what was gathered. Before the bytes go, and before the kit does.
void digest_kit_flush(struct digest_kit *kit);
void digest_kit_free(struct digest_kit **kit);

// Reads "sha512,sha256". Returns 0, -EINVAL (empty, more than
// WIRE_ALGORITHMS_MAX), -ENOENT (a name that OpenSSL, or we, do not have) or
// -ENOMEM.
int digest_suite_parse(struct digest_kit *kit, const char *list, size_t len,
                       struct digest_suite *out_suite)
    __attribute__((warn_unused_result));

// Digests a whole body. Writes suite->bytes bytes to out_digests. Returns 0 or
// -EIO when OpenSSL refuses (which it has no reason to).
int digest_whole(const struct digest_suite *suite, const void *data, size_t len,
                 unsigned char *out_digests)
    __attribute__((warn_unused_result));

// Begins a body. Returns 0, -ENOMEM or -EIO; only after 0 is fini due.
int digest_run_init(struct digest_run *run, const struct digest_suite *suite)
    __attribute__((warn_unused_result));

// Adds bytes to all digests. Returns 0 or -EIO.
int digest_run_update(struct digest_run *run, const void *data, size_t len)
    __attribute__((warn_unused_result));

// Ends the body; only fini may follow. Writes suite.bytes bytes to out_digests.
// Returns 0 or -EIO.
int digest_run_final(struct digest_run *run, unsigned char *out_digests)
    __attribute__((warn_unused_result));

// Gives the contexts back to the kit.
void digest_run_fini(struct digest_run *run);

#endif
