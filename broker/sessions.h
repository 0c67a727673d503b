// sessions.h - which workers are there, and the dialogue with them
//
// A session is one worker connection from its HELLO to its end: silence beyond
// the TTL, BYE, a frame that breaks the protocol, or another HELLO. When it
// ends, its leases are lost (EV_LEASE_LOST; no try is charged). Loop thread
// only.
#ifndef BROKER_SESSIONS_H
#define BROKER_SESSIONS_H
#include "common/frames.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <uthash.h>

struct broker;
struct job;

// Workers of one role. Each costs about 100 KiB at most, with its notes.
#define SESSIONS_MAX 1024
// Entries gathered for one worker before they are sent.
#define SESSION_BATCH 64

// A HASH message that is on its way to, or waits at, a hasher: whose credit it
// is. Popped in order by DIGESTS.taken.
struct hash_note {
    uint64_t fetcher; // session id
    uint64_t job;     // a stream's; 0: whole bodies
    uint32_t attempt;
    uint32_t bytes;
};

struct session {
    enum wire_role role;
    uint64_t id; // never used again while the broker runs
    char name[WIRE_NAME_MAX + 1];
    char label[WIRE_NAME_MAX * 4 + 3]; // the name as it may stand in the log
    unsigned char address[256];        // ZeroMQ's routing id
    size_t address_len;
    uint64_t heard_ms, since_ms;
    bool is_draining;
    bool is_crash; // ends without a word: counts against its jobs
    bool is_gone;  // unreachable or misbehaving: ends at the next flush
    const char *gone_why;
    enum wire_error gone_code; // 0: no ERROR frame
    size_t jobs_len;
    struct job *jobs; // leased to it: fetcher_next or hasher_next
    uint64_t done, bytes;
    struct wire_aborted aborts[SESSION_BATCH];
    size_t aborts_len;

    // Fetcher.
    uint64_t capacity;
    struct wire_job jobs_out[SESSION_BATCH]; // borrow the jobs' URLs
    size_t jobs_out_len;
    size_t jobs_out_bytes; // of URLs
    struct batch *jobs_out_batch;
    uint64_t granted;     // its window as it is now
    uint64_t outstanding; // body bytes it sent that no hasher consumed yet
    uint64_t credit;      // to be sent back
    bool credit_is_due;   // enough of it for a message
    struct wire_credit credits[SESSION_BATCH]; // to single transfers
    size_t credits_len;

    // Hasher.
    char *algorithms;        // ",sha512,md5,": what it announced
    struct hash_note *notes; // ring
    size_t notes_first, notes_len, notes_room;
    uint64_t backlog; // bytes in notes

    UT_hash_handle hh;           // by address, in its role's table
    UT_hash_handle hh_id;        // by id
    struct session *prev, *next; // in its role's list
};

struct sessions {
    void *fetcher_socket, *hasher_socket; // ROUTER
    struct session *fetchers, *hashers;   // lists
    size_t fetchers_len, hashers_len;
    struct session *fetchers_by_address, *hashers_by_address;
    struct session *by_id;
    uint64_t last_id;
    struct wire_decoder *decoder;
    struct wire_buf *buf;
    uint64_t window_given; // sum of granted
    uint64_t beat_ms;      // the last sessions_beat(); 0: none yet
    // Until then the loss of a worker is rather our own fault.
    uint64_t forgive_until_ms;
};

// Makes decoder and buffers. The sockets are the caller's. Returns 0 or -errno.
int sessions_init(struct broker *broker);
void sessions_fini(struct broker *broker);

// Takes one message from the role's socket. Returns false when none was there.
// Never fails: what breaks the protocol ends the session with an ERROR frame
// and a log line.
bool sessions_on_message(struct broker *broker, enum wire_role role);

// PINGs everyone and ends the silent ones. Every few seconds.
void sessions_beat(struct broker *broker);

// Sends gathered CREDITs and ABORTs. Once a turn.
void sessions_flush(struct broker *broker);

// Says BYE to all workers: the broker leaves.
void sessions_say_bye(struct broker *broker);

// The fetcher that gets the next jobs: the one with the smallest share of its
// capacity in use. NULL: none has room. *out_room: jobs it can take.
struct session *sessions_pick_fetcher(const struct sessions *sessions,
                                      size_t *out_room);

// The hasher with the least before it (a stream: in bodies; whole bodies: in
// bytes) of those that announced all algorithms of the suites ("sha512,md5")
// and do not leave; else of those that leave; else of all. NULL: there is none.
struct session *sessions_pick_hasher(const struct sessions *sessions,
                                     const struct wire_bytes *suites,
                                     size_t suites_len, bool is_stream);

// True when the hasher announced all algorithms of the suite.
bool session_can_hash(const struct session *hasher,
                      const struct wire_bytes *suite);

// True when a hasher other than except (may be NULL) takes new bodies: of this
// suite, or (NULL) of any.
bool sessions_have_hasher(const struct sessions *sessions,
                          const struct wire_bytes *suite,
                          const struct session *except);

// A session by id, or NULL.
struct session *sessions_find(const struct sessions *sessions, uint64_t id);

// Gathers one job for a fetcher's next JOBS message; sends when full.
void session_add_job(struct broker *broker, struct session *fetcher,
                     struct job *job);
// Sends what is gathered: before any of the jobs can be freed.
void session_send_jobs(struct broker *broker, struct session *fetcher);

// Gathers an ABORT.
void session_abort(struct broker *broker, struct session *session, uint64_t job,
                   uint32_t attempt, enum wire_abort reason);

// Sends the head in sessions.buf, with body (taken) if not NULL. A worker that
// is gone ends by its silence or its next HELLO.
void session_send(struct broker *broker, struct session *session,
                  zmq_msg_t *body);

// Marks a session to be ended at the end of this turn (callers may be walking
// its jobs); code 0: without an ERROR frame. why is static.
void session_doom(struct session *session, enum wire_error code,
                  const char *why);

#endif
