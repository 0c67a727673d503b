// keypair.h - a key pair as two files: NAME.key (secret, 0600) and NAME.pub
//
// A file is there whole or not at all, and none is ever replaced. The secret
// comes first: whoever is killed between the two leaves a secret of which the
// public half can be made, and keypair_make(is_kept) does.
#ifndef CLIENT_KEYPAIR_H
#define CLIENT_KEYPAIR_H
#include <stdbool.h>
#include <stddef.h>

enum keypair_outcome { KEYPAIR_MADE, KEYPAIR_COMPLETED, KEYPAIR_KEPT };

// Makes the pair of that name, a path without ".key". is_kept: a pair that is
// there is fine, and a public half that is missing is made. Returns 0, -EEXIST,
// -EINVAL (what is there is no pair) or the negative errno of a file; then why
// has a sentence for people.
int keypair_make(const char *name, bool is_kept,
                 enum keypair_outcome *out_outcome, char *why, size_t why_size);

#endif
