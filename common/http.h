// http.h - /metrics, /livez and /readyz of a daemon
//
// libmicrohttpd without threads of its own, on the program's loop: whoever gets
// an answer knows that the loop turns, and what is told needs no lock.
// Strangers may come: connections, their time and their memory are bounded
// (limits.h), and nobody learns of a URL or a host here. Loop thread only.
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H
#include <stdbool.h>
#include <stddef.h>

struct http;
struct loop;
struct metrics_page;

// Bytes of a sentence that says why not, its end included.
#define HTTP_WHY_MAX 256

// The option row of every daemon; to is where the address is in its config.
#define HTTP_OPTION(to)                                                        \
    {                                                                          \
        .name = "http", .type = CONF_STRING, .offset = (to),                   \
        .arg = "ADDRESS:PORT",                                                 \
        .help = "Serve /metrics, /livez and /readyz over HTTP there (port "    \
                "5553 unless given); not given: nowhere."                      \
    }

struct http_owner {
    void *arg;
    const char *program; // "urlsum-broker"
    // True when it does what it is for; else says in why (HTTP_WHY_MAX bytes)
    // what is in the way.
    bool (*is_ready)(void *arg, char *why);
    // False, with the reason, when a part of the program hangs that the loop
    // cannot speak for; NULL: the loop is all there is.
    bool (*is_live)(void *arg, char *why);
    // Adds the program's own families.
    void (*put_metrics)(void *arg, struct metrics_page *page);
};

// True for an address that can be listened at ("127.0.0.1:5553", "[::1]",
// "localhost:80"), as far as its text tells.
bool http_is_address(const char *text);

// Listens at the address and serves. owner is copied. Returns 0 or a negative
// errno, said in the log (http.not_served). The caller owns *out_http.
int http_new(struct loop *loop, const char *address,
             const struct http_owner *owner, struct http **out_http);

// Before loop_free(). NULL is fine.
void http_free(struct http **http);

#endif
