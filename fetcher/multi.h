// multi.h - libcurl's multi interface on our loop
//
// libcurl says which sockets to watch and when to be called; libuv does both.
// A socket stays watched between the transfers of its connection, for libcurl
// asks to forget it at each end and to watch it again at the next beginning:
// reused connections cost no epoll_ctl(2). When handling sockets has taken
// MULTI_TURN_MS the rest of them wait for the next turn, so that thousands of
// TLS handshakes do not make the program deaf. Loop thread only.
#ifndef FETCHER_MULTI_H
#define FETCHER_MULTI_H
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A handshake of TLS takes up to some milliseconds, of which the last may
// exceed this; a broker believes a worker dead after seconds (limits.h).
#define MULTI_TURN_MS 100

struct loop;
struct multi;

// Whether a transfer may connect to the address. May be called at any time that
// libcurl is.
struct sockaddr;
typedef bool multi_connect_fn(void *arg, const struct sockaddr *address);

// Called by multi_turn() for each finished transfer, already removed.
struct multi_gate;
typedef void multi_done_fn(void *arg, struct multi_gate *gate, CURLcode code);

struct watch;

// What several multis of one loop have together: the descriptors that they
// watch, how many may be open, and the time of a turn.
struct multi_sockets {
    // When a transfer ends while more are open, idle ones included, the one of
    // its multi that waits longest ends too, and a multi without transfers
    // closes its own: so there are never more than these, those that multis may
    // keep anyway, and as many as transfers run.
    long connections_max;
    long open;              // now
    struct watch **watches; // by descriptor
    size_t watches_len;
    uint64_t busy_until_ns; // of this turn; 0: no socket was handled yet
};

// All multis that used them must have been freed.
void multi_sockets_fini(struct multi_sockets *sockets);

// Returns 0 or a negative errno. The caller owns *out_multi; the loop and the
// sockets must outlive it. It may keep kept connections, however many others
// have; at least one.
int multi_new(struct loop *loop, struct multi_sockets *sockets, long kept,
              multi_done_fn *done, void *arg, struct multi **out_multi);

// All transfers must have been removed.
void multi_free(struct multi **multi);

// A handle's way into a multi; lives as long as the handle.
struct multi_gate {
    multi_connect_fn *may_connect;
    void *arg; // whose gate it is: may_connect's, and for the multi_done_fn
    // The multi's.
    struct multi *multi; // multi_prepare() sets it
    CURL *easy;          // ... and this
    struct watch *watch; // of which it was the last that libcurl named
    bool is_waiting;     // was added, and libcurl does not have it yet
    struct multi_gate *prev, *next;
};

// Sets what a handle needs for multi_add(), CURLOPT_PRIVATE too, before the
// first and when it is to have another multi. The handle may not outlive the
// multi nor the gate. Returns 0 or -EINVAL.
int multi_prepare(struct multi *multi, CURL *easy, struct multi_gate *gate);

// Has multi_turn() start a transfer, in the order they come. May be called
// within libcurl's callbacks.
void multi_add(struct multi_gate *gate);

// Takes a transfer out before its end: its connection is closed.
void multi_remove(struct multi_gate *gate);

// The socket of which this transfer was the last that libcurl named for it, as
// it is while its connection is made; CURL_SOCKET_BAD: there is none.
curl_socket_t multi_socket_of(const struct multi_gate *gate);

// A request is about to be sent over this socket, which others share. Of those
// that multi_turn() begins the first leaves at once; those that follow it wait
// in the kernel (TCP_CORK) for the end of that turn, and leave in as few
// packets as they fit in. What libcurl sends at other times is not held back.
// May be called within libcurl's callbacks, and for a socket that is not
// watched.
void multi_expect_request(struct multi *multi, curl_socket_t fd);

// Runs what is due now and reports what has finished: at the end of each turn.
void multi_turn(struct multi *multi);

// True when multi_turn() should be called again without sleep.
bool multi_is_due(const struct multi *multi);

#endif
