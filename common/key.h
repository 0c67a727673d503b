// key.h - key files: one CURVE key as text
//
// A file has one line "urlsum-public-key KEY" or "urlsum-secret-key KEY", KEY
// in Z85 (ZeroMQ RFC 32: 40 characters for 32 bytes). Empty lines and lines
// that begin with '#' are left out. The word before the key is there so that a
// secret is never taken for what may be handed on. Any thread.
#ifndef COMMON_KEY_H
#define COMMON_KEY_H
#include <stddef.h>

// Characters of a key, and bytes.
#define KEY_CHARS 40
#define KEY_BYTES 32
// Bytes of a key file: the key, and room for what people note beside it.
#define KEY_FILE_BYTES_MAX 4096

enum key_kind { KEY_PUBLIC, KEY_SECRET };

struct key {
    char text[KEY_CHARS + 1]; // Z85
};

// "urlsum-public-key" or "urlsum-secret-key".
const char *key_kind_word(enum key_kind kind);

// Reads the text of a key file. Returns NULL, or what is wrong with it
// (static); nothing of a secret is left behind then.
const char *key_parse(const char *text, size_t len, enum key_kind *out_kind,
                      struct key *out_key);

// Reads a key file. Refused are: what is no regular file; a secret that
// everybody may read, or others than its owner write (its group may read it:
// that is how containers are given secrets); a key of the other kind. Returns
// 0, -EINVAL (it is not what was asked for) or the negative errno of reading
// it; why gets a phrase for people, without the path.
int key_read(const char *path, enum key_kind kind, struct key *out_key,
             char *why, size_t why_size);

// The same, of either kind.
int key_read_any(const char *path, enum key_kind *out_kind, struct key *out_key,
                 char *why, size_t why_size);

// The public half of a secret. Returns 0 or -EINVAL (also when ZeroMQ was built
// without CURVE).
int key_public_of(const struct key *secret, struct key *out_public);

// Forgets a secret.
void key_wipe(struct key *key);

#endif
