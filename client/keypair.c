#include "client/keypair.h"

#include "common/key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define PATH_BYTES PATH_MAX
// Bytes of a file that we make.
#define TEXT_BYTES 512

struct paths {
    char key[PATH_BYTES], pub[PATH_BYTES];
};

// --- One file ---

// Makes the new name last, which a file system is asked for in its directory.
// Best effort: some cannot.
static void
sync_folder(const char *path)
{
    char folder[PATH_BYTES];
    char *slash;
    int fd;

    (void)snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[1] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

static int
write_text(int fd, const char *text, mode_t mode)
{
    size_t len = strlen(text);

    if (fchmod(fd, mode) != 0)
        return -errno;
    while (len) {
        ssize_t wrote = write(fd, text, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        text += wrote;
        len -= (size_t)wrote;
    }
    return fsync(fd) ? -errno : 0;
}

// Makes the file whole or not at all. Returns 0, -EEXIST or a negative errno.
static int
write_new(const char *path, const char *text, mode_t mode)
{
    char scratch[PATH_BYTES + 8];
    int fd, err;

    (void)snprintf(scratch, sizeof(scratch), "%s.XXXXXX", path);
    fd = mkostemp(scratch, O_CLOEXEC); // for its owner alone
    if (fd < 0)
        return -errno;
    err = write_text(fd, text, mode);
    if (close(fd) != 0 && !err)
        err = -errno;
    // Unlike rename(2) it replaces nothing.
    if (!err && link(scratch, path) != 0)
        err = -errno;
    (void)unlink(scratch);
    if (!err)
        sync_folder(path);
    return err;
}

static int
write_key(const char *path, enum key_kind kind, const struct key *key)
{
    const char *name = strrchr(path, '/');
    char text[TEXT_BYTES], day[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    int err;

    if (gmtime_r(&now, &tm))
        (void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
    (void)snprintf(text, sizeof(text),
                   "# %.200s, made on %s by urlsum keygen\n"
                   "# %s\n"
                   "%s %s\n",
                   name ? name + 1 : path, day,
                   kind == KEY_SECRET
                       ? "Secret: it stays with the program that it names."
                       : "Public: this is what the other side is given.",
                   key_kind_word(kind), key->text);
    err = write_new(path, text, kind == KEY_SECRET ? 0600 : 0644);
    explicit_bzero(text, sizeof(text));
    return err;
}

// --- The pair ---

static int
fail(int err, const char *path, const char *what, char *why, size_t why_size)
{
    (void)snprintf(why, why_size, "%s: %s", path, what ? what : strerror(-err));
    return err;
}

static bool
is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

// Writes the public half, unless it is there; then it must be the right one.
static int
write_public(const struct paths *paths, const struct key *secret,
             enum keypair_outcome *out_outcome, char *why, size_t why_size)
{
    struct key public, found;
    char what[160];
    int err;

    if (key_public_of(secret, &public))
        return fail(-EINVAL, paths->key, "it is no CURVE secret", why,
                    why_size);
    err = write_key(paths->pub, KEY_PUBLIC, &public);
    if (!err)
        return 0;
    if (err != -EEXIST)
        return fail(err, paths->pub, NULL, why, why_size);
    err = key_read(paths->pub, KEY_PUBLIC, &found, what, sizeof(what));
    if (err)
        return fail(err, paths->pub, what, why, why_size);
    if (strcmp(found.text, public.text) != 0)
        return fail(-EINVAL, paths->pub,
                    "it is not the public half of the .key beside it", why,
                    why_size);
    *out_outcome = KEYPAIR_KEPT;
    return 0;
}

static int
keep(const struct paths *paths, enum keypair_outcome *out_outcome, char *why,
     size_t why_size)
{
    struct key secret = {0};
    char what[160];
    int err = key_read(paths->key, KEY_SECRET, &secret, what, sizeof(what));

    if (err)
        return fail(err, paths->key, what, why, why_size);
    *out_outcome = KEYPAIR_COMPLETED;
    err = write_public(paths, &secret, out_outcome, why, why_size);
    key_wipe(&secret);
    return err;
}

static int
make(const struct paths *paths, enum keypair_outcome *out_outcome, char *why,
     size_t why_size)
{
    struct key secret, public;
    int err;

    if (zmq_curve_keypair(public.text, secret.text) != 0)
        return fail(-ENOTSUP, paths->key, "this ZeroMQ was built without CURVE",
                    why, why_size);
    *out_outcome = KEYPAIR_MADE;
    err = write_key(paths->key, KEY_SECRET, &secret);
    if (err) {
        (void)fail(err, paths->key, NULL, why, why_size);
    } else {
        err = write_public(paths, &secret, out_outcome, why, why_size);
        if (err)
            (void)unlink(paths->key); // a pair, or nothing
    }
    key_wipe(&secret);
    return err;
}

int
keypair_make(const char *name, bool is_kept, enum keypair_outcome *out_outcome,
             char *why, size_t why_size)
{
    struct paths *paths = malloc(sizeof(*paths));
    int err = 0;

    if (!paths)
        return fail(-ENOMEM, name, NULL, why, why_size);
    if (snprintf(paths->key, PATH_BYTES, "%s.key", name) >= PATH_BYTES ||
        snprintf(paths->pub, PATH_BYTES, "%s.pub", name) >= PATH_BYTES) {
        err = fail(-ENAMETOOLONG, name, NULL, why, why_size);
    } else if (is_there(paths->key)) {
        err = is_kept ? keep(paths, out_outcome, why, why_size)
                      : fail(-EEXIST, paths->key,
                             "it is there already, and stays as it is "
                             "(--if-missing: that is fine)",
                             why, why_size);
    } else if (is_there(paths->pub)) {
        err = fail(-EEXIST, paths->pub,
                   "it is there already, without its .key: remove it, or "
                   "choose another name",
                   why, why_size);
    } else {
        err = make(paths, out_outcome, why, why_size);
        // Another process was faster.
        if (err == -EEXIST && is_kept && is_there(paths->key))
            err = keep(paths, out_outcome, why, why_size);
    }
    free(paths);
    return err;
}
