#include "fetcher/tls_sessions.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct tls_sessions {
    size_t len;
    CURLSH *shares[]; // made when first wanted
};

int
tls_sessions_new(size_t shares, struct tls_sessions **out_sessions)
{
    struct tls_sessions *sessions =
        calloc(1, sizeof(*sessions) + shares * sizeof(*sessions->shares));

    if (!sessions)
        return -ENOMEM;
    sessions->len = shares;
    *out_sessions = sessions;
    return 0;
}

void
tls_sessions_free(struct tls_sessions **sessions)
{
    if (!*sessions)
        return;
    for (size_t i = 0; i < (*sessions)->len; i++) {
        if ((*sessions)->shares[i])
            (void)curl_share_cleanup((*sessions)->shares[i]);
    }
    free(*sessions);
    *sessions = NULL;
}

CURLSH *
tls_sessions_share(struct tls_sessions *sessions, uint64_t origin)
{
    CURLSH **share = &sessions->shares[origin % sessions->len];

    if (*share)
        return *share;
    *share = curl_share_init();
    // One thread uses it: no locks. Names and connections are the multi's.
    if (*share)
        (void)curl_share_setopt(*share, CURLSHOPT_SHARE,
                                CURL_LOCK_DATA_SSL_SESSION);
    return *share;
}

// libcurl's, the same for all contexts of this thread.
static _Thread_local int (*put_into_cache)(SSL *ssl, SSL_SESSION *session);

// OpenSSL spoils a session when one of its connections ends without a word, as
// those of HTTP/2 do in libcurl 7.88. So no connection has the cache's own.
static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);

    if (copy && !put_into_cache(ssl, copy))
        SSL_SESSION_free(copy);
    return 0; // the original is not kept
}

static void
on_state(const SSL *ssl, int where, int value)
{
    SSL_SESSION *copy, *session = SSL_get0_session(ssl);

    (void)value;
    if (!(where & SSL_CB_HANDSHAKE_START) || !session)
        return;
    copy = SSL_SESSION_dup(session);
    // OpenSSL hands its callbacks the connection itself.
    if (copy)
        (void)SSL_set_session((SSL *)(uintptr_t)ssl, copy);
    SSL_SESSION_free(copy);
}

static CURLcode
on_context(CURL *easy, void *context, void *arg)
{
    (void)easy, (void)arg;
    put_into_cache = SSL_CTX_sess_get_new_cb(context);
    if (!put_into_cache)
        return CURLE_OK;
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    SSL_CTX_set_info_callback(context, on_state);
    return CURLE_OK;
}

CURLcode
tls_sessions_prepare(CURL *easy)
{
    const char *library = curl_version_info(CURLVERSION_NOW)->ssl_version;

    // Another one's contexts are something else.
    if (!library || strncmp(library, "OpenSSL/", 8) != 0)
        return CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
}
