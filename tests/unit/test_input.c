// A list of URLs in every packing, cut at every place.
#include "client/input.h"

#include "common/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

struct bytes {
    unsigned char *at;
    size_t len;
};

// Reads a list that comes in chunks of so many bytes into lines that each end
// in LF, in *out_got; returns what input_next() returned last.
static int
read_all(const void *bytes, size_t len, size_t chunk, struct bytes *out_got,
         char *why, size_t why_size)
{
    struct input *input = NULL;
    const unsigned char *at = bytes;
    const char *line = NULL;
    size_t line_len = 0;
    size_t room = 64;
    int got;

    *out_got = (struct bytes){malloc(room), 0};
    assert_non_null(out_got->at);
    assert_int_equal(input_new("list", &input), 0);
    for (;;) {
        got = input_next(input, &line, &line_len);
        if (got == -EAGAIN) {
            size_t taken = input_feed(input, at, len < chunk ? len : chunk);

            assert_true(taken > 0 || len == 0);
            at += taken;
            len -= taken;
            continue;
        }
        if (got != 1)
            break;
        if (room - out_got->len <= line_len) {
            room = 2 * (room + line_len);
            out_got->at = realloc(out_got->at, room);
            assert_non_null(out_got->at);
        }
        if (line_len)
            memcpy(out_got->at + out_got->len, line, line_len);
        out_got->at[out_got->len + line_len] = '\n';
        out_got->len += line_len + 1;
    }
    if (why)
        (void)snprintf(why, why_size, "%s", input_error(input));
    input_free(&input);
    assert_null(input);
    return got;
}

static void
expect_lines(const void *bytes, size_t len, const char *wanted,
             size_t wanted_len)
{
    size_t chunk_max = len < 300 ? len + 1 : 300;

    for (size_t chunk = 1; chunk <= chunk_max; chunk++) {
        struct bytes got;
        int last = read_all(bytes, len, chunk, &got, NULL, 0);

        if (last != 0 || got.len != wanted_len ||
            memcmp(got.at, wanted, wanted_len) != 0)
            fail_msg("in chunks of %zu: last %d, got %zu bytes:\n%.*s", chunk,
                     last, got.len, (int)got.len, (const char *)got.at);
        free(got.at);
    }
}

static void
expect_error(const void *bytes, size_t len, int err, const char *word)
{
    for (size_t chunk = 1; chunk <= len + 1; chunk += 1 + chunk / 50) {
        struct bytes got;
        char why[600];
        int last = read_all(bytes, len, chunk, &got, why, sizeof(why));

        free(got.at);
        assert_int_equal(last, err);
        if (!strstr(why, word) || !strstr(why, "list"))
            fail_msg("'%s' lacks '%s'", why, word);
    }
}

#define LINES(in, out) expect_lines(in, sizeof(in) - 1, out, sizeof(out) - 1)

static struct bytes
pack_gzip(const void *bytes, size_t len)
{
    z_stream gzip = {0};
    struct bytes packed;
    unsigned char in[1];

    assert_int_equal(
        deflateInit2(&gzip, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    packed.len = deflateBound(&gzip, len) + 64;
    packed.at = malloc(packed.len);
    assert_non_null(packed.at);
    gzip.next_in = len ? (unsigned char *)(uintptr_t)bytes : in;
    gzip.avail_in = (unsigned)len;
    gzip.next_out = packed.at;
    gzip.avail_out = (unsigned)packed.len;
    assert_int_equal(deflate(&gzip, Z_FINISH), Z_STREAM_END);
    packed.len -= gzip.avail_out;
    assert_int_equal(deflateEnd(&gzip), Z_OK);
    return packed;
}

static struct bytes
pack_zstd(const void *bytes, size_t len)
{
    struct bytes packed;

    packed.len = ZSTD_compressBound(len);
    packed.at = malloc(packed.len);
    assert_non_null(packed.at);
    packed.len = ZSTD_compress(packed.at, packed.len, bytes, len, 3);
    assert_false(ZSTD_isError(packed.len));
    return packed;
}

static struct bytes
join(struct bytes first, const void *more, size_t len)
{
    first.at = realloc(first.at, first.len + len);
    assert_non_null(first.at);
    memcpy(first.at + first.len, more, len);
    first.len += len;
    return first;
}

static void
plain_lines(void **state)
{
    (void)state;
    LINES("", "");
    LINES("a", "a\n");
    LINES("a\n", "a\n");
    LINES("a\nb", "a\nb\n");
    LINES("a\r\nb\r\n", "a\nb\n");
    LINES("a\r", "a\n");
    LINES("a\r\r\n", "a\r\n");
    LINES("a\rb\n", "a\rb\n");
    LINES("\n\n\r\n a\n", " a\n");
    LINES("#x\na\n#y", "a\n");
    LINES(" #x\n", " #x\n");
    LINES("  \n\t\r\na\n \t", "a\n");
    LINES(" a \nb\t\n", " a \nb\t\n");
    LINES("a\0b\n\0\n", "a\0b\n\0\n");
    LINES("http://h/#frag\n", "http://h/#frag\n");
}

static void
byte_order_marks(void **state)
{
    (void)state;
    LINES("\xef\xbb\xbf"
          "a\n",
          "a\n");
    LINES("\xef\xbb\xbf", "");
    LINES("\xef\xbb\xbf#a\nb", "b\n");
    LINES("a\n\xef\xbb\xbf"
          "b\n",
          "a\n\xef\xbb\xbf"
          "b\n");
    LINES("\xef\xbb", "\xef\xbb\n");
    expect_error("\xff\xfeh\0", 4, -EILSEQ, "UTF-16");
    expect_error("\xfe\xff\0h", 4, -EILSEQ, "UTF-16");
    expect_error("\xff\xfe", 2, -EILSEQ, "UTF-16");
    expect_error("\0\0\xfe\xff", 4, -EILSEQ, "UTF-16");
    expect_error("\xff\xfe\0\0h\0\0\0", 8, -EILSEQ, "UTF-32");
}

static void
other_packings_are_refused(void **state)
{
    (void)state;
    expect_error("\xfd\x37zXZ\0", 6, -EINVAL, "xz");
    expect_error("BZh91AY", 7, -EINVAL, "bzip2");
    expect_error("PK\3\4", 4, -EINVAL, "zip");
    LINES("BZh\n", "BZh\n");
    LINES("\x1f", "\x1f\n");
    LINES("\x28\xb5\x2f", "\x28\xb5\x2f\n");
}

static const char list[] = "\xef\xbb\xbf"
                           "http://h/1\r\n#c\n\nhttp://h/2\nhttp://h/3";
static const char list_lines[] = "http://h/1\nhttp://h/2\nhttp://h/3\n";

static void
gzip_lists(void **state)
{
    struct bytes packed = pack_gzip(list, sizeof(list) - 1);
    struct bytes more = pack_gzip("4\n5", 3);
    struct bytes empty = pack_gzip("", 0);

    (void)state;
    expect_lines(packed.at, packed.len, list_lines, sizeof(list_lines) - 1);
    expect_lines(empty.at, empty.len, "", 0);
    // Members one after another, as pigz and cat make them, are one text.
    packed = join(packed, more.at, more.len);
    expect_lines(packed.at, packed.len,
                 "http://h/1\nhttp://h/2\nhttp://h/34\n5\n", 36);
    packed = join(packed, "\0\0\0", 3);
    expect_lines(packed.at, packed.len,
                 "http://h/1\nhttp://h/2\nhttp://h/34\n5\n", 36);
    packed = join(packed, "x", 1);
    expect_error(packed.at, packed.len, -EBADMSG, "garbage");
    free(packed.at);
    free(more.at);
    free(empty.at);
}

static void
damaged_gzip(void **state)
{
    struct bytes packed = pack_gzip(list, sizeof(list) - 1);

    (void)state;
    for (size_t len = 4; len < packed.len; len++)
        expect_error(packed.at, len, -EBADMSG, "too early");
    packed.at[packed.len - 6] ^= 1; // in the CRC
    expect_error(packed.at, packed.len, -EBADMSG, "check");
    free(packed.at);
}

static void
zstd_lists(void **state)
{
    struct bytes packed = pack_zstd(list, sizeof(list) - 1);
    struct bytes more = pack_zstd("4\n5", 3);
    // pzstd begins with a skippable frame.
    struct bytes skip =
        join((struct bytes){NULL, 0}, "\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);

    (void)state;
    expect_lines(packed.at, packed.len, list_lines, sizeof(list_lines) - 1);
    packed = join(packed, more.at, more.len);
    expect_lines(packed.at, packed.len,
                 "http://h/1\nhttp://h/2\nhttp://h/34\n5\n", 36);
    skip = join(skip, packed.at, packed.len);
    expect_lines(skip.at, skip.len, "http://h/1\nhttp://h/2\nhttp://h/34\n5\n",
                 36);
    packed = join(packed, "\x28", 1);
    expect_error(packed.at, packed.len, -EBADMSG, "too early");
    packed = join(packed, "x", 1);
    expect_error(packed.at, packed.len, -EBADMSG, "nknown frame");
    free(packed.at);
    free(more.at);
    free(skip.at);
}

static void
damaged_zstd(void **state)
{
    struct bytes packed = pack_zstd(list, sizeof(list) - 1);

    (void)state;
    for (size_t len = 4; len < packed.len; len++)
        expect_error(packed.at, len, -EBADMSG, "too early");
    free(packed.at);
}

// A list much larger than the buffers, packed so well that one chunk of it
// unpacks to more than they hold.
static void
large_lists(void **state)
{
    enum { LINES_LEN = 200000 };
    static const char line[] = "http://example.org/a\n";
    size_t len = (sizeof(line) - 1) * LINES_LEN;
    char *lines = malloc(len + 1);
    struct bytes packed[2];

    (void)state;
    assert_non_null(lines);
    for (size_t i = 0; i < LINES_LEN; i++)
        memcpy(lines + i * (sizeof(line) - 1), line, sizeof(line));
    packed[0] = pack_gzip(lines, len);
    packed[1] = pack_zstd(lines, len);
    for (size_t i = 0; i < 2; i++) {
        struct bytes got;

        assert_int_equal(
            read_all(packed[i].at, packed[i].len, 65536, &got, NULL, 0), 0);
        assert_int_equal(got.len, len);
        assert_memory_equal(got.at, lines, len);
        free(got.at);
        free(packed[i].at);
    }
    free(lines);
}

static void
expect_long(size_t len, const char *end, size_t wanted)
{
    static const size_t chunks[] = {1000, 4096, 65535, 65536, 1 << 20};
    size_t end_len = strlen(end);
    char *line = malloc(len + end_len + 2);

    assert_non_null(line);
    memset(line, 'u', len);
    memcpy(line + len, end, end_len);
    memcpy(line + len + end_len, "z\n", 2);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
        struct bytes got;

        assert_int_equal(
            read_all(line, len + end_len + 2, chunks[i], &got, NULL, 0), 0);
        assert_int_equal(got.len, wanted + 1 + 2);
        for (size_t k = 0; k < wanted; k++)
            assert_int_equal(got.at[k], 'u');
        assert_memory_equal(got.at + wanted, "\nz\n", 3);
        free(got.at);
    }
    free(line);
}

static void
long_lines_are_cut(void **state)
{
    (void)state;
    expect_long(URL_BYTES_MAX - 1, "\n", URL_BYTES_MAX - 1);
    expect_long(URL_BYTES_MAX, "\n", URL_BYTES_MAX);
    expect_long(URL_BYTES_MAX, "\r\n", URL_BYTES_MAX);
    expect_long(URL_BYTES_MAX + 1, "\n", URL_BYTES_MAX + 1);
    expect_long(URL_BYTES_MAX + 1, "\r\n", URL_BYTES_MAX + 1);
    expect_long(URL_BYTES_MAX + 2, "\r\n", URL_BYTES_MAX + 1);
    expect_long((size_t)3 * URL_BYTES_MAX, "\n", URL_BYTES_MAX + 1);
}

static void
files(void **state)
{
    char path[] = "/tmp/urlsum-test-XXXXXX";
    struct input *input = NULL;
    const char *line = NULL;
    size_t len = 0;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a\nb", 3), 3);
    assert_int_equal(close(fd), 0);
    assert_int_equal(input_open(path, &input), 0);
    assert_int_equal(input_next(input, &line, &len), -EAGAIN);
    input_read(input);
    assert_int_equal(input_next(input, &line, &len), -EAGAIN); // 4 bytes tell
    input_read(input);
    assert_int_equal(input_next(input, &line, &len), 1);
    assert_memory_equal(line, "a", 1);
    assert_int_equal(input_next(input, &line, &len), 1);
    assert_memory_equal(line, "b", 1);
    assert_int_equal(input_next(input, &line, &len), 0);
    assert_int_equal(input_next(input, &line, &len), 0);
    input_free(&input);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(input_open(path, &input), -ENOENT);
    assert_int_equal(input_open("/", &input), -EISDIR);
    assert_null(input);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(byte_order_marks),
        cmocka_unit_test(other_packings_are_refused),
        cmocka_unit_test(gzip_lists),
        cmocka_unit_test(damaged_gzip),
        cmocka_unit_test(zstd_lists),
        cmocka_unit_test(damaged_zstd),
        cmocka_unit_test(large_lists),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
