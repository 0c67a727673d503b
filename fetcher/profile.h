// profile.h - how a batch's requests are made, as the broker told it
//
// A profile stays as long as a place has it or a transfer uses it: the places
// may be told others meanwhile. One that changes which server is reached, or
// whether that is trusted, has multis and TLS sessions of its own, so that no
// connection and no session made under it serves anybody else, nor any other's
// serves it: libcurl's own matching looks at some of this (TLS settings) and
// not at the rest (addresses, a proxy's password). Loop thread only.
#ifndef FETCHER_PROFILE_H
#define FETCHER_PROFILE_H
#include "fetcher/multis.h"
#include "fetcher/resolver.h"
#include "proto/wire.h"

#include <curl/curl.h>
#include <stdbool.h>

struct profile {
    unsigned refs;
    uint64_t id;                   // of no other profile, ever; not 0
    struct curl_slist *headers;    // as the user wrote them, each checked
    char *user_agent;              // "": no such header; NULL: the fetcher's
    char *user, *password, *proxy; // NULL: none
    struct wire_bytes cacert;      // PEM; at == NULL: the fetcher's
    char **resolve;                // "HOST:PORT:ADDRESS,..."
    size_t resolve_len;
    bool is_insecure, is_compressed;
    bool is_unusable;                  // its proxy is no URL
    uint64_t ip_version, http_version; // 0: any
    struct multis *multis; // its own; NULL: connections are everybody's
    struct tls_sessions *tls_sessions; // ... and sessions
    struct profile *next;              // those with multis
};

struct profiles {
    struct profile *places[WIRE_PROFILES_MAX];
    struct profile *apart; // those with multis, also when nobody uses them
    uint64_t last_id;
    struct multis_config config; // of their multis
};

void profiles_init(struct profiles *profiles,
                   const struct multis_config *config);

// PROFILE came. Returns 0 or a negative errno; then the place is empty.
int profiles_put(struct profiles *profiles, uint64_t place,
                 const struct wire_profile *wire);
// The session is over: all places are empty.
void profiles_clear(struct profiles *profiles);
// All transfers must have ended.
void profiles_fini(struct profiles *profiles);

// Runs their multis, at the end of each turn, and frees those that nobody uses
// any more.
void profiles_turn(struct profiles *profiles);
bool profiles_is_due(const struct profiles *profiles);

// For another user of it, or one less. Nothing is freed before
// profiles_turn() if it has multis: one may be at work just now.
struct profile *profile_ref(struct profile *profile);
void profile_unref(struct profile **profile);

// Whether libcurl can make sense of a proxy's URL. It quotes one that it
// cannot, with its password.
bool profile_is_proxy(const char *proxy);

// Where --resolve leads for the host and port. Returns false when it says
// nothing of them. The result has no addresses of a family that is not wanted.
bool profile_resolve(const struct profile *profile, const char *host,
                     const char *port, struct dns_address *addresses,
                     struct resolver_result *out_result);

// Addresses of one --resolve entry that count.
#define PROFILE_ADDRESSES_MAX 16

#endif
