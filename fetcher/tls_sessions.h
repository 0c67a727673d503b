// tls_sessions.h - TLS sessions for whoever connects to an origin again
//
// A new connection to an origin that was connected to before can go on with its
// TLS session: one round trip less, and no certificates to check. libcurl keeps
// such sessions in a share, but eight of them at most; so there are many
// shares, and the origin decides which is its. libcurl looks at the
// settings too: what was agreed upon under others is not used. Loop thread
// only.
#ifndef FETCHER_TLS_SESSIONS_H
#define FETCHER_TLS_SESSIONS_H
#include <curl/curl.h>
#include <stdint.h>

struct tls_sessions;

// Of so many shares. Returns 0 or -ENOMEM. The caller owns *out_sessions.
int tls_sessions_new(size_t shares, struct tls_sessions **out_sessions);

// No handle may have one of its shares any more.
void tls_sessions_free(struct tls_sessions **sessions);

// The share for requests to an origin, given its hash; NULL without memory,
// which costs nothing but time.
CURLSH *tls_sessions_share(struct tls_sessions *sessions, uint64_t origin);

// Once for each handle: its sessions outlive the connections that they were
// agreed upon for, however those end.
CURLcode tls_sessions_prepare(CURL *easy);

#endif
