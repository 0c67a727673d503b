// tls.h - what of TLS libcurl leaves to its users
//
// Loop thread only, and one such loop a process.
#ifndef FETCHER_TLS_H
#define FETCHER_TLS_H
#include <curl/curl.h>
#include <stdbool.h>

// For a body that the end of its connection ends: sets *is_announced when TLS
// announces that end (close_notify). Without, anybody on the way may have cut
// the body, and libcurl with OpenSSL takes it for complete. Call it when the
// answer's header has come; *is_announced must live as long as the connection.
// False: there is no TLS, or one that libcurl believes an end of only when it
// was announced.
bool tls_watch_end(CURL *easy, bool *is_announced);

// A request that is under way over a connection of its own; all zeroes: none.
struct tls_use {
    CURL *easy;
    void *ssl;
};

// Whether the connection that a request is about to be sent over speaks HTTP/2,
// which its handshake has settled, whatever its answers say.
bool tls_is_http2(CURL *easy);

// The socket of the connection that a request is about to be sent over, as
// tls_tell_socket() was told it for this request or an earlier one; libcurl
// does not say it before a request is over. CURL_SOCKET_BAD: nobody told, or
// there is no TLS.
curl_socket_t tls_socket(CURL *easy);
void tls_tell_socket(CURL *easy, curl_socket_t fd);

// A request is about to be sent over a connection that takes one at a time.
// False: another one is under way there, or bytes wait in TLS that were sent
// before it, and so are not its answer. True where there is no TLS. The handle
// must outlive the use, which ends when libcurl has taken the handle from the
// connection, when that ends, or by tls_use_end().
bool tls_use_begin(CURL *easy, struct tls_use *use);
// Fine for one that has not begun, or has ended.
void tls_use_end(struct tls_use *use);

// The version that the request's connection speaks: 10, 11, 12, 13; 0: no TLS,
// or not known. Call it when the answer's header has come.
unsigned tls_version(CURL *easy);

// What to do about a failure with this message of libcurl, for people; static;
// "" when the message says it all.
const char *tls_hint(const char *message);

#endif
