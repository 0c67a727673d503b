#include "client/input.h"

#include "common/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

// Bytes read, and bytes unpacked, at a time.
#define CHUNK (64 * 1024)
// Bytes that tell every coding and every byte order mark from the others.
#define MAGIC 4
// 2^25 bytes, 32 MiB: the window that zstd's levels up to 20 need at most.
#define ZSTD_WINDOW_LOG_MAX 25

enum coding { CODING_UNKNOWN, CODING_PLAIN, CODING_GZIP, CODING_ZSTD };

struct input {
    const char *name;
    int fd;
    int err; // 0, or what every further input_next() returns
    char why[512];

    // Bytes as read: [raw_at, raw_len).
    unsigned char raw[CHUNK];
    size_t raw_at, raw_len;
    bool is_raw_ended;

    enum coding coding;
    z_stream gzip;
    ZSTD_DStream *zstd;
    bool is_between;    // gzip members or zstd frames: may end here
    bool may_have_more; // zstd filled all the room it got

    // Bytes unpacked: [at, len).
    unsigned char out[CHUNK];
    size_t at, len;
    bool is_out_ended;
    bool is_mark_checked;

    // A line that began in earlier bytes. One more than is delivered, for CR.
    char line[URL_BYTES_MAX + 2];
    size_t line_len;
    bool is_line_cut;
    uint64_t lines; // seen so far, for messages
};

static int
fail(struct input *input, int err, const char *what)
{
    input->err = err;
    if (input->lines)
        (void)snprintf(input->why, sizeof(input->why),
                       "%s: after line %" PRIu64 ": %s", input->name,
                       input->lines, what);
    else
        (void)snprintf(input->why, sizeof(input->why), "%s: %s", input->name,
                       what);
    return err;
}

int
input_new(const char *name, struct input **out_input)
{
    struct input *input = calloc(1, sizeof(*input));

    if (!input)
        return -ENOMEM;
    input->name = name;
    input->fd = -1;
    *out_input = input;
    return 0;
}

int
input_open(const char *path, struct input **out_input)
{
    struct input *input = NULL;
    struct stat stat;
    int err;

    err = input_new(strcmp(path, "-") == 0 ? "standard input" : path, &input);
    if (err)
        goto out;
    if (strcmp(path, "-") == 0)
        input->fd = STDIN_FILENO;
    else
        input->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &stat) < 0) {
        err = -errno;
        goto out;
    }
    if (S_ISDIR(stat.st_mode)) {
        err = -EISDIR;
        goto out;
    }
    *out_input = input;
    input = NULL; // the caller's now
out:
    input_free(&input);
    return err;
}

void
input_free(struct input **input)
{
    if (!*input)
        return;
    if ((*input)->coding == CODING_GZIP)
        (void)inflateEnd(&(*input)->gzip); // only frees
    ZSTD_freeDStream((*input)->zstd);
    if ((*input)->fd > STDIN_FILENO)
        (void)close((*input)->fd); // was only read
    free(*input);
    *input = NULL;
}

const char *
input_error(const struct input *input)
{
    return input->why;
}

int
input_fd(const struct input *input)
{
    return input->fd;
}

// --- Bytes in ---

// Moves what is left to the front, so that there is room behind it.
static size_t
make_room(struct input *input)
{
    memmove(input->raw, input->raw + input->raw_at,
            input->raw_len - input->raw_at);
    input->raw_len -= input->raw_at;
    input->raw_at = 0;
    return sizeof(input->raw) - input->raw_len;
}

size_t
input_feed(struct input *input, const void *bytes, size_t len)
{
    size_t room = make_room(input);

    if (!len)
        input->is_raw_ended = true;
    if (len > room)
        len = room;
    if (len)
        memcpy(input->raw + input->raw_len, bytes, len);
    input->raw_len += len;
    return len;
}

void
input_read(struct input *input)
{
    size_t room = make_room(input);
    ssize_t got;

    got = read(input->fd, input->raw + input->raw_len, room);
    if (got > 0)
        input->raw_len += (size_t)got;
    else if (got == 0)
        input->is_raw_ended = true;
    else if (errno != EINTR && errno != EAGAIN)
        (void)fail(input, -errno, strerror(errno)); // told by input_next()
}

// --- Unpacking ---

static bool
begins_with(const unsigned char *bytes, size_t len, const char *magic,
            size_t magic_len)
{
    return len >= magic_len && memcmp(bytes, magic, magic_len) == 0;
}

// Decides the coding. Returns 0, -EAGAIN or an error.
static int
find_coding(struct input *input)
{
    const unsigned char *at = input->raw + input->raw_at;
    size_t len = input->raw_len - input->raw_at;

    if (len < MAGIC && !input->is_raw_ended)
        return -EAGAIN;
    if (begins_with(at, len, "\xfd\x37zX", 4) ||
        begins_with(at, len, "PK\3\4", 4) ||
        (begins_with(at, len, "BZh", 3) && len > 3 && at[3] >= '1' &&
         at[3] <= '9'))
        return fail(input, -EINVAL,
                    "xz, bzip2 and zip are not read; unpack it into -i -");
    if (begins_with(at, len, "\x1f\x8b", 2)) {
        // 16: a gzip header, nothing else.
        if (inflateInit2(&input->gzip, 16 + MAX_WBITS) != Z_OK)
            return fail(input, -ENOMEM, "no memory to unpack gzip");
        input->coding = CODING_GZIP;
    } else if (begins_with(at, len, "\x28\xb5\x2f\xfd", 4) ||
               (len >= 4 && (at[0] & 0xf0) == 0x50 &&
                begins_with(at + 1, len - 1, "\x2a\x4d\x18", 3))) {
        // The second form is a skippable frame, which pzstd writes first.
        input->zstd = ZSTD_createDStream();
        if (!input->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(
                input->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
            return fail(input, -ENOMEM, "no memory to unpack zstd");
        input->coding = CODING_ZSTD;
    } else {
        input->coding = CODING_PLAIN;
    }
    return 0;
}

static int
unpack_plain(struct input *input)
{
    size_t room = sizeof(input->out) - input->len;
    size_t have = input->raw_len - input->raw_at;
    size_t take = have < room ? have : room;

    memcpy(input->out + input->len, input->raw + input->raw_at, take);
    input->raw_at += take;
    input->len += take;
    input->is_between = true;
    return 0;
}

// After a member come zero bytes, another member, or nothing.
static int
begin_member(struct input *input)
{
    while (input->raw_at < input->raw_len && !input->raw[input->raw_at])
        input->raw_at++;
    if (input->raw_at == input->raw_len)
        return 0;
    if (input->raw[input->raw_at] != 0x1f)
        return fail(input, -EBADMSG, "garbage after the gzip data");
    (void)inflateReset(&input->gzip); // fails for a stream not set up only
    input->is_between = false;
    return 0;
}

static int
unpack_gzip(struct input *input)
{
    z_stream *gzip = &input->gzip;
    int err;

    if (input->is_between) {
        err = begin_member(input);
        if (err || input->is_between)
            return err;
    }
    gzip->next_in = input->raw + input->raw_at;
    gzip->avail_in = (unsigned)(input->raw_len - input->raw_at);
    gzip->next_out = input->out + input->len;
    gzip->avail_out = (unsigned)(sizeof(input->out) - input->len);
    err = inflate(gzip, Z_NO_FLUSH);
    input->raw_at = input->raw_len - gzip->avail_in;
    input->len = sizeof(input->out) - gzip->avail_out;
    if (err == Z_STREAM_END) {
        input->is_between = true;
    } else if (err == Z_MEM_ERROR) {
        return fail(input, -ENOMEM, "no memory to unpack gzip");
    } else if (err != Z_OK && err != Z_BUF_ERROR) {
        // Z_BUF_ERROR: nothing to do with what there is; not an error.
        return fail(input, -EBADMSG,
                    gzip->msg ? gzip->msg : "damaged gzip data");
    }
    return 0;
}

static int
unpack_zstd(struct input *input)
{
    ZSTD_inBuffer in = {input->raw, input->raw_len, input->raw_at};
    ZSTD_outBuffer out = {input->out, sizeof(input->out), input->len};
    size_t hint;

    if (in.pos == in.size && !input->may_have_more)
        return 0;
    hint = ZSTD_decompressStream(input->zstd, &out, &in);
    input->raw_at = in.pos;
    input->len = out.pos;
    if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge)
        return fail(input, -EINVAL,
                    "its zstd window is above 32 MiB; unpack it into -i -");
    if (ZSTD_isError(hint))
        return fail(input, -EBADMSG, ZSTD_getErrorName(hint));
    input->is_between = hint == 0;
    input->may_have_more = hint != 0 && out.pos == out.size;
    return 0;
}

// Unpacks some more. Returns 0 (there may be new bytes, or is_out_ended),
// -EAGAIN when only further raw bytes help, or an error.
static int
unpack(struct input *input)
{
    size_t len_before = input->len;
    size_t raw_before = input->raw_at;
    int err = 0;

    if (input->coding == CODING_UNKNOWN) {
        err = find_coding(input);
        if (err)
            return err;
    }
    switch (input->coding) {
    case CODING_UNKNOWN:
    case CODING_PLAIN:
        err = unpack_plain(input);
        break;
    case CODING_GZIP:
        err = unpack_gzip(input);
        break;
    case CODING_ZSTD:
        err = unpack_zstd(input);
        break;
    }
    if (err || input->len > len_before || input->raw_at > raw_before)
        return err;
    if (!input->is_raw_ended)
        return -EAGAIN;
    if (!input->is_between)
        return fail(input, -EBADMSG, "the packed data ends too early");
    input->is_out_ended = true;
    return 0;
}

// --- Lines ---

// Looks at the first unpacked bytes. Returns 0, -EAGAIN or an error.
static int
check_mark(struct input *input)
{
    const unsigned char *at = input->out;
    size_t len = input->len;

    if (len < MAGIC && !input->is_out_ended)
        return -EAGAIN;
    input->is_mark_checked = true;
    if (begins_with(at, len, "\xef\xbb\xbf", 3)) {
        input->at = 3;
        return 0;
    }
    if (begins_with(at, len, "\xff\xfe", 2) ||
        begins_with(at, len, "\xfe\xff", 2) ||
        begins_with(at, len, "\0\0\xfe\xff", 4))
        return fail(input, -EILSEQ,
                    "this is UTF-16 or UTF-32; convert it to UTF-8 (iconv)");
    return 0;
}

static void
keep(struct input *input, const unsigned char *bytes, size_t len)
{
    size_t room = sizeof(input->line) - input->line_len;

    if (len > room) {
        len = room;
        input->is_line_cut = true;
    }
    if (len)
        memcpy(input->line + input->line_len, bytes, len);
    input->line_len += len;
}

static bool
is_skipped(const char *line, size_t len)
{
    if (len && line[0] == '#')
        return true;
    while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 0;
}

// Takes a whole line (without LF) out of bytes and what was kept. Returns false
// when it is one to skip.
static bool
take_line(struct input *input, const unsigned char *bytes, size_t len,
          const char **out_line, size_t *out_len)
{
    const char *line = (const char *)bytes;

    input->lines++;
    if (input->line_len) {
        keep(input, bytes, len);
        line = input->line;
        len = input->line_len;
    }
    if (len && line[len - 1] == '\r' && !input->is_line_cut)
        len--;
    input->line_len = 0;
    input->is_line_cut = false;
    if (is_skipped(line, len))
        return false;
    *out_line = line;
    *out_len = len <= URL_BYTES_MAX ? len : URL_BYTES_MAX + 1;
    return true;
}

// Takes the next line out of the unpacked bytes. Returns true when there is
// one; else they are all used up.
static bool
scan(struct input *input, const char **out_line, size_t *out_len)
{
    while (input->at < input->len) {
        const unsigned char *from = input->out + input->at;
        const unsigned char *end = memchr(from, '\n', input->len - input->at);

        if (!end) {
            keep(input, from, input->len - input->at);
            break;
        }
        input->at += (size_t)(end - from) + 1;
        if (take_line(input, from, (size_t)(end - from), out_line, out_len))
            return true;
    }
    input->at = 0;
    input->len = 0;
    return false;
}

int
input_next(struct input *input, const char **out_line, size_t *out_len)
{
    int err = input->err;

    while (!err) {
        if (!input->is_mark_checked)
            err = check_mark(input);
        if (!err && scan(input, out_line, out_len))
            return 1;
        if (err && err != -EAGAIN)
            break;
        if (input->is_out_ended) {
            if (!input->line_len)
                return 0;
            return take_line(input, NULL, 0, out_line, out_len);
        }
        err = unpack(input);
    }
    return err;
}
