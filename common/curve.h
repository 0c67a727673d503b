// curve.h - ZeroMQ CURVE on our sockets: who we are, and whom we believe
//
// CURVE (ZeroMQ RFC 26) encrypts a connection and proves both ends: the broker
// by the secret of a public key that everybody else was given beforehand, the
// others by keys that the broker has in its list (broker/keyring.h).
#ifndef COMMON_CURVE_H
#define COMMON_CURVE_H
#include "common/conf.h"
#include "common/key.h"

#include <stdbool.h>

struct monitor_event;

// What CURVE adds to each frame: the command's name, a nonce, the
// authenticator, and the flags. ZMQ_MAXMSGSIZE counts them.
#define CURVE_FRAME_BYTES 33

// --- Who connects: --key-file and --broker-key-file ---
struct curve_options {
    const char *key_file;        // own secret
    const char *broker_key_file; // the broker's public key
};
extern const struct conf_option curve_options[];

struct curve {
    bool is_on; // false: plain connections
    struct key secret, own, broker;
};

// Reads both files, or none when none is named. Returns 0, or -EINVAL with a
// sentence for people in why. curve_fini() in either case.
int curve_load(const struct curve_options *options, struct curve *out_curve,
               char *why, size_t why_size);
void curve_fini(struct curve *curve);

// Sets a socket up before it connects. NULL or an empty curve: nothing to do.
// Returns 0 or a negative errno.
int curve_connect(const struct curve *curve, void *socket);

// --- Who binds ---

// Sets a socket up before it binds: every connection must show a key, about
// which ZAP's handler (ZeroMQ RFC 27) in this context is asked under the name
// of that domain. To be bound before and closed after: while there is no
// handler, libzmq lets every key in. Returns 0 or a negative errno.
int curve_bind(const struct key *secret, const char *domain, void *socket);

// --- Connections that did not come to be ---

// What ZMQ_EVENT_HANDSHAKE_FAILED_* says to who connected.
enum curve_failure {
    CURVE_FINE,
    CURVE_REFUSED,    // the broker does not have our key in its list
    CURVE_NO_KEYS,    // it has no keys, and we have
    CURVE_WANTS_KEYS, // it has keys, and we have none
    CURVE_IMPOSTOR,   // it has not the key that we were given
    CURVE_HUNG_UP,    // it left: most likely, our key of it is another's
    CURVE_BROKEN,     // something else
};

// An event that is about no failed handshake is CURVE_FINE.
enum curve_failure curve_failure_of(const struct curve *curve,
                                    const struct monitor_event *event);

// True when trying again is of no use until somebody changes a setting.
bool curve_is_final(enum curve_failure failure);

// What failed and what to do about it, for people, to follow "the broker at X
// ".
const char *curve_failure_text(enum curve_failure failure);

#endif
