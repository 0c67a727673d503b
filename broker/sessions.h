// sessions.h - which workers are there, and the dialogue with them
//
// A session is one worker connection from its HELLO to its end: silence beyond
// the TTL, BYE, a frame that breaks the protocol, or a HELLO that begins
// another. When it ends, its leases are lost (EV_LEASE_LOST; no try is
// charged).
//
// Until its first PONG a session is unproven: it is in no list of workers, gets
// nothing to do and holds nothing, and a few of them are kept, so that whoever
// says HELLO without end takes nothing from others. Loop thread only.
#ifndef BROKER_SESSIONS_H
#define BROKER_SESSIONS_H
#include "common/frames.h"
#include "common/key.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <uthash.h>

struct broker;
struct job;

// Workers of one role. Each costs about 100 KiB at most, with its notes.
#define SESSIONS_MAX 1024
// Unproven sessions of one role; one more ends the oldest. A worker proves
// itself within a round trip, so that a whole fleet may come at once.
#define SESSIONS_UNPROVEN_MAX 64
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
    uint64_t id;              // never used again while the broker runs
    uint64_t instance, epoch; // of its HELLO
    char name[WIRE_NAME_MAX + 1];
    char label[WIRE_NAME_MAX * 4 + 3]; // the name as it may stand in the log
    unsigned char address[256];        // ZeroMQ's routing id
    size_t address_len;
    char key[KEY_CHARS + 1]; // its connection's; "": no keys
    uint64_t heard_ms, since_ms;
    bool is_proven;   // its PONG came: only then it is in its role's list
    bool is_reserved; // for a suspect alone; see suspects.h
    bool is_doubtful; // a lease ran out here, and no job came to an end since
    bool is_draining;
    enum wire_pause pause; // a fetcher's; see sessions_pick_fetcher()
    bool is_crash;         // ends without a word: counts against its jobs
    bool is_gone;          // unreachable or misbehaving: ends at the next flush
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
    uint64_t jobs_out_any_status;         // as these are told
    uint64_t profiles[WIRE_PROFILES_MAX]; // whose are told; 0: nobody's
    size_t next_profile;                  // the place that is used next
    uint64_t lease_due_ms;                // before, no lease of it can be over
    uint64_t granted; // its window as it is now; unproven: as it would be
    uint64_t welcomed, job_window; // as WELCOME said
    uint64_t outstanding; // body bytes it sent that no hasher consumed yet
    uint64_t credit;      // to be sent back
    bool credit_is_due;   // enough of it for a message
    struct wire_credit credits[SESSION_BATCH]; // to single transfers
    size_t credits_len;

    // Hasher.
    char *algorithms;        // ",sha512,md5,": what it announced
    struct hash_note *notes; // ring
    size_t notes_first, notes_len, notes_room;
    uint64_t backlog;     // bytes in notes
    uint64_t sent, taken; // HASH messages since its beginning
    uint64_t taken_ms;    // when it last took one, or was sent one while idle

    UT_hash_handle hh;           // by address, in its role's table
    UT_hash_handle hh_instance;  // by instance, in its role's table
    UT_hash_handle hh_id;        // by id
    struct session *prev, *next; // in its role's list, or among the unproven
};

struct sessions {
    void *fetcher_socket, *hasher_socket; // ROUTER
    struct session *fetchers, *hashers;   // lists of the proven
    size_t fetchers_len, hashers_len;
    struct session *unproven[WIRE_HASHER + 1]; // by role, the oldest first
    size_t unproven_len[WIRE_HASHER + 1];
    struct session *by_address[WIRE_HASHER + 1];
    struct session *by_instance[WIRE_HASHER + 1];
    struct session *by_id;
    uint64_t last_id;
    struct wire_decoder *decoder;
    struct wire_buf *buf;
    uint64_t window_given; // sum of granted, of the proven
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

// PINGs everyone and ends the silent ones. Every beat: several times a TTL.
void sessions_beat(struct broker *broker);

// Sends gathered CREDITs and ABORTs. Once a turn.
void sessions_flush(struct broker *broker);

// Ends, at the end of this turn, the sessions of the role whose key stays()
// does not want.
void sessions_end_keys(struct broker *broker, enum wire_role role,
                       bool (*stays)(void *arg, const char *key), void *arg);

// The batch is over: fetchers that were told its profile forget it.
void sessions_forget_profile(struct broker *broker, uint64_t batch);

// Says BYE to all workers: the broker leaves.
void sessions_say_bye(struct broker *broker);

// The fetcher that gets the next jobs: the one with the smallest share of its
// capacity in use. A doubtful one gets a single job at a time, and only when no
// other has room; one that pauses gets none while another takes jobs. NULL:
// none has room. *out_room: jobs it can take.
struct session *sessions_pick_fetcher(const struct sessions *sessions,
                                      size_t *out_room);

// True when a fetcher other than except (may be NULL) is there for any job, and
// does not pause.
bool sessions_have_fetcher(const struct sessions *sessions,
                           const struct session *except);

// Fetchers that pause.
size_t sessions_paused(const struct sessions *sessions);

// The hasher with the least before it (a stream: in bodies; whole bodies: in
// bytes) of those that announced all algorithms of the suites ("sha512,md5")
// and do not leave; else of those that announced the first suite's, and of
// these rather one that leaves than one that is reserved. NULL: there is none.
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

// True when one that is not reserved takes new bodies of this suite.
bool sessions_have_free_hasher(const struct sessions *sessions,
                               const struct wire_bytes *suite);

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
