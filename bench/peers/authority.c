#include "authority.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESSES 65536 // 127.0.X.Y
#define DAY_S (24 * 3600)

static X509 *authority, *certificates[ADDRESSES];
static EVP_PKEY *key; // everybody's
static uint64_t serials;

static void
check(bool is_good, const char *what)
{
    if (is_good)
        return;
    (void)fprintf(stderr, "authority: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

// Signed by the authority; of the authority itself when there is none yet.
static X509 *
new_certificate(const char *name, const char *extension, int nid)
{
    X509 *made = X509_new();
    X509_NAME *subject = X509_get_subject_name(made);
    X509_EXTENSION *added = X509V3_EXT_conf_nid(NULL, NULL, nid, extension);

    check(added, extension);
    (void)X509_set_version(made, 2); // which is 3
    (void)ASN1_INTEGER_set_uint64(X509_get_serialNumber(made), ++serials);
    (void)X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(made), DAY_S);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_issuer_name(
        made, authority ? X509_get_subject_name(authority) : subject);
    (void)X509_set_pubkey(made, key);
    (void)X509_add_ext(made, added, -1);
    X509_EXTENSION_free(added);
    check(X509_sign(made, key, EVP_sha256()), "X509_sign");
    return made;
}

void
authority_make(const char *path)
{
    FILE *file = fopen(path, "w");

    check(file, path);
    key = EVP_EC_gen("P-256");
    check(key, "EVP_EC_gen");
    authority = new_certificate("authority of the late origin",
                                "critical,CA:TRUE", NID_basic_constraints);
    check(PEM_write_X509(file, authority) == 1 && fclose(file) == 0, path);
}

// That of the address which the client has connected to.
static int
on_certificate(SSL *tls, void *arg)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    uint32_t host;
    char name[64];

    (void)arg;
    if (getsockname(SSL_get_fd(tls), (struct sockaddr *)&address, &len) != 0)
        return 0;
    host = ntohl(address.sin_addr.s_addr) % ADDRESSES;
    if (!certificates[host]) {
        (void)snprintf(name, sizeof(name), "IP:127.0.%u.%u", host >> 8,
                       host & 255);
        certificates[host] = new_certificate(name, name, NID_subject_alt_name);
    }
    return SSL_use_certificate(tls, certificates[host]) == 1 &&
           SSL_use_PrivateKey(tls, key) == 1;
}

static int
on_alpn(SSL *tls, const unsigned char **chosen, unsigned char *chosen_len,
        const unsigned char *offered, unsigned offered_len, void *arg)
{
    const char *wanted = arg;

    (void)tls;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)chosen,
                                 chosen_len, (const unsigned char *)wanted,
                                 (unsigned)strlen(wanted), offered,
                                 offered_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX *
authority_context(const char *protocol)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    check(context, "SSL_CTX_new");
    SSL_CTX_set_read_ahead(context, 1); // one read(2) a record, not two
    (void)SSL_CTX_set_session_id_context(context, (const void *)"late", 4);
    SSL_CTX_set_cert_cb(context, on_certificate, NULL);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, (void *)(uintptr_t)protocol);
    return context;
}
