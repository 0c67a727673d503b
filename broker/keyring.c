#include "broker/keyring.h"

#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PATH_BYTES 4096

struct entry {
    struct keyring_key key;
    UT_hash_handle hh;
};

struct keyring {
    struct entry *entries[ACCESS_ROLES];
    struct keyring_trouble *troubles; // KEYRING_TROUBLES_MAX, or NULL: none
    size_t troubles_len;
};

// --- Reading ---

static int
note_trouble(struct keyring *keyring, const char *path, const char *why)
{
    struct keyring_trouble *trouble;

    if (!keyring->troubles)
        keyring->troubles =
            calloc(KEYRING_TROUBLES_MAX, sizeof(*keyring->troubles));
    if (!keyring->troubles)
        return -ENOMEM;
    if (keyring->troubles_len < KEYRING_TROUBLES_MAX) {
        trouble = &keyring->troubles[keyring->troubles_len];
        (void)log_escape(path, strlen(path), trouble->file,
                         sizeof(trouble->file));
        (void)snprintf(trouble->error, sizeof(trouble->error), "%s", why);
    }
    keyring->troubles_len++;
    return 0;
}

static struct entry *
find(const struct keyring *keyring, enum access_role role, const char *key)
{
    struct entry *entry;

    HASH_FIND_STR(keyring->entries[role], key, entry);
    return entry;
}

static int
add(struct keyring *keyring, enum access_role role, const struct key *key,
    const char *name)
{
    size_t len = strlen(name) - strlen(".pub");
    struct entry *entry;

    if (find(keyring, role, key->text))
        return 0; // two files, one key
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    entry->key.key = *key;
    (void)log_escape(name, len < KEYRING_NAME_MAX ? len : KEYRING_NAME_MAX,
                     entry->key.label, sizeof(entry->key.label));
    HASH_ADD_STR(keyring->entries[role], key.key.text, entry);
    if (!entry->hh.tbl) { // not added: no memory
        free(entry);
        return -ENOMEM;
    }
    return 0;
}

// What says nothing about the file: another time it may well be read.
static bool
is_passing(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EIO ||
           err == -ESTALE || err == -EINTR;
}

static int
read_file(struct keyring *keyring, enum access_role role, const char *path,
          const char *name)
{
    struct key key;
    char why[160];
    int err = key_read(path, KEY_PUBLIC, &key, why, sizeof(why));

    if (is_passing(err))
        return err;
    if (err)
        return note_trouble(keyring, path, why);
    if (keyring_len(keyring, role) == KEYRING_ROLE_MAX)
        return note_trouble(keyring, path, "there are too many keys");
    return add(keyring, role, &key, name);
}

static bool
is_key_name(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".pub") == 0;
}

// path (PATH_BYTES) is left at what could not be read.
static int
read_role(struct keyring *keyring, const char *dir, enum access_role role,
          char *path)
{
    const char *role_name = access_role_name(role);
    struct dirent *item;
    DIR *stream;
    int err = 0;

    if (snprintf(path, PATH_BYTES, "%s/%s", dir, role_name) >= PATH_BYTES)
        return -ENAMETOOLONG;
    stream = opendir(path);
    if (!stream)
        return errno == ENOENT ? 0 : -errno;
    while (!err) {
        errno = 0;
        item = readdir(stream);
        if (!item) {
            err = -errno;
            break;
        }
        if (!is_key_name(item->d_name))
            continue;
        if (snprintf(path, PATH_BYTES, "%s/%s/%s", dir, role_name,
                     item->d_name) >= PATH_BYTES)
            err = -ENAMETOOLONG;
        else
            err = read_file(keyring, role, path, item->d_name);
    }
    (void)closedir(stream); // was only read
    return err;
}

int
keyring_read(const char *dir, struct keyring **out_keyring, char *out_path,
             size_t path_size)
{
    struct keyring *keyring = calloc(1, sizeof(*keyring));
    char *path = calloc(1, PATH_BYTES);
    int err = keyring && path ? 0 : -ENOMEM;

    for (int role = 0; role < ACCESS_ROLES && !err; role++)
        err = read_role(keyring, dir, (enum access_role)role, path);
    if (err) {
        (void)snprintf(out_path, path_size, "%s", path && *path ? path : dir);
        keyring_free(&keyring);
    } else {
        *out_keyring = keyring;
    }
    free(path);
    return err;
}

void
keyring_free(struct keyring **keyring)
{
    struct entry *entry, *next;

    if (!*keyring)
        return;
    for (int role = 0; role < ACCESS_ROLES; role++) {
        HASH_ITER(hh, (*keyring)->entries[role], entry, next)
        {
            HASH_DEL((*keyring)->entries[role], entry);
            free(entry);
        }
    }
    free((*keyring)->troubles);
    free(*keyring);
    *keyring = NULL;
}

// --- Asking ---

const struct keyring_key *
keyring_find(const struct keyring *keyring, enum access_role role,
             const char *key)
{
    const struct entry *entry = find(keyring, role, key);

    return entry ? &entry->key : NULL;
}

size_t
keyring_len(const struct keyring *keyring, enum access_role role)
{
    return HASH_COUNT(keyring->entries[role]);
}

size_t
keyring_troubles(const struct keyring *keyring)
{
    return keyring->troubles_len;
}

const struct keyring_trouble *
keyring_trouble(const struct keyring *keyring, size_t n)
{
    return n < keyring->troubles_len && n < KEYRING_TROUBLES_MAX
               ? &keyring->troubles[n]
               : NULL;
}

void
keyring_each_beyond(const struct keyring *keyring, const struct keyring *other,
                    enum access_role role,
                    void (*fn)(void *arg, enum access_role role,
                               const struct keyring_key *key),
                    void *arg)
{
    const struct entry *entry;

    for (entry = keyring->entries[role]; entry; entry = entry->hh.next) {
        if (!other || !find(other, role, entry->key.key.text))
            fn(arg, role, &entry->key);
    }
}

static bool
has_all_keys_of(const struct keyring *a, const struct keyring *b,
                enum access_role role)
{
    const struct entry *entry;

    for (entry = b->entries[role]; entry; entry = entry->hh.next) {
        const struct entry *same = find(a, role, entry->key.key.text);

        if (!same || strcmp(same->key.label, entry->key.label) != 0)
            return false;
    }
    return true;
}

bool
keyring_is_same(const struct keyring *a, const struct keyring *b)
{
    if (a->troubles_len != b->troubles_len)
        return false;
    for (size_t i = 0; keyring_trouble(a, i); i++) {
        if (strcmp(a->troubles[i].file, b->troubles[i].file) != 0 ||
            strcmp(a->troubles[i].error, b->troubles[i].error) != 0)
            return false;
    }
    for (int role = 0; role < ACCESS_ROLES; role++) {
        if (keyring_len(a, (enum access_role)role) !=
                keyring_len(b, (enum access_role)role) ||
            !has_all_keys_of(a, b, (enum access_role)role))
            return false;
    }
    return true;
}
