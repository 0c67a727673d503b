// resolver.h - addresses of names: kept, shared, and not asked for in a storm
//
// Each name is asked for once at a time, however many wait for it; what is
// found is kept for its TTL, what does not exist for a minute, and only so many
// questions are under way at once. A name that servers cannot tell is its own
// trouble while they tell others, and fails after a few tries; while nothing is
// told at all, the trouble is the resolver's: then nobody fails, a single
// question at a time tries whether it is over, and everybody waits.
//
//   CLEAR   -> questions are asked as they come
//   DOUBT   -> one was not told, and nothing else has been since it was last
//              asked: no new questions until the root's servers are told
//   OUTAGE  -> they were not: one name after the other is tried, a second
//              apart, and a few that nobody waits for any more go on being
//              tried
//
// Any answer that tells something ends doubt and outage. Knows no network and
// no clock: a source asks, the caller brings the time. Loop thread only.
#ifndef FETCHER_RESOLVER_H
#define FETCHER_RESOLVER_H
#include "common/metrics.h"
#include "fetcher/dns.h"

struct resolver;
struct resolver_name;

// Who asks. The answer comes by resolver_on_answer().
struct resolver_source {
    void *arg;
    int (*ask)(void *arg, const char *name, void *token); // as dns_ask()
    const char *(*describe)(void *arg, char *text, size_t room);
};

struct resolver_config {
    uint64_t outage_ms_max; // after so long names fail; 0: never
};

// Read by /metrics as well.
struct resolver_stats {
    struct metrics_value questions; // asked of the source, probes too
    struct metrics_value hits;      // told from what was kept
    struct metrics_value absent;    // names that do not exist
    struct metrics_value failed;    // names that nobody could tell
    struct metrics_value outages;
    struct metrics_value is_out;  // 1 during an outage
    struct metrics_value waiting; // names that somebody waits for
};

enum resolver_verdict {
    RESOLVER_FOUND,
    RESOLVER_ABSENT, // for sure
    RESOLVER_FAILED, // after some tries, or an outage beyond outage_ms_max
    RESOLVER_BROKEN, // we ran out of something
};

struct resolver_result {
    enum resolver_verdict verdict;
    const char *why;                     // not FOUND: one clause, static
    const struct dns_address *addresses; // until the callback returns
    size_t len;
};

// One who waits for a name; embedded in what it is for.
struct resolver_wait {
    void (*done)(void *arg, const struct resolver_result *result);
    void *arg;
    struct resolver_name *name; // NULL: waits for nothing
    struct resolver_wait *prev, *next;
};

// Returns 0 or -ENOMEM. The caller owns *out_resolver.
int resolver_new(const struct resolver_config *config,
                 const struct resolver_source *source,
                 struct resolver_stats *stats, struct resolver **out_resolver);
// Nobody may wait any more, and no answers may come.
void resolver_free(struct resolver **resolver);

// Waits for the addresses of a name (copied). wait's done and arg are set; done
// is called from resolver_turn(), also when the answer is known. Returns 0 or
// -ENOMEM.
int resolver_ask(struct resolver *resolver, struct resolver_wait *wait,
                 const char *name, uint64_t now_ms);

// Waits no longer; fine when it does not.
void resolver_cancel(struct resolver *resolver, struct resolver_wait *wait);

// The source's answer to the question with that token. Asks nothing.
void resolver_on_answer(struct resolver *resolver, void *token,
                        const struct dns_answer *answer, uint64_t now_ms);

// Tells those who wait, and asks what is due: at the end of each turn.
void resolver_turn(struct resolver *resolver, uint64_t now_ms);

// True when resolver_turn() should be called again without sleep.
bool resolver_is_due(const struct resolver *resolver);

// True during an outage.
bool resolver_is_out(const struct resolver *resolver);

// True when time matters: it should be called several times a second.
bool resolver_is_busy(const struct resolver *resolver);

#endif
