// redirect.h - where a redirect leads, and whether a transfer may go there
//
// libcurl follows none for us: each hop is a request of its own, looked at
// before it is made. URLs are parsed by curl_url() alone, as everywhere. Pure.
#ifndef FETCHER_REDIRECT_H
#define FETCHER_REDIRECT_H
#include "proto/fail.h"

#include <stdbool.h>

// Which schemes a redirect may lead to; others than http and https never.
enum redirect_rule {
    REDIRECT_KEEPS_HTTPS, // anywhere, but from https only to https
    REDIRECT_ANY,         // also from https to http
    REDIRECT_HTTPS_ONLY,  // only to https, from wherever
};

// Reads a value of --proto-redir, a list of "http" and "https" as curl takes
// it; NULL is the rule that holds without one. Returns 0 or -EINVAL.
int redirect_rule_parse(const char *text, enum redirect_rule *out_rule);

// Statuses whose Location is followed. 300 as curl does; not 304 and 305, whose
// Location means something else.
bool redirect_is_status(long status);

// Where a job began: what its user entrusted to that origin goes to no other.
struct redirect_home {
    char *scheme, *host, *port;
    char *user, *password; // of the URL itself; NULL: none
};

// url has been fetched, so it is well formed. Returns 0 or -ENOMEM.
int redirect_home_init(struct redirect_home *home, const char *url);
// One of zeroes is fine; it is one afterwards.
void redirect_home_fini(struct redirect_home *home);

struct redirect_step {
    char *url;           // absolute, the caller's to curl_free(); its user-info
                         // is the redirect's own, never the last URL's
    bool is_home;        // it leads to home's origin
    bool names_user;     // the URL has user-info
    const char *refusal; // one clause, static, where it may not be followed
};

// The step from the URL from to the Location header's value. Returns FAIL_OK
// with *out_step filled, or why not, with out_step->refusal alone.
enum fail redirect_next(const struct redirect_home *home, const char *from,
                        const char *location, enum redirect_rule rule,
                        struct redirect_step *out_step);

#endif
