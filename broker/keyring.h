// keyring.h - whose keys may connect, by role: a directory as it was read
//
// DIR/client/*.pub, DIR/fetcher/*.pub and DIR/hasher/*.pub, each a public key
// (common/key.h). A file's name is what the key is called in logs. A key may be
// in several directories. What begins with a dot is left out, symbolic links
// are followed. A keyring does not change any more once it was read: a change
// is another keyring. Any thread, one at a time.
#ifndef BROKER_KEYRING_H
#define BROKER_KEYRING_H
#include "broker/refusals.h"
#include "common/key.h"

#include <stdbool.h>
#include <stddef.h>

// Keys of one role: four for each session there can be of it. A key is 300
// bytes here.
#define KEYRING_ROLE_MAX 4096
// Bad files that are named; more are counted.
#define KEYRING_TROUBLES_MAX 16
// Bytes of a key's name in the log; longer ones are cut.
#define KEYRING_NAME_MAX 64

struct keyring;

struct keyring_key {
    struct key key;
    char label[KEYRING_NAME_MAX * 4 + 3]; // the file's name, fit for the log
};

// Reads the directories. A missing one is an empty one; a file that is no key
// is left out and told by keyring_trouble(). Returns 0, -ENOMEM, or the
// negative errno of a directory or file that could not be read though it is
// there: then nothing is known, and out_path (of that size) names it.
int keyring_read(const char *dir, struct keyring **out_keyring, char *out_path,
                 size_t path_size);
void keyring_free(struct keyring **keyring);

// The key as it is in the role's list, or NULL.
const struct keyring_key *keyring_find(const struct keyring *keyring,
                                       enum access_role role, const char *key);

size_t keyring_len(const struct keyring *keyring, enum access_role role);

// The n-th file that was left out; NULL: there is none. keyring_troubles(): how
// many there are.
struct keyring_trouble {
    char file[256]; // fit for the log
    char error[160];
};
const struct keyring_trouble *keyring_trouble(const struct keyring *keyring,
                                              size_t n);
size_t keyring_troubles(const struct keyring *keyring);

// Calls fn for each key of the role that is in keyring and not in other; NULL
// other: for each.
void keyring_each_beyond(const struct keyring *keyring,
                         const struct keyring *other, enum access_role role,
                         void (*fn)(void *arg, enum access_role role,
                                    const struct keyring_key *key),
                         void *arg);

// True when both have the same keys, and the same troubles.
bool keyring_is_same(const struct keyring *a, const struct keyring *b);

#endif
