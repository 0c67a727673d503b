#include "fetcher/outcome.h"

#include <curl/curl.h>
#include <stddef.h>

struct row {
    CURLcode code;
    enum fail fail;
};

// Codes that are not here cannot come of http downloads, or mean that something
// of ours is amiss: FAIL_INTERNAL.
static const struct row rows[] = {
    {CURLE_UNSUPPORTED_PROTOCOL, FAIL_SCHEME},
    {CURLE_URL_MALFORMAT, FAIL_INVALID_URL},
    {CURLE_COULDNT_RESOLVE_PROXY, FAIL_DNS},
    {CURLE_COULDNT_RESOLVE_HOST, FAIL_DNS},
    {CURLE_COULDNT_CONNECT, FAIL_CONNECT},
    {CURLE_WEIRD_SERVER_REPLY, FAIL_PROTOCOL},
    {CURLE_HTTP2, FAIL_PROTOCOL},
    {CURLE_PARTIAL_FILE, FAIL_CUT},
    {CURLE_HTTP_RETURNED_ERROR, FAIL_HTTP},
    {CURLE_OPERATION_TIMEDOUT, FAIL_TIMEOUT},
    {CURLE_SSL_CONNECT_ERROR, FAIL_TLS},
    {CURLE_INTERFACE_FAILED, FAIL_CONNECT},
    {CURLE_TOO_MANY_REDIRECTS, FAIL_REDIRECTS},
    {CURLE_GOT_NOTHING, FAIL_CUT},
    {CURLE_SSL_ENGINE_NOTFOUND, FAIL_TLS},
    {CURLE_SSL_ENGINE_SETFAILED, FAIL_TLS},
    {CURLE_SEND_ERROR, FAIL_CUT},
    {CURLE_RECV_ERROR, FAIL_CUT},
    {CURLE_SSL_CERTPROBLEM, FAIL_TLS},
    {CURLE_SSL_CIPHER, FAIL_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, FAIL_TLS},
    {CURLE_BAD_CONTENT_ENCODING, FAIL_PROTOCOL},
    {CURLE_FILESIZE_EXCEEDED, FAIL_TOO_LARGE},
    {CURLE_USE_SSL_FAILED, FAIL_TLS},
    {CURLE_SSL_ENGINE_INITFAILED, FAIL_TLS},
    {CURLE_SSL_CACERT_BADFILE, FAIL_TLS},
    {CURLE_SSL_SHUTDOWN_FAILED, FAIL_TLS},
    {CURLE_SSL_CRL_BADFILE, FAIL_TLS},
    {CURLE_SSL_ISSUER_ERROR, FAIL_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, FAIL_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, FAIL_TLS},
    {CURLE_HTTP2_STREAM, FAIL_CUT},
    {CURLE_HTTP3, FAIL_PROTOCOL},
    {CURLE_QUIC_CONNECT_ERROR, FAIL_CONNECT},
    {CURLE_PROXY, FAIL_CONNECT},
    {CURLE_SSL_CLIENTCERT, FAIL_TLS},
};

static enum fail
fail_of_code(CURLcode code)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].code == code)
            return rows[i].fail;
    }
    return FAIL_INTERNAL;
}

static enum fail
fail_of_status(int status, bool is_any_status)
{
    if (is_any_status)
        return FAIL_OK;
    if (status == 206)
        return FAIL_PROTOCOL; // no Range was asked for
    return status >= 200 && status <= 299 ? FAIL_OK : FAIL_HTTP;
}

enum fail
outcome(const struct outcome_of *of)
{
    CURLcode code = (CURLcode)of->curl_code;

    if (of->stopped != FAIL_OK)
        return of->stopped;
    if (code == CURLE_OK)
        return fail_of_status(of->http_status, of->is_any_status);
    // libcurl says "unsupported protocol" of HTTP/0.9 as well: bytes that are
    // no HTTP answer.
    if (code == CURLE_UNSUPPORTED_PROTOCOL && of->is_asked)
        return FAIL_PROTOCOL;
    // Nor does it take trailers that are no fields,
    if (code == CURLE_BAD_FUNCTION_ARGUMENT && of->http_status)
        return FAIL_PROTOCOL;
    // and a line of more than 100 KiB is more memory than it wants to give.
    if (code == CURLE_OUT_OF_MEMORY && of->is_in_header)
        return FAIL_PROTOCOL;
    return fail_of_code(code);
}

int
outcome_curl_code(enum fail fail, int curl_code)
{
    if (fail == FAIL_HTTP)
        return CURLE_HTTP_RETURNED_ERROR;
    if (fail == FAIL_TOO_LARGE)
        return CURLE_FILESIZE_EXCEEDED;
    // Of a redirect that is not followed: the answer itself was well.
    if (fail == FAIL_REDIRECTS)
        return CURLE_TOO_MANY_REDIRECTS;
    if (fail == FAIL_SCHEME)
        return CURLE_UNSUPPORTED_PROTOCOL;
    if (fail == FAIL_DNS)
        return CURLE_COULDNT_RESOLVE_HOST;
    if (fail == FAIL_BLOCKED_ADDRESS)
        return CURLE_COULDNT_CONNECT;
    if (fail == FAIL_INVALID_URL || fail == FAIL_URL_TOO_LONG)
        return CURLE_URL_MALFORMAT;
    if (fail == FAIL_PROTOCOL &&
        (curl_code == CURLE_OK || curl_code == CURLE_WRITE_ERROR))
        return CURLE_WEIRD_SERVER_REPLY;
    return curl_code;
}
