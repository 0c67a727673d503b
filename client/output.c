#include "client/output.h"

#include "client/say.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE_BYTES ((size_t)128 * 1024)

int
output_open(struct output *output, const char *path)
{
    *output = (struct output){.fd = STDOUT_FILENO, .name = "standard output"};
    if (path && *path && strcmp(path, "-") != 0) {
        output->name = path;
        output->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (output->fd < 0)
            return -errno;
    }
    output->is_terminal = isatty(output->fd);
    return 0;
}

bool
output_is_file(const struct output *output, const char *path)
{
    struct stat ours, other;

    return output->fd != STDOUT_FILENO && fstat(output->fd, &ours) == 0 &&
           S_ISREG(ours.st_mode) && stat(path, &other) == 0 &&
           ours.st_dev == other.st_dev && ours.st_ino == other.st_ino;
}

// What the file held goes when the first of ours comes.
static int
empty_once(struct output *output)
{
    if (output->is_emptied || output->fd == STDOUT_FILENO)
        return 0;
    output->is_emptied = true;
    // A pipe or terminal holds nothing that could go.
    return ftruncate(output->fd, 0) && errno != EINVAL ? -errno : 0;
}

int
output_flush(struct output *output)
{
    const char *at = output->text.at;
    size_t len = output->text.len;
    int err;

    if (output->text.is_broken)
        return -ENOMEM;
    err = len ? empty_once(output) : 0;
    if (err)
        return err;
    if (len && output->is_terminal)
        say_clear();
    output->text.len = 0;
    while (len) {
        ssize_t wrote = write(output->fd, at, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

int
output_flush_if_large(struct output *output)
{
    return output->text.len >= LARGE_BYTES ? output_flush(output) : 0;
}

static int
close_file(struct output *output, int err)
{
    // Descriptor 1 stays taken, or the next file opened would become stdout.
    if (output->fd == STDOUT_FILENO)
        output->fd = dup(STDOUT_FILENO);
    if ((output->fd < 0 || close(output->fd)) && !err)
        err = -errno;
    output->fd = -1;
    text_fini(&output->text);
    return err;
}

int
output_close(struct output *output)
{
    int err;

    if (output->fd < 0)
        return 0;
    err = output_flush(output);
    if (!err)
        err = empty_once(output); // no results at all are results too
    return close_file(output, err);
}

int
output_leave(struct output *output)
{
    return output->fd < 0 ? 0 : close_file(output, output_flush(output));
}

int
output_fail(const struct output *output, int err)
{
    if (err == -EPIPE)
        return EXIT_PIPE;
    say("%s: write error: %s", output->name, strerror(-err));
    return EXIT_FAILED_URL;
}
