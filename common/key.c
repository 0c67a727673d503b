#include "common/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

static const char *const words[] = {
    [KEY_PUBLIC] = "urlsum-public-key", [KEY_SECRET] = "urlsum-secret-key"};

const char *
key_kind_word(enum key_kind kind)
{
    return words[kind];
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

// Reads one line without blanks at its ends.
static const char *
parse_line(const char *line, size_t len, enum key_kind *out_kind,
           struct key *out_key)
{
    const size_t word_len = strlen(words[KEY_PUBLIC]); // both are as long
    uint8_t bytes[KEY_BYTES];
    struct key key;
    size_t at = word_len;
    bool is_secret;

    is_secret = len > word_len && !memcmp(line, words[KEY_SECRET], word_len);
    if (len <= word_len || !is_blank(line[word_len]) ||
        (!is_secret && memcmp(line, words[KEY_PUBLIC], word_len) != 0))
        return "it has a line that is neither a key nor a comment";
    while (at < len && is_blank(line[at]))
        at++;
    if (len - at != KEY_CHARS)
        return "its key has not 40 characters";
    memcpy(key.text, line + at, KEY_CHARS);
    key.text[KEY_CHARS] = '\0';
    if (!zmq_z85_decode(bytes, key.text))
        return "its key is not Z85";
    *out_kind = is_secret ? KEY_SECRET : KEY_PUBLIC;
    *out_key = key;
    explicit_bzero(bytes, sizeof(bytes));
    key_wipe(&key);
    return NULL;
}

const char *
key_parse(const char *text, size_t len, enum key_kind *out_kind,
          struct key *out_key)
{
    const char *end = text + len, *why = NULL;
    enum key_kind kind = KEY_PUBLIC;
    struct key key = {0};
    bool has_key = false;

    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        const char *next = line_end ? line_end + 1 : end;

        line_end = line_end ? line_end : end;
        while (text < line_end && is_blank(*text))
            text++;
        while (text < line_end && is_blank(line_end[-1]))
            line_end--;
        if (text < line_end && *text != '#') {
            why = has_key ? "it has more than one key"
                          : parse_line(text, (size_t)(line_end - text), &kind,
                                       &key);
            if (why)
                break;
            has_key = true;
        }
        text = next;
    }
    if (!why && !has_key)
        why = "it has no key";
    if (!why) {
        *out_kind = kind;
        *out_key = key;
    }
    key_wipe(&key);
    return why;
}

// Returns the length, -EFBIG or another negative errno.
static ssize_t
read_all(int fd, char buf[KEY_FILE_BYTES_MAX + 1])
{
    size_t len = 0;

    for (;;) {
        ssize_t got = read(fd, buf + len, KEY_FILE_BYTES_MAX + 1 - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (!got)
            return (ssize_t)len;
        len += (size_t)got;
        if (len > KEY_FILE_BYTES_MAX)
            return -EFBIG;
    }
}

int
key_read_any(const char *path, enum key_kind *out_kind, struct key *out_key,
             char *why, size_t why_size)
{
    char buf[KEY_FILE_BYTES_MAX + 1];
    enum key_kind kind = KEY_PUBLIC;
    struct key key = {0};
    struct stat status;
    const char *wrong = NULL;
    ssize_t len = 0;
    // A FIFO without a writer must not hold anybody up.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int err = 0;

    if (fd < 0 || fstat(fd, &status) != 0)
        err = -errno;
    else if (!S_ISREG(status.st_mode))
        wrong = "it is no regular file";
    else if ((len = read_all(fd, buf)) < 0)
        err = (int)len;
    if (fd >= 0)
        (void)close(fd); // was only read
    if (err == -EFBIG)
        wrong = "it is too long for a key";
    if (!err && !wrong)
        wrong = key_parse(buf, (size_t)len, &kind, &key);
    explicit_bzero(buf, sizeof(buf));
    if (!err && !wrong && kind == KEY_SECRET && status.st_mode & S_IRWXO)
        wrong = "it is a secret that everybody may read: chmod 600 (or 440, "
                "for a group)";
    else if (!err && !wrong && kind == KEY_SECRET && status.st_mode & S_IWGRP)
        wrong = "it is a secret that its group may write: chmod 600 (or 440)";
    if (wrong)
        (void)snprintf(why, why_size, "%s", wrong);
    else if (err)
        (void)snprintf(why, why_size, "%s", strerror(-err));
    if (!wrong && !err) {
        *out_kind = kind;
        *out_key = key;
    }
    key_wipe(&key);
    return wrong ? -EINVAL : err;
}

int
key_read(const char *path, enum key_kind kind, struct key *out_key, char *why,
         size_t why_size)
{
    enum key_kind found;
    struct key key;
    int err = key_read_any(path, &found, &key, why, why_size);

    if (err)
        return err;
    if (found == kind)
        *out_key = key;
    key_wipe(&key);
    if (found == kind)
        return 0;
    (void)snprintf(why, why_size, "%s",
                   kind == KEY_PUBLIC
                       ? "it is a secret key; the public one (.pub) is wanted"
                       : "it is a public key; the secret one (.key) is wanted");
    return -EINVAL;
}

int
key_public_of(const struct key *secret, struct key *out_public)
{
    struct key public;

    if (zmq_curve_public(public.text, secret->text) != 0)
        return -EINVAL;
    *out_public = public;
    return 0;
}

void
key_wipe(struct key *key)
{
    explicit_bzero(key, sizeof(*key));
}
