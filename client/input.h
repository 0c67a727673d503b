// input.h - a list of URLs, read lazily: one line a URL
//
// What it makes of a file, in this order:
// - gzip and zstd are recognised by their first bytes and unpacked (members and
//   frames that follow one another too); xz, bzip2 and zip are refused;
// - a UTF-8 byte order mark is skipped; UTF-16 and UTF-32 marks are refused;
// - lines end in LF or CR LF; the last one may lack its end;
// - lines that are empty or only spaces and tabs, and lines whose first byte is
//   '#', are skipped;
// - every other line is a URL byte for byte, spaces at its ends and NUL bytes
//   included: what is invalid gets a record that says so, not a guess;
// - a line longer than URL_BYTES_MAX is delivered cut at URL_BYTES_MAX + 1
//   bytes, so that the broker records it as url_too_long.
// Memory does not depend on the list or on its lines; a zstd window above 32
// MiB (levels 21 and 22, --long) is refused with a sentence that says so.
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H
#include <stdbool.h>
#include <stddef.h>

struct input;

// Opens a file; "-" is stdin. Returns 0 or a negative errno (-EISDIR, -ENOENT,
// ...). The caller owns *out_input; path is borrowed for its life.
int input_open(const char *path, struct input **out_input);

// The same without a file: bytes come by input_feed(). For tests.
int input_new(const char *name, struct input **out_input);
void input_free(struct input **input);

// Takes the next line. Returns 1 and the line (valid until the next call), 0 at
// the end of the list, -EAGAIN when the bytes read so far hold no further line
// (input_read() once input_fd() is readable), or another negative errno, for
// which input_error() has the sentence.
int input_next(struct input *input, const char **out_line, size_t *out_len)
    __attribute__((warn_unused_result));

// Reads once from the file; blocks as read(2) does. After input_next() gave
// -EAGAIN only. An error is remembered for input_next().
void input_read(struct input *input);
int input_fd(const struct input *input);

// Gives bytes, of which it returns how many were taken (at least one while
// there are any and input_next() gave -EAGAIN); len 0 is the end.
size_t input_feed(struct input *input, const void *bytes, size_t len);

// One sentence with the file's name, for people. Valid as long as the input.
const char *input_error(const struct input *input);

#endif
