// origin.h - which origin a URL belongs to
//
// An origin is scheme, host and port (RFC 6454, 4). URLs are parsed by
// curl_url() only, so that this and the fetcher never disagree.
#ifndef BROKER_ORIGIN_H
#define BROKER_ORIGIN_H
#include "proto/fail.h"

#include <stddef.h>
#include <stdint.h>

// The origin number of what is no URL of ours.
#define ORIGIN_NONE 0

// Bytes of an origin as text, "https://host:443", with its end. A host name has
// at most 253 bytes; longer text is cut.
#define ORIGIN_TEXT_MAX 300

struct origin_parser;

// Returns 0 or -ENOMEM. One thread's.
int origin_parser_new(struct origin_parser **out_parser);
void origin_parser_free(struct origin_parser **parser);

// Finds the origin of a URL as it stood in a list. Returns FAIL_OK with the
// origin's number (a 64-bit hash of its text, never 0; two origins that share a
// number would merely share a limit) and, if out_text is not NULL, the text; or
// FAIL_INVALID_URL, FAIL_URL_TOO_LONG, FAIL_SCHEME with the number 0, or
// FAIL_INTERNAL (no memory).
enum fail origin_parse(struct origin_parser *parser, const char *url,
                       size_t len, uint64_t *out_origin,
                       char out_text[ORIGIN_TEXT_MAX]);

// The hash (common/fnv.h) that makes such a number of a text; never 0.
uint64_t origin_hash(const char *text, size_t len);

#endif
