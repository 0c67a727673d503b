// test_decoder.c - gzip and deflate, in pieces of every size
#include "fetcher/decoder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h> // needs those above

#define PLAIN_BYTES ((size_t)200 * 1000)

static unsigned char plain[PLAIN_BYTES], packed[PLAIN_BYTES * 2];

// Returns the length of what is in packed.
static size_t
pack(size_t from, size_t len, int window, size_t at)
{
    z_stream stream = {.next_in = plain + from};

    assert_int_equal(
        deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY),
        Z_OK);
    stream.avail_in = (uInt)len;
    stream.next_out = packed + at;
    stream.avail_out = (uInt)(sizeof(packed) - at);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    at = sizeof(packed) - stream.avail_out;
    (void)deflateEnd(&stream);
    return at;
}

static struct decoder *
new_decoder(const char *encoding)
{
    struct decoder *decoder = NULL;

    assert_int_equal(
        decoder_new((struct wire_bytes){encoding, strlen(encoding)}, &decoder),
        0);
    return decoder;
}

// Decodes len bytes of packed, step at a time; what comes out must be the
// beginning of plain. Returns its length, or the error.
static long
decode(struct decoder *decoder, size_t len, size_t step)
{
    size_t got = 0;

    for (size_t at = 0; at < len || decoder_has_more(decoder);) {
        size_t part = len - at < step ? len - at : step, used = 0;
        // An exact copy, so that reading beyond it is seen.
        char *copy = malloc(part + 1);
        struct wire_bytes out;
        int err;

        assert_non_null(copy);
        memcpy(copy, packed + at, part);
        err = decoder_run(decoder, copy, part, &used);
        free(copy);
        if (err)
            return err;
        at += used;
        out = decoder_peek(decoder);
        assert_true(out.len <= DECODER_BYTES_MAX);
        assert_true(got + out.len <= PLAIN_BYTES);
        assert_memory_equal(out.at, plain + got, out.len);
        got += out.len;
        decoder_take(decoder);
    }
    return (long)got;
}

static int
set_up(void **state)
{
    (void)state;
    srand(1);
    for (size_t i = 0; i < PLAIN_BYTES; i++)
        plain[i] = (unsigned char)(i % 97 < 60 ? 'x' : rand());
    return 0;
}

static void
test_formats(void **state)
{
    static const struct {
        const char *encoding;
        int window;
    } rows[] = {
        {"gzip", 31}, {"X-GZIP", 31}, {"deflate", 15}, {"deflate", -15}};
    static const size_t steps[] = {1, 7, 1000, 1 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t len = pack(0, PLAIN_BYTES, rows[i].window, 0);

        for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
            struct decoder *decoder = new_decoder(rows[i].encoding);

            assert_true(decoder_is_whole(decoder)); // nothing came
            assert_int_equal(decode(decoder, len, steps[k]), PLAIN_BYTES);
            assert_true(decoder_is_whole(decoder));
            decoder_free(&decoder);
            decoder_free(&decoder); // a second time is fine
        }
    }
}

static void
test_members(void **state)
{
    size_t len = pack(0, 1000, 31, 0);
    struct decoder *decoder = new_decoder("gzip");

    (void)state;
    len = pack(1000, PLAIN_BYTES - 1000, 31, len);
    assert_int_equal(decode(decoder, len, 13), PLAIN_BYTES);
    assert_true(decoder_is_whole(decoder));
    decoder_free(&decoder);
}

static void
test_breaks_off(void **state)
{
    size_t len = pack(0, PLAIN_BYTES, 31, 0);

    (void)state;
    for (size_t cut = 1; cut < len; cut += len / 50 + 1) {
        struct decoder *decoder = new_decoder("gzip");

        assert_true(decode(decoder, cut, 4096) >= 0);
        assert_false(decoder_is_whole(decoder));
        decoder_free(&decoder);
    }
    // The last bytes of the trailer are part of it.
    for (size_t cut = len - 8; cut < len; cut++) {
        struct decoder *decoder = new_decoder("gzip");

        assert_int_equal(decode(decoder, cut, 4096), PLAIN_BYTES);
        assert_false(decoder_is_whole(decoder));
        decoder_free(&decoder);
    }
}

static void
test_damage(void **state)
{
    size_t len = pack(0, PLAIN_BYTES, 31, 0);
    struct decoder *decoder = new_decoder("gzip");

    (void)state;
    packed[len - 6] ^= 1; // the CRC
    assert_int_equal(decode(decoder, len, 4096), -EBADMSG);
    decoder_free(&decoder);
    packed[len - 6] ^= 1;
    memset(packed + len, 'x', 20); // what is behind it is no member
    decoder = new_decoder("gzip");
    assert_int_equal(decode(decoder, len + 20, 4096), -EBADMSG);
    decoder_free(&decoder);
    len = pack(0, 1000, 15, 0);
    decoder = new_decoder("deflate");
    assert_int_equal(decode(decoder, len + 1, 1 << 20), -EBADMSG);
    decoder_free(&decoder);
    memset(packed, 'x', 100);
    decoder = new_decoder("gzip");
    assert_int_equal(decode(decoder, 100, 10), -EBADMSG);
    decoder_free(&decoder);
}

static void
test_unknown(void **state)
{
    static const char *const names[] = {"br", "zstd", "", "gzip, gzip", "x"};
    struct decoder *decoder = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_int_equal(
            decoder_new((struct wire_bytes){names[i], strlen(names[i])},
                        &decoder),
            -ENOTSUP);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),    cmocka_unit_test(test_members),
        cmocka_unit_test(test_breaks_off), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_unknown),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
