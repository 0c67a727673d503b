// vouch.h - whether a fetcher gives the broker its word that a transfer moves
//
// The broker takes a job back that nobody vouches for (broker/lease.h). A
// transfer is vouched for while it moves, while it waits for credit, and while
// its own time limits may still end it as a timeout: that would be the URL's
// failure, with a reason, where a lease that runs out is nobody's. What stays
// silent beyond its limits is stuck in a way that the limits do not see, and
// another fetcher may do better. Pure; loop thread only.
#ifndef FETCHER_VOUCH_H
#define FETCHER_VOUCH_H
#include "proto/wire.h"

// Silence is allowed for so much longer than the limits say: they are looked at
// now and then only, and a mean speed needs time to fall.
#define VOUCH_SLACK_MS 10000

struct vouch {
    uint64_t progress; // at the last look
    uint64_t moved_ms; // when it was seen to have changed
};

void vouch_begin(struct vouch *vouch, uint64_t now_ms);

// The longest silence of a healthy transfer; UINT64_MAX: any. No field of
// limits may be unset.
uint64_t vouch_silence_max_ms(const struct wire_request *limits);

// A look at the transfer. progress is any number that changes when bytes go to
// or fro, waits says that it waits for credit (which counts as moving). Returns
// true when it is vouched for.
bool vouch_look(struct vouch *vouch, uint64_t progress, bool waits,
                uint64_t silence_max_ms, uint64_t now_ms);

#endif
