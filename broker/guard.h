// guard.h - the connections of one endpoint: how many there are, and how much
// of what they sent waits inside libzmq
//
// libzmq bounds a frame's size and a queue's messages, but neither the number
// of connections nor the frames of a message that never ends. A guard counts
// connections (by libzmq's monitor) and compares what the kernel received on
// each with what was taken from it. Whoever makes libzmq hold too much is cut
// off (shutdown(2), which libzmq sees as a connection that ended), and beyond
// CONNECTIONS_MAX the one that was silent for longest. Loop thread only; all
// functions take NULL for a socket without connections (inproc).
#ifndef BROKER_GUARD_H
#define BROKER_GUARD_H
#include "broker/refusals.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frames;
struct guard;
struct loop;

// Connections of one endpoint, if the limit of open files allows as many.
#define CONNECTIONS_MAX 2048
// How often connections are looked at: what a stranger can send meanwhile is
// held on top of all limits.
#define GUARD_TICK_MS 50
// Bytes that libzmq may hold of all strangers' messages at one endpoint.
#define GUARD_HELD_MAX ((uint64_t)64 * 1024 * 1024)
// Silence with part of a message sent, after which a stranger is cut off.
#define GUARD_STUCK_MS 60000
// A stranger's messages: so many at once, so many a second, the rest is thrown
// away; and so many in all until it is cut off.
#define GUARD_BURST 64
#define GUARD_RATE_S 8
#define GUARD_STRANGER_MAX 1024

struct guard_config {
    enum access_role role; // for log lines
    uint64_t stranger_max; // bytes held of one connection that is not trusted
    uint64_t trusted_max;  // ... of one that is
    bool is_rated;         // strangers' messages are rated
    size_t frame_more;     // bytes that encryption adds to a frame
    // A connection ended on which nothing was heard: its key was never in
    // question (ZAP's refusals are not told, nor who was cut off).
    // is_wrong_proof: it had been given another broker's key. NULL: no matter.
    void (*on_unheard)(void *arg, enum access_role role, bool is_wrong_proof,
                       const char *address);
    void *arg;
};

// Raises the limit of open files to the highest allowed. Once, at the start.
void guard_raise_files(void);

// Watches a ROUTER that is not bound yet. The socket stays the caller's and
// must outlive the guard; config is copied. Returns 0 or a negative errno.
int guard_new(struct loop *loop, void *zmq, void *socket,
              const struct guard_config *config, struct guard **out_guard);
void guard_free(struct guard **guard);

// Notes a message that was taken. is_trusted: its sender has a session in which
// it proved to be there. Returns false when it is to be thrown away unread.
bool guard_on_message(struct guard *guard, const struct frames *frames,
                      bool is_trusted, uint64_t now_ms);

// The connection a message came by; -1: none.
int guard_connection(const struct frames *frames);

// Cuts a connection off that was there at since_ms already (its number may be
// that of a later one): why is static text for the log.
void guard_cut(struct guard *guard, int connection, uint64_t since_ms,
               const char *why);

// Cuts off who has a key that stays() does not want, or was not heard yet.
void guard_cut_keys(struct guard *guard,
                    bool (*stays)(void *arg, const char *key), void *arg,
                    const char *why);

struct guard_stats {
    uint64_t connections; // now
    uint64_t cut;         // since the start
};
void guard_stats(const struct guard *guard, struct guard_stats *out_stats);

// --- For tests: the rules, without sockets ---

// One connection, as far as its bytes go.
struct guard_bytes {
    uint64_t received; // by the kernel, less what is still there
    uint64_t taken;    // by us, framing included
    uint64_t held;     // the difference: inside libzmq
};
// Brings held up to date. connected_ms: its age, for heartbeats count as well.
void guard_count(struct guard_bytes *bytes, uint64_t received,
                 uint64_t connected_ms);

// What the kernel received on a TCP connection, less what is still there.
// Returns 0 or a negative errno.
int guard_received(int fd, uint64_t *out_bytes);

// One stranger's messages.
struct guard_rate {
    uint64_t tokens_at_ms;
    unsigned tokens;
};
bool guard_admit(struct guard_rate *rate, uint64_t now_ms);

#endif
