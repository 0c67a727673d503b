// digest_fields.h - header fields in which a server declares digests
//
// Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230, 5843),
// Content-MD5 (RFC 1864), x-goog-hash, x-amz-checksum-*. What they say of the
// whole answer (a 200) is what is digested, with these exceptions: a body that
// we decode (the fields speak of the bytes on the wire), an object that
// Google's storage decodes on its way (x-goog-hash speaks of what is stored),
// and the digest of a list of parts (x-amz-checksum with "-N"). Pure.
#ifndef FETCHER_DIGEST_FIELDS_H
#define FETCHER_DIGEST_FIELDS_H
#include "proto/declared.h"

#include <stdbool.h>
#include <stddef.h>

// Digests kept of one answer; further ones are left out.
#define DIGEST_FIELDS_MAX 8

struct digest_fields {
    size_t len;
    struct declared items[DIGEST_FIELDS_MAX];
};

// True for a header field that declares digests.
bool digest_fields_is_one(struct wire_bytes name);

// Takes a header field, if it is one of those. is_trailer: it came behind the
// body, where only those of RFC 9530 may stand. Whatever cannot be read is
// ignored, from there to the field's end. What is declared twice by the same
// field counts as it was declared last.
void digest_fields_add(struct digest_fields *fields, struct wire_bytes name,
                       struct wire_bytes value, bool is_trailer);

// Marks those as of other bytes that the answer makes so. is_decoded: the body
// is decoded by us; is_transcoded: what is stored has a Content-Encoding that
// the answer has not.
void digest_fields_mark(struct digest_fields *fields, bool is_decoded,
                        bool is_transcoded);

#endif
