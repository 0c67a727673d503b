// output.h - where results go: stdout or a file, in large writes
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H
#include "client/text.h"

#include <stdbool.h>

struct output {
    struct text text; // append here, then output_flush_if_large() or _flush()
    int fd;
    bool is_emptied;  // the file holds what we wrote alone
    bool is_terminal; // the progress line must make way before a write
    const char *name; // "standard output", or the file's
};

// path NULL or "-": stdout; else the file, made when missing. What it held goes
// with the first write. Returns 0 or a negative errno.
int output_open(struct output *output, const char *path);

// True when the results go to that very file.
bool output_is_file(const struct output *output, const char *path);

// Writes what was appended: always, or once it is worth a system call. Returns
// 0 or a negative errno (-EPIPE, -ENOSPC, ...).
int output_flush(struct output *output) __attribute__((warn_unused_result));
int output_flush_if_large(struct output *output)
    __attribute__((warn_unused_result));

// Flushes and closes: some file systems tell of a full disk only now. Returns 0
// or a negative errno. A second call does nothing.
int output_close(struct output *output) __attribute__((warn_unused_result));

// The same after a failure: a file that nothing was written to keeps what it
// held.
int output_leave(struct output *output) __attribute__((warn_unused_result));

// What a failed write comes to: says it, and returns the exit code. A reader
// that went away (`| head`) is not worth a word.
int output_fail(const struct output *output, int err);

#endif
