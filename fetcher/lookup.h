// lookup.h - how the host of a transfer's request gets its addresses
//
// libcurl wants addresses only when no open connection serves the request; it
// says so through a callback, which ends the request before anything was sent.
// lookup_is_wanted() is true then: the names' resolver is asked, or the
// profile's --resolve, what it finds is handed to libcurl for this handle
// alone, and the owner adds the same request again. Addresses that are written
// out need none of it, and neither do hosts that a proxy looks up. Loop thread
// only.
#ifndef FETCHER_LOOKUP_H
#define FETCHER_LOOKUP_H
#include "fetcher/resolver.h"
#include "proto/fail.h"

#include <curl/curl.h>
#include <stdbool.h>

struct host;
struct names;
struct profile;
struct settings;

// FAIL_OK: the request is to be added again. Otherwise it cannot be, and why is
// a clause, for as long as the callback lasts.
typedef void lookup_done_fn(void *arg, enum fail fail, const char *why);

// Embedded in a transfer.
struct lookup {
    CURL *easy;
    struct names *names;
    const struct settings *settings;
    const struct profile *profile; // of the job; NULL: none
    lookup_done_fn *done;
    void *arg;
    bool is_wanted;     // libcurl has ended the request for want of addresses
    unsigned given;     // how often addresses were given to this request
    struct host *host;  // that is looked up
    uint64_t asked_us;  // when
    uint64_t waited_us; // for the requests of the job so far
    struct resolver_wait wait;
    struct curl_slist *list; // the handle's, as long as it is set
};

// Once for each handle; *lookup is all zeroes. Returns 0 or -EINVAL.
int lookup_init(struct lookup *lookup, CURL *easy, struct names *names,
                const struct settings *settings, lookup_done_fn *done,
                void *arg);
// After the handle's end. One of zeroes is fine.
void lookup_fini(struct lookup *lookup);

// A request begins, of a new job or not.
void lookup_reset(struct lookup *lookup, bool is_new_job);

// The request that has ended did so for want of addresses alone.
bool lookup_is_wanted(const struct lookup *lookup);

// Looks the request's host up. Returns FAIL_OK when done will be called, else
// why that cannot be, with *out_why as for done.
enum fail lookup_begin(struct lookup *lookup, const char **out_why);

// True between lookup_begin() and done.
bool lookup_is_under_way(const struct lookup *lookup);
void lookup_cancel(struct lookup *lookup);

#endif
