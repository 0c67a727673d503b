// multi.h - libcurl's multi interface on our loop
//
// libcurl says which sockets to watch and when to be called; libuv does both.
// A socket stays watched between the transfers of its connection, for libcurl
// asks to forget it at each end and to watch it again at the next beginning:
// reused connections cost no epoll_ctl(2). Loop thread only.
#ifndef FETCHER_MULTI_H
#define FETCHER_MULTI_H
#include <curl/curl.h>
#include <stdbool.h>

struct loop;
struct multi;

// Whether a transfer may connect to the address. May be called at any time that
// libcurl is.
struct sockaddr;
typedef bool multi_connect_fn(void *arg, const struct sockaddr *address);

// Called by multi_turn() for each finished transfer, already removed.
typedef void multi_done_fn(void *arg, CURL *easy, CURLcode code);

// What several multis may have open together.
struct multi_budget {
    // When a transfer ends while more are open, idle ones included, the one
    // that waits longest ends too: so there are never more than these and as
    // many as transfers run.
    long connections_max;
    long open; // now
};

// Returns 0 or a negative errno. The caller owns *out_multi; the loop and the
// budget must outlive it.
int multi_new(struct loop *loop, struct multi_budget *budget,
              multi_done_fn *done, void *arg, struct multi **out_multi);

// All transfers must have been removed.
void multi_free(struct multi **multi);

// Whether connections may be made; lives as long as the handle it was given to.
struct multi_gate {
    struct multi *multi; // multi_prepare() sets it
    multi_connect_fn *may_connect;
    void *arg;
};

// Sets what a handle needs for multi_add(), once in its life. The handle may
// not outlive the multi nor the gate. Returns 0 or -EINVAL.
int multi_prepare(struct multi *multi, CURL *easy, struct multi_gate *gate);

// Starts a transfer; not from inside libcurl's callbacks. Returns 0 or -ENOMEM.
int multi_add(struct multi *multi, CURL *easy);

// Takes a transfer out before its end: its connection is closed.
void multi_remove(struct multi *multi, CURL *easy);

// Runs what is due now and reports what has finished: at the end of each turn.
void multi_turn(struct multi *multi);

// True when multi_turn() should be called again without sleep.
bool multi_is_due(const struct multi *multi);

#endif
