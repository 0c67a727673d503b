// sharing.h - what a transfer's requests share with others: connections of
// HTTP/2, and TLS sessions
//
// Loop thread only.
#ifndef FETCHER_SHARING_H
#define FETCHER_SHARING_H
#include <curl/curl.h>
#include <stdbool.h>

struct convoy_member;
struct convoys;
struct pilot_member;
struct transfer;

// Sets what a new handle needs.
CURLcode sharing_prepare(struct transfer *transfer);

// The next request's URL: whether it may share, and with whom. Returns 0 or
// -ENOMEM.
int sharing_tell_origin(struct transfer *transfer, const char *url);
// It is to have a connection that is made for it.
void sharing_tell_fresh(struct transfer *transfer, bool is_fresh);

// The request is set up: it begins, or waits for the one that has gone ahead to
// its origin (pilot.h).
void sharing_begin(struct transfer *transfer);
// Whether it waits so.
bool sharing_waits(const struct transfer *transfer);
// Whether it waits for its host's addresses, or for one that does.
bool sharing_waits_for_addresses(const struct transfer *transfer);
// It is over, or will not begin: nobody waits for it any more.
void sharing_land(struct transfer *transfer);

// Its connection is to be closed when it is over.
void sharing_tell_last(struct transfer *transfer, bool is_last);

// The header of an answer has come: what follows it on its connection may not
// be the next answer. So it is after one that has no body by definition, which
// some servers send all the same, and where two fields say where a body ends.
void sharing_on_header(struct transfer *transfer, int status);

// Whether a request has ended for which its connection is to blame, and not the
// URL. A server may end a connection after so many requests, and those that
// came too late are answered by none; libcurl asks again by itself, but over
// another connection that others may use up as well, and gives up after five.
// Or what came over a connection that was used before is no answer: the rest of
// an earlier one. One that is made for this request alone will show what the
// server answers.
bool sharing_is_unanswered(struct transfer *transfer, CURLcode code);
// Asks so. Returns whether it could.
bool sharing_ask_alone(struct transfer *transfer);
// The request is over.
void sharing_leave(struct transfer *transfer);

// Whether a request has ended of whose body it is not certain that it is
// complete (apart.h).
bool sharing_end_is_doubtful(struct transfer *transfer);
// Asks for it once more, where its end is certain. Returns whether it could.
bool sharing_ask_apart(struct transfer *transfer);

// A transfer that waited for others of its convoy and can be resumed, or NULL.
struct transfer *sharing_next_held(struct convoys *convoys);

// The convoys' hold.
bool sharing_hold(struct convoy_member *member);

// The pilots' go.
void sharing_go(struct pilot_member *member, bool is_shared);

#endif
