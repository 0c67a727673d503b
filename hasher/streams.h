// streams.h - the bodies that are on their way in pieces, by job
//
// The one place that decides whether a piece continues a body: its offset must
// be exactly the number of bytes so far. Anything else ends the attempt, so
// that a digest of other bytes than the body's, or in another order, cannot
// come out. A piece with RESTART begins its attempt anew, from nothing. Of one
// job only the newest attempt is open. One thread.
#ifndef HASHER_STREAMS_H
#define HASHER_STREAMS_H
#include "hasher/digest.h"
#include "proto/wire.h"

struct streams;

// What became of a piece.
enum streams_step {
    STREAMS_MORE,    // taken; the body goes on
    STREAMS_DONE,    // taken; that was the last one, the digests are written
    STREAMS_REFUSED, // the attempt is dropped: tell the broker the reason
    STREAMS_IGNORED, // of an attempt that was dropped before: say nothing
};

// For at most streams_max open bodies. Returns 0 or -ENOMEM. The caller owns
// *out_streams and frees it before the kit its suites are of.
int streams_new(size_t streams_max, struct streams **out_streams);
void streams_free(struct streams **streams);

// Open bodies.
size_t streams_len(const struct streams *streams);

// True when an attempt of this job is open.
bool streams_has(const struct streams *streams, uint64_t job);

// Takes the bytes of one segment (data, segment->length) of a body that wants
// these digests; all segments of one attempt want the same. STREAMS_DONE:
// suite->bytes bytes stand in out_digests. STREAMS_REFUSED: *out_reason is set:
// WIRE_ABORT_GAP, WIRE_ABORT_STALE (a newer attempt is open) or
// WIRE_ABORT_RESOURCES (streams_max, no memory).
enum streams_step
streams_push(struct streams *streams, const struct digest_suite *suite,
             const struct wire_segment *segment, const void *data,
             unsigned char *out_digests, enum wire_abort *out_reason)
    __attribute__((warn_unused_result));

// Drops an attempt, if it is open, and remembers that its further segments are
// to be ignored. Returns false when it was being ignored already: whoever wants
// to complain about it has done so.
bool streams_drop(struct streams *streams, uint64_t job, uint32_t attempt);

// Forgets everything: the session is gone.
void streams_clear(struct streams *streams);

#endif
