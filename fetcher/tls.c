#include "fetcher/tls.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Where a connection keeps is_announced: libcurl has its application data.
static int announced_index = -1;
// Where it keeps the tls_use of the request that is under way on it.
static int use_index = -1;
// Where it keeps one more than its socket's number; 0: that is not known yet.
static int socket_index = -1;

static void
on_info(const SSL *ssl, int where, int value)
{
    bool *is_announced = SSL_get_ex_data(ssl, announced_index);

    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT &&
        (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
        *is_announced = true;
}

// The connection's, or NULL.
static SSL *
ssl_of(CURL *easy)
{
    const struct curl_tlssessioninfo *session = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK ||
        !session || session->backend != CURLSSLBACKEND_OPENSSL)
        return NULL;
    return session->internals;
}

bool
tls_watch_end(CURL *easy, bool *is_announced)
{
    SSL *ssl = ssl_of(easy);

    *is_announced = false;
    if (!ssl)
        return false;
    if (announced_index < 0)
        announced_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (!SSL_set_ex_data(ssl, announced_index, is_announced))
        return false;
    SSL_set_info_callback(ssl, on_info);
    return true;
}

bool
tls_is_http2(CURL *easy)
{
    const SSL *ssl = ssl_of(easy);
    const unsigned char *protocol = NULL;
    unsigned len = 0;

    if (ssl)
        SSL_get0_alpn_selected(ssl, &protocol, &len);
    return len == 2 && memcmp(protocol, "h2", 2) == 0;
}

curl_socket_t
tls_socket(CURL *easy)
{
    const SSL *ssl = ssl_of(easy);
    uintptr_t number = 0;

    if (ssl && socket_index >= 0)
        number = (uintptr_t)SSL_get_ex_data(ssl, socket_index);
    return number ? (curl_socket_t)number - 1 : CURL_SOCKET_BAD;
}

void
tls_tell_socket(CURL *easy, curl_socket_t fd)
{
    SSL *ssl = ssl_of(easy);

    if (socket_index < 0)
        socket_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (ssl) // in vain without memory: it is told again
        (void)SSL_set_ex_data(ssl, socket_index, (void *)(uintptr_t)(fd + 1));
}

static void
on_freed(void *ssl, void *use, CRYPTO_EX_DATA *data, int at, long number,
         void *arg)
{
    (void)ssl, (void)data, (void)at, (void)number, (void)arg;
    if (use)
        ((struct tls_use *)use)->ssl = NULL;
}

bool
tls_use_begin(CURL *easy, struct tls_use *use)
{
    SSL *ssl = ssl_of(easy);
    struct tls_use *other;

    tls_use_end(use); // libcurl may have tried another connection in vain
    if (!ssl)
        return true;
    if (use_index < 0)
        use_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_freed);
    other = SSL_get_ex_data(ssl, use_index);
    // libcurl gives a connection to the next one before it reports the end.
    if ((other && ssl_of(other->easy) == ssl) || SSL_pending(ssl) > 0)
        return false;
    if (!SSL_set_ex_data(ssl, use_index, use))
        return false;
    if (other)
        other->ssl = NULL;
    *use = (struct tls_use){.easy = easy, .ssl = ssl};
    return true;
}

void
tls_use_end(struct tls_use *use)
{
    if (use->ssl)
        (void)SSL_set_ex_data(use->ssl, use_index, NULL);
    use->ssl = NULL;
}

unsigned
tls_version(CURL *easy)
{
    const SSL *ssl = ssl_of(easy);

    switch (ssl ? SSL_version(ssl) : 0) {
    case TLS1_VERSION:
        return 10;
    case TLS1_1_VERSION:
        return 11;
    case TLS1_2_VERSION:
        return 12;
    case TLS1_3_VERSION:
        return 13;
    default:
        return 0;
    }
}

const char *
tls_hint(const char *message)
{
    // OpenSSL's words, which hardly change; without them there is no hint.
    static const struct {
        const char *words, *hint;
    } rows[] = {
        {"certificate has expired", "; its owner must renew it"},
        {"not yet valid", "; is this machine's clock right?"},
        {"self-signed certificate", "; --cacert trusts it, or its CA"},
        {"self signed certificate", "; --cacert trusts it, or its CA"},
        {"unable to get local issuer", "; --cacert trusts its CA"},
        {"unable to get issuer", "; --cacert trusts its CA"},
        {"subject name", "; the certificate is another host's"},
        {"wrong version number", "; is it TLS that this port speaks?"},
        {"packet length too long", "; is it TLS that this port speaks?"},
        {"unsupported protocol", "; its TLS is too old"},
        {"protocol version", "; its TLS is too old"},
        {"legacy sigalg", "; its TLS is too old"},
        {"SSL_ERROR_SYSCALL", "; it hung up in the handshake"},
        {"unexpected eof", "; it hung up in the handshake"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (strstr(message, rows[i].words))
            return rows[i].hint;
    }
    return "";
}
