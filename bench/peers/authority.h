// authority.h - certificates for every address of 127.0.0.0/16, made when asked
//
// One thread; what cannot be done ends the program.
#ifndef PEERS_AUTHORITY_H
#define PEERS_AUTHORITY_H
#include <openssl/ssl.h>

// Makes the authority, once, and writes its certificate to path (PEM).
void authority_make(const char *path);

// What a server needs that speaks the one protocol (as ALPN has it: its name
// behind a byte of its length). A connection shows the certificate of the
// address that the client has connected to.
SSL_CTX *authority_context(const char *protocol);

#endif
