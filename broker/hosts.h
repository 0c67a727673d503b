// hosts.h - the origins at work, how each wants to be treated, and whose limits
// they count for
//
// An origin is here while a flow has it, and for as long after as there is
// something to remember of it: that it is closed, or parked (politeness.h).
// Transfers at once and their rate are limits of a group of origins, by
// --group-by (group_key.h); with the default a group is one origin. Where flows
// wait for all that is place.h's part. Loop thread only.
#ifndef BROKER_HOSTS_H
#define BROKER_HOSTS_H
#include "broker/politeness.h"
#include "broker/store.h"
#include "common/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct broker;
struct flow;
struct group_keys;
struct job;
struct session;
struct wire_fetched;
struct wire_message;

struct group {
    uint64_t key;
    uint64_t running;     // transfers of the whole fleet
    uint64_t next_ns;     // --rate: when the next one may begin
    size_t origins_len;   // that count for it
    struct flow *line;    // flows that wait for it; see place.h
    struct heap_node due; // while they wait for its rate
    UT_hash_handle hh;
};

struct origin {
    uint64_t number;
    char *text; // "https://host:443"; "" as long as it is not known
    struct group *group;
    uint64_t running; // transfers of the whole fleet
    struct flow *flows;
    size_t flows_len; // flows that hold it
    struct politeness politeness;
    bool is_given_up; // and that was said
    // Since it is here: transfers that ended well, or not; how the last one of
    // these did.
    uint64_t done, failed;
    uint64_t failed_ms; // of a slot, that the latter took
    enum fail last_fail;
    int last_status;
    struct heap_node due; // when its politeness changes, or it is forgotten
    UT_hash_handle hh;
};

// For people and metrics.
struct hosts_figures {
    uint64_t closed_total, parked_total, given_up_total; // since the start
    size_t origins, groups;                              // in memory
    size_t kept;                                         // without a flow
    size_t closed, parked, given_up;                     // just now
};

struct hosts {
    struct origin *origins; // by number
    struct group *groups;   // by key
    struct heap origins_due, groups_due;
    struct group_keys *keys;
    uint64_t interval_ns;          // of --rate; 0: none
    struct hosts_figures figures;  // its totals, and kept
    struct store_closings loading; // at the start
};

// Returns 0, -ENOMEM, or -EINVAL: a --group-by that is none.
int hosts_init(struct broker *broker);
// No flow may be left.
void hosts_fini(struct broker *broker);

// The origin of that number, with one holder more. NULL without memory.
struct origin *hosts_ref(struct broker *broker, uint64_t number);
// A holder less: when it was the last, and there is nothing to remember, the
// origin is gone.
void hosts_unref(struct broker *broker, struct origin *origin);

// Its text is known: from now on it counts for its group. Before a job of it is
// queued.
void hosts_name(struct broker *broker, struct origin *origin, const char *text);

// A job of it was leased; or its lease with a fetcher ended.
void hosts_begin(struct broker *broker, struct job *job);
void hosts_end(struct broker *broker, struct job *job);

// What a fetcher said of a job it has in hand: how it ended, or that a body
// comes. Closes, parks and opens origins: its own, or the one that a redirect
// led to.
void hosts_on_fetched(struct broker *broker, const struct job *job,
                      const struct wire_fetched *item);
void hosts_on_bytes(struct broker *broker, const struct job *job);
// CONNECTED of a live session: hosts of its jobs are there.
void hosts_on_connected(struct broker *broker, const struct session *fetcher,
                        const struct wire_message *message);

// What the store noted of closed origins comes back before a job is handed out:
// asked for at the start, before the batches. A closing is noted when it is
// long enough to outlive a restart.
void hosts_load(struct broker *broker);
void hosts_note_closing(struct broker *broker, const struct origin *origin);
void hosts_restore(struct broker *broker, const struct store_closing *closing,
                   int64_t left_ms);

// It is given up: a job of it that is queued fails.
void hosts_fail_job(struct broker *broker, struct job *job);

// How it is now; *out_until_ms as politeness_state()'s.
enum politeness_state hosts_state(const struct broker *broker,
                                  const struct origin *origin,
                                  uint64_t *out_until_ms);

// Something is to be done for the origin before the turn ends: it is given up,
// and a job of it was queued.
void hosts_hurry(struct broker *broker, struct origin *origin);

// Opens what is to open, fails what is given up, forgets what is over. Once a
// turn. Returns when to come again (loop's clock), UINT64_MAX: nothing waits.
uint64_t hosts_run(struct broker *broker);

// Walks over all origins: not for every turn.
void hosts_figures(const struct broker *broker,
                   struct hosts_figures *out_figures);

// --- Between hosts.c and hosts_news.c ---

// The origin of that number, or NULL.
struct origin *hosts_find(const struct hosts *hosts, uint64_t number);
// One that nobody works at and of which there is something to remember. NULL:
// no room for it.
struct origin *hosts_keep(struct broker *broker, uint64_t number,
                          const char *text);
// Puts it where its next event is, which may be that it is forgotten.
void hosts_set_due(struct broker *broker, struct origin *origin);
// It counts for the group that its text and address say; without memory for
// where it was.
void hosts_regroup(struct broker *broker, struct origin *origin);

#endif
