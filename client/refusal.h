// refusal.h - a broker's Error: what it means to a command, and to people
//
// Pure.
#ifndef CLIENT_REFUSAL_H
#define CLIENT_REFUSAL_H
#include <stddef.h>
#include <urlsum.pb-c.h>

// -ENOENT (NO_SUCH_BATCH), -EEXIST (CONFLICT), -EINVAL (BAD_REQUEST), -EREMOTE
// (any other).
int refusal_errno(const Urlsum__V1__Error *error);

// A printable sentence, cut to size with its end.
void refusal_text(const Urlsum__V1__Error *error, char *out, size_t size);

#endif
