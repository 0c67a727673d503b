// SHA-512 of many bodies at once: the same digests as OpenSSL's, whatever the
// lengths, the pieces and the order in which they come.
#include "hasher/digest.h"
#include "hasher/sha512_batch.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BODIES 40
#define BODY_MAX 5000

struct body {
    unsigned char bytes[BODY_MAX];
    size_t len, given;
    struct sha512_stream *stream;
    unsigned char digest[64];
    bool is_dropped;
};

static struct body bodies[BODIES];

static void
fill(unsigned char *bytes, size_t len, unsigned *seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)rand_r(seed);
}

static void
check(const void *data, size_t len, const unsigned char digest[64])
{
    unsigned char right[64];

    assert_int_equal(EVP_Digest(data, len, right, NULL, EVP_sha512(), NULL), 1);
    assert_memory_equal(digest, right, 64);
}

static struct sha512_batch *
batch_new(void)
{
    struct sha512_batch *batch = NULL;

    if (!sha512_batch_is_available())
        skip(); // this CPU lacks AVX-512: OpenSSL does it all
    assert_int_equal(sha512_batch_new(&batch), 0);
    return batch;
}

// Every length around the borders of blocks and padding, one to twenty bodies
// a flush, so that all numbers of lanes are met.
static void
test_every_length(void **state)
{
    static unsigned char bytes[700], digests[20][64];
    struct sha512_batch *batch = batch_new();
    unsigned seed = 1;
    size_t lens[20], n = 0, most = 1;

    (void)state;
    fill(bytes, sizeof(bytes), &seed);
    for (size_t len = 0; len <= 600; len++) {
        struct sha512_stream *stream = sha512_stream_new(batch);

        sha512_stream_update(stream, bytes + len % 64, len);
        lens[n] = len;
        sha512_stream_final(&stream, digests[n++]);
        assert_null(stream);
        if (n < most)
            continue;
        sha512_batch_flush(batch);
        for (size_t i = 0; i < n; i++)
            check(bytes + lens[i] % 64, lens[i], digests[i]);
        n = 0;
        most = 1 + most % 20;
    }
    sha512_batch_flush(batch);
    sha512_batch_free(&batch);
}

// One step of a random life: a piece, the end, or the loss of a body.
static void
step(struct sha512_batch *batch, struct body *body, unsigned *seed)
{
    size_t left = body->len - body->given, piece;

    if (!body->stream) {
        body->stream = sha512_stream_new(batch);
        assert_non_null(body->stream);
    }
    if (rand_r(seed) % 100 == 0) {
        sha512_stream_drop(&body->stream);
        body->is_dropped = true;
    } else if (!left) {
        sha512_stream_final(&body->stream, body->digest);
    } else {
        piece = 1 + (size_t)rand_r(seed) %
                        (rand_r(seed) % 4 ? left : (left < 9 ? left : 9));
        sha512_stream_update(body->stream, body->bytes + body->given, piece);
        body->given += piece;
    }
}

static void
test_random_lives(void **state)
{
    struct sha512_batch *batch = batch_new();
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 60; round++) {
        size_t open = BODIES;

        for (size_t i = 0; i < BODIES; i++) {
            memset(&bodies[i], 0, sizeof(bodies[i]));
            bodies[i].len = (size_t)rand_r(&seed) % BODY_MAX + 1;
            fill(bodies[i].bytes, bodies[i].len, &seed);
        }
        while (open) {
            struct body *body = &bodies[(size_t)rand_r(&seed) % BODIES];

            if (body->is_dropped || (body->given && !body->stream))
                continue; // over, or waits for the flush
            step(batch, body, &seed);
            if (!body->stream)
                open--;
            if (rand_r(&seed) % 50 == 0)
                sha512_batch_flush(batch);
        }
        sha512_batch_flush(batch);
        for (size_t i = 0; i < BODIES; i++) {
            if (!bodies[i].is_dropped)
                check(bodies[i].bytes, bodies[i].len, bodies[i].digest);
        }
    }
    sha512_batch_free(&batch);
}

// More pieces than are noted at once.
static void
test_many_pieces(void **state)
{
    static unsigned char bytes[10000];
    struct sha512_batch *batch = batch_new();
    struct sha512_stream *stream = sha512_stream_new(batch);
    unsigned char digest[64];
    unsigned seed = 3;

    (void)state;
    fill(bytes, sizeof(bytes), &seed);
    for (size_t i = 0; i < sizeof(bytes); i++)
        sha512_stream_update(stream, bytes + i, 1);
    sha512_stream_final(&stream, digest);
    sha512_batch_flush(batch);
    check(bytes, sizeof(bytes), digest);
    sha512_batch_free(&batch);
}

// A kit that gathers and one that does not say the same, in suites too.
static void
test_kits_agree(void **state)
{
    static const char *const lists[] = {"sha512", "sha256,sha512,md5",
                                        "sha512,sha512", "sha1"};
    static unsigned char bytes[3000];
    struct digest_kit *kits[2] = {NULL, NULL};
    unsigned char digests[2][DIGEST_SUITE_BYTES_MAX];
    unsigned seed = 5;

    (void)state;
    fill(bytes, sizeof(bytes), &seed);
    for (size_t k = 0; k < 2; k++)
        assert_int_equal(digest_kit_new(k == 1, &kits[k]), 0);
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        for (size_t len = 0; len < sizeof(bytes); len += 97) {
            struct digest_suite suite;

            for (size_t k = 0; k < 2; k++) {
                struct digest_run run;
                unsigned char whole[DIGEST_SUITE_BYTES_MAX];

                assert_int_equal(digest_suite_parse(kits[k], lists[i],
                                                    strlen(lists[i]), &suite),
                                 0);
                assert_int_equal(digest_whole(&suite, bytes, len, whole), 0);
                // A body that is given up changes nothing for the others.
                assert_int_equal(digest_run_init(&run, &suite), 0);
                assert_int_equal(digest_run_update(&run, bytes, len), 0);
                digest_run_fini(&run);
                assert_int_equal(digest_run_init(&run, &suite), 0);
                assert_int_equal(digest_run_update(&run, bytes, len / 3), 0);
                assert_int_equal(
                    digest_run_update(&run, bytes + len / 3, len - len / 3), 0);
                assert_int_equal(digest_run_final(&run, digests[k]), 0);
                digest_run_fini(&run);
                digest_kit_flush(kits[k]);
                assert_memory_equal(digests[k], whole, suite.bytes);
            }
            assert_memory_equal(digests[0], digests[1], suite.bytes);
        }
    }
    for (size_t k = 0; k < 2; k++)
        digest_kit_free(&kits[k]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_random_lives),
        cmocka_unit_test(test_many_pieces),
        cmocka_unit_test(test_kits_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
