// access.h - who may talk to the broker: keys, by role
//
// With --key-file every connection has to show a key that is in its endpoint's
// list. libzmq asks here (ZAP, ZeroMQ RFC 27) during the handshake, and puts
// the key on every message of that connection ("User-Id"), where it is compared
// with the list once more: so a key that is removed, or moved to another role,
// has nothing heard from then on, its sessions end and its connections are cut.
// Loop thread only; all functions take NULL for a broker without keys.
#ifndef BROKER_ACCESS_H
#define BROKER_ACCESS_H
#include "broker/refusals.h"

#include <stdbool.h>

struct access;
struct broker;
struct frames;
struct keyring_key;
struct role;

// Reads the broker's secret and the list, answers libzmq from now on, and
// follows changes of the list. *out_access stays NULL without --key-file.
// A role that takes signals reads it again at SIGHUP. Returns 0, or the
// program's exit code after having said what is wrong.
int access_new(struct broker *broker, struct role *role,
               struct access **out_access);

// After the endpoints were closed: without it libzmq would let every key in.
void access_free(struct access **access);

// Sets an endpoint up before it is bound. Returns 0 or a negative errno.
int access_bind(const struct access *access, enum access_role role,
                void *socket);

// Whether a message may be read. One of a key that is not in the list any more
// is counted and logged, and its connection cut.
bool access_admits(struct broker *broker, enum access_role role,
                   const struct frames *frames);

// The key of the message's connection, "": none was asked for. Lives as long as
// the message.
const char *access_key_of(const struct frames *frames);

// The key in the role's list, or NULL.
const struct keyring_key *access_find(const struct access *access,
                                      enum access_role role, const char *key);

// Refuses to serve strangers: an endpoint (resolved) that others than this
// machine's own programs can reach, without keys and without --insecure.
// Returns 0, or 2 after having said what to do.
int access_check_reach(const struct broker *broker, enum access_role role,
                       const char *endpoint);

#endif
