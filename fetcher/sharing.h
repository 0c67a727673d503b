// sharing.h - what a transfer's requests share with others: connections of
// HTTP/2, and TLS sessions
#ifndef FETCHER_SHARING_H
#define FETCHER_SHARING_H
#include <curl/curl.h>
#include <stdbool.h>

struct convoy_member;
struct convoys;
struct transfer;

// Sets what a new handle needs.
CURLcode sharing_prepare(struct transfer *transfer);

// The next request's URL: whether it may share, and with whom. Returns 0 or
// -ENOMEM.
int sharing_tell_origin(struct transfer *transfer, const char *url);
// It is to have a connection that is made for it.
void sharing_tell_fresh(struct transfer *transfer, bool is_fresh);

// A server may end a connection after so many requests, and those that came too
// late are answered by none. libcurl asks again by itself, but over another
// connection that others may use up as well, and gives up after five. One that
// is made for this request alone will show whether the server answers.
bool sharing_left_behind(const struct transfer *transfer, CURLcode code);
// Asks so. Returns whether it could.
bool sharing_ask_alone(struct transfer *transfer);

// Whether a request has ended of whose body it is not certain that it is
// complete (apart.h).
bool sharing_end_is_doubtful(struct transfer *transfer);
// Asks for it once more, where its end is certain. Returns whether it could.
bool sharing_ask_apart(struct transfer *transfer);

// A transfer that waited for others of its convoy and can be resumed, or NULL.
struct transfer *sharing_next_held(struct convoys *convoys);

// The convoys' hold.
bool sharing_hold(struct convoy_member *member);

#endif
