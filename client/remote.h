// remote.h - a client's connection to a broker: requests out, replies in
//
// Speaks proto/urlsum.proto over one DEALER socket. A request is kept, packed,
// until its reply is here: when the connection breaks, everything unanswered is
// sent again, in order, on the next one, for every request of the contract may
// be repeated. The same happens, a second later, to what the broker could not
// store just now (Error UNAVAILABLE), and to submissions behind it, which it
// refused as gaps. One thread.
#ifndef CLIENT_REMOTE_H
#define CLIENT_REMOTE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urlsum.pb-c.h>
#include <zmq.h>

// Requests that may be unanswered at once (the contract's limit).
#define REMOTE_REQUESTS_MAX 16

struct curve;
struct remote;

struct remote_config {
    const char *broker;        // endpoint as written by the user
    const struct curve *curve; // keys, borrowed; NULL: none
    int64_t connect_wait_ms;   // until the broker is reached the first time
    int64_t broker_wait_ms;    // for it to come back, or to store again
    int interrupt_fd; // ends remote_call() when it becomes readable; -1: none
    // Called when the broker has not answered, or not stored, for two seconds,
    // with a printable phrase; and with NULL when that is over. NULL is fine.
    void (*on_trouble)(void *arg, const char *why);
    void *arg;
};

// Makes the socket and begins to connect. Returns 0, -EINVAL (endpoint), or
// another negative errno. The caller owns *out_remote; zmq (the context) and
// config->broker are borrowed for its life.
int remote_new(void *zmq, const struct remote_config *config,
               struct remote **out_remote);

// Drops what is unanswered. NULL is fine.
void remote_free(struct remote **remote);

// Called with the reply to one request, an Error too. The reply is valid during
// the call. It may remote_send().
typedef void remote_reply_fn(void *arg, const Urlsum__V1__Reply *reply);

// Sends a request (id and version are filled in). At most REMOTE_REQUESTS_MAX
// may be unanswered. Returns 0 or -ENOMEM.
int remote_send(struct remote *remote, Urlsum__V1__Request *request,
                remote_reply_fn *fn, void *arg);

// Sleeps until something happened here or at one of the other items, at most
// timeout_ms; handles replies. Returns 0 (revents of the items are set),
// -EHOSTUNREACH when the broker is given up, -EPROTO when what answers is not a
// broker's client endpoint, or -ENOMEM. remote_error() has the sentence.
int remote_wait(struct remote *remote, zmq_pollitem_t *others, size_t len,
                int64_t timeout_ms) __attribute__((warn_unused_result));

// True when a reply waits already: a later flush will do.
bool remote_has_input(struct remote *remote);

// One request, one reply, waited for. *out_reply is valid until the next call
// of remote_wait() or remote_call() and is never an Error: that becomes
// -EREMOTE, and remote_error() the broker's sentence (-ENOENT for
// NO_SUCH_BATCH, -EEXIST for CONFLICT, -EINVAL for BAD_REQUEST). -EINTR: the
// interrupt came first.
int remote_call(struct remote *remote, Urlsum__V1__Request *request,
                const Urlsum__V1__Reply **out_reply)
    __attribute__((warn_unused_result));

// Why remote_wait() or remote_call() failed, for people; printable.
const char *remote_error(const struct remote *remote);

// A broker's Error as such a sentence, into a buffer of its own.
const char *remote_error_text(struct remote *remote,
                              const Urlsum__V1__Error *error);

#endif
