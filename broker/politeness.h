// politeness.h - how an origin wants to be treated: a small state machine
//
// Closed: it answered 429 or 503, so nobody asks it again before the time it
// told (Retry-After) or, when it told none, for a minute that doubles with each
// incident. Parked: nobody could connect to it, several times in a row, so it
// is only tried now and then; and when that has lasted for long enough it is
// given up. After either one transfer goes first, alone. Not reached: nobody
// has connected to it yet, or the last one who was there waited in vain, so a
// few try it before the others follow.
//
// Pure: time is an argument, in ms of the loop's clock. Whose state it is, and
// what waits for it, is hosts.h's part.
#ifndef BROKER_POLITENESS_H
#define BROKER_POLITENESS_H
#include "proto/fail.h"

#include <stdbool.h>
#include <stdint.h>

// Closings without a Retry-After: the first, the longest, and how long it must
// be quiet after the last one for the next to be the first again.
#define POLITENESS_CLOSED_FIRST_MS (UINT64_C(60) * 1000)
#define POLITENESS_CLOSED_MAX_MS (UINT64_C(24) * 60 * 60 * 1000)
#define POLITENESS_QUIET_MS (UINT64_C(30) * 60 * 1000)
// A Retry-After of 0 or of the past: as much more time all the same.
#define POLITENESS_TOLD_MIN_MS 1000
// Failures to connect in a row that park an origin; pauses between two tries.
#define POLITENESS_FAILURES_MAX 5
// ... or so many whose SYNs nobody answered until --connect-timeout was over:
// each says more than a refusal (four SYNs in 10 s), and costs a slot as long.
#define POLITENESS_SILENCES_MAX 2
// Transfers at once that try an origin which is not reached: as many as prove
// that it is silent, less those that were.
#define POLITENESS_TRIED_MAX POLITENESS_SILENCES_MAX
#define POLITENESS_PARKED_FIRST_MS 5000
#define POLITENESS_PARKED_MAX_MS (UINT64_C(10) * 60 * 1000)
// A pause that is ours to choose is longer by up to a tenth, so that not
// everything comes back at once.
#define POLITENESS_JITTER 10

// All zero: nothing is known of it, all is well.
struct politeness {
    // Closed.
    uint64_t closed_ms;       // when it last was; 0: never
    uint64_t closed_until_ms; //
    uint32_t closed_status;   // 429 or 503
    bool is_told;             // by its Retry-After
    uint32_t incidents;       // without Retry-After, that are not forgiven
    // Parked.
    uint32_t failures;        // to connect, in a row
    uint32_t silences;        // of these, without any answer
    uint64_t parked_since_ms; // 0: not
    uint64_t parked_ms;       // when the present pause began
    uint64_t parked_until_ms; // when it ends
    uint64_t pause_ms;        // without jitter
    // One transfer goes first.
    bool is_probed;
    bool has_probe; // it is under way
    // Somebody connected to it, and since then nobody waited in vain.
    bool is_reached;
};

enum politeness_state {
    POLITENESS_OPEN,     // ask it
    POLITENESS_PROBE,    // ask it once
    POLITENESS_WAIT,     // that is under way: its outcome says more
    POLITENESS_TRIED,    // not reached, and as many as may try it do
    POLITENESS_CLOSED,   // not before *out_until_ms
    POLITENESS_PARKED,   // not before *out_until_ms
    POLITENESS_GIVEN_UP, // its URLs fail, until *out_until_ms
};

// How it is now, with so many transfers that run. give_up_ms: how long it may
// be parked, 0: for ever. *out_until_ms: when that changes by itself;
// UINT64_MAX: not.
enum politeness_state politeness_state(const struct politeness *politeness,
                                       uint64_t running, uint64_t give_up_ms,
                                       uint64_t now_ms, uint64_t *out_until_ms);

// A transfer that was begun at begun_ms has an answer, or none.
struct politeness_news {
    uint64_t begun_ms;
    int http_status;        // of the answer; 0: none
    uint64_t retry_after_s; // UINT64_MAX: not told
    enum fail outcome;
    bool is_connected; // and secured, where that is wanted
    bool is_silent;    // timeout while it was to be connected
};

enum politeness_change {
    POLITENESS_NOTHING, // nobody needs to hear of it
    POLITENESS_SHUT,    // closed, or for longer than before
    POLITENESS_PARK,    // parked (again)
    POLITENESS_BACK,    // is there again: neither parked nor probed
    POLITENESS_REACHED, // is there: not only a few may try it
};

// Takes the news in. seed: of the jitter.
enum politeness_change politeness_note(struct politeness *politeness,
                                       const struct politeness_news *news,
                                       uint64_t now_ms, unsigned *seed);

// A connection to it was made. Returns REACHED or NOTHING.
enum politeness_change politeness_reach(struct politeness *politeness);

// A transfer begins; true: it is the one that goes first. It ends, with or
// without news, by politeness_end_probe().
bool politeness_begin(struct politeness *politeness);
void politeness_end_probe(struct politeness *politeness);

// How it was before a restart: closed for so much longer (or, negative, opened
// so long ago).
void politeness_restore(struct politeness *politeness, int64_t left_ms,
                        uint32_t status, bool is_told, uint32_t incidents,
                        uint64_t now_ms);

// When there is nothing left to remember; 0: at any time.
uint64_t politeness_forget_ms(const struct politeness *politeness);

#endif
