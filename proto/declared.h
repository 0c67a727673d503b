// declared.h - digests that a server's header fields declare
//
// The fetcher reads the fields, the broker compares; between them a fact of
// FETCHED carries them as text (proto/worker.md says how). Pure.
#ifndef PROTO_DECLARED_H
#define PROTO_DECLARED_H
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>

//    symbol, the header field's name in lower case; x-amz-checksum stands for
//    those that begin with it
#define DECLARED_SOURCES(X)                                                    \
    X(REPR_DIGEST, "repr-digest")                                              \
    X(CONTENT_DIGEST, "content-digest")                                        \
    X(DIGEST, "digest")                                                        \
    X(CONTENT_MD5, "content-md5")                                              \
    X(GOOG_HASH, "x-goog-hash")                                                \
    X(AMZ_CHECKSUM, "x-amz-checksum")

//    symbol, name (OpenSSL's where it has the algorithm), bytes of a digest, a
//    hasher can compute it
#define DECLARED_ALGORITHMS(X)                                                 \
    X(SHA512, "sha512", 64, true)                                              \
    X(SHA256, "sha256", 32, true)                                              \
    X(SHA1, "sha1", 20, true)                                                  \
    X(MD5, "md5", 16, true)                                                    \
    X(CRC32C, "crc32c", 4, false)                                              \
    X(CRC32, "crc32", 4, false)                                                \
    X(CRC64NVME, "crc64nvme", 8, false)

enum declared_source {
#define X(symbol, name) DECLARED_##symbol,
    DECLARED_SOURCES(X)
#undef X
        DECLARED_SOURCE_COUNT
};

enum declared_algorithm {
#define X(symbol, name, bytes, is_computed) DECLARED_##symbol,
    DECLARED_ALGORITHMS(X)
#undef X
        DECLARED_ALGORITHM_COUNT
};

#define DECLARED_BYTES_MAX 64

struct declared {
    enum declared_source source;
    enum declared_algorithm algorithm;
    // Of other bytes than those that are digested (decoded ones, a list of
    // parts): to be recorded, not compared.
    bool is_other;
    unsigned char digest[DECLARED_BYTES_MAX];
};

// Static.
const char *declared_source_name(enum declared_source source);
const char *declared_algorithm_name(enum declared_algorithm algorithm);
size_t declared_algorithm_bytes(enum declared_algorithm algorithm);

// Finds an algorithm by its name. Returns false for one that is not of the
// table.
bool declared_find_algorithm(struct wire_bytes name,
                             enum declared_algorithm *out_algorithm);
// True when a hasher can compute it.
bool declared_is_computed(enum declared_algorithm algorithm);

// Writes the text of as many items as fit into room bytes, the first ones
// first. Returns its length.
size_t declared_write(const struct declared *items, size_t len, char *out_text,
                      size_t room);

// Reads the next item and moves *rest behind it. Returns false at the end, and
// at whatever is no item: the text comes from a worker.
bool declared_next(struct wire_bytes *rest, struct declared *out_item);

#endif
