// fail.h - why a job can end: number, name, soft or hard, one row each
//
// The numbers travel in FETCHED frames and stand in the store; they are never
// reused. The names are what users see in records and on stderr.
// soft: the same URL may well succeed in a minute, so it is tried again while
// the batch's --retry lasts. hard: trying again would give the same answer,
// unless --retry-all-errors. Which HTTP statuses are soft is the list that
// curl's --retry documents: 408 429 500 502 503 504.
#ifndef PROTO_FAIL_H
#define PROTO_FAIL_H
#include <stdbool.h>
#include <stdint.h>

//    number, symbol, name, soft, what it means
#define FAILS(X)                                                               \
    X(0, OK, "ok", false, "the whole body arrived and was digested")           \
    X(1, INVALID_URL, "invalid_url", false, "not a URL that libcurl can read") \
    X(2, URL_TOO_LONG, "url_too_long", false, "longer than 64 KiB")            \
    X(3, SCHEME, "scheme", false, "neither http nor https")                    \
    X(4, DNS, "dns", true, "the host's name has no address")                   \
    X(5, CONNECT, "connect", false, "no connection: refused, unreachable")     \
    X(6, TIMEOUT, "timeout", true, "no answer in time, or too slow")           \
    X(7, TLS, "tls", false, "TLS or its certificate failed")                   \
    X(8, REDIRECTS, "redirects", false, "more redirects than --max-redirs")    \
    X(9, HTTP, "http", false, "a status other than 2xx")                       \
    X(10, CUT, "cut", true, "the connection ended before the body did")        \
    X(11, TOO_LARGE, "too_large", false, "larger than --max-filesize")         \
    X(12, PROTOCOL, "protocol", false, "an answer that breaks HTTP's rules")   \
    X(13, BLOCKED_ADDRESS, "blocked_address", false,                           \
      "the address policy forbids the host's address")                         \
    X(14, WORKER_LOST, "worker_lost", false,                                   \
      "it ran alone, after three losses, and two more workers were lost")      \
    X(15, CANCELLED, "cancelled", false, "its batch was cancelled")            \
    X(16, DIGEST, "digest", false, "no hasher could compute the digest")       \
    X(17, INTERNAL, "internal", true, "a worker ran out of something")         \
    X(18, HOST_DOWN, "host_down", false,                                       \
      "nobody could connect to its host for --give-up-host")

enum fail {
#define X(number, symbol, name, soft, meaning) FAIL_##symbol = (number),
    FAILS(X)
#undef X
        FAIL_COUNT
};

// True for a number of the table: check before a foreign number becomes a fail.
bool fail_is_known(uint64_t number);

// The name users see; static. fail must be of the table.
const char *fail_name(enum fail fail);

// What it means, one clause; static.
const char *fail_meaning(enum fail fail);

// True when another try may well succeed. http_status is looked at for
// FAIL_HTTP alone.
bool fail_is_soft(enum fail fail, int http_status);

#endif
