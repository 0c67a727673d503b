// test_digest.c - digests against published vectors and OpenSSL's one-shot call
#include "hasher/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants setjmp, stdarg, stddef and stdint.
#include <cmocka.h>

static struct digest_kit *kit;

static int
make_kit(void **state)
{
    (void)state;
    return digest_kit_new(false, &kit);
}

static int
drop_kit(void **state)
{
    (void)state;
    digest_kit_free(&kit);
    assert_null(kit);
    return 0;
}

static struct digest_suite
parse(const char *list)
{
    struct digest_suite suite;

    assert_int_equal(digest_suite_parse(kit, list, strlen(list), &suite), 0);
    return suite;
}

static void
assert_hex(const unsigned char *bytes, size_t len, const char *want)
{
    char hex[2 * WIRE_DIGEST_BYTES_MAX + 1] = "";

    for (size_t i = 0; i < len; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(hex, want);
}

// Pseudo-random bytes, the same in every run.
static void
fill(unsigned char *bytes, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (unsigned char)(seed >> 56);
    }
}

// FIPS 180-4 and FIPS 202 examples (csrc.nist.gov), RFC 1321, RFC 7693.
static const struct {
    const char *name;
    const char *empty;
    const char *abc;
    const char *million; // 'a' a million times
} vectors[] = {
    {"sha512",
     "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
     "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
     "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
     "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
    {"sha256",
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {"sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
     "a9993e364706816aba3e25717850c26c9cd0d89d",
     "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
    {"md5", "d41d8cd98f00b204e9800998ecf8427e",
     "900150983cd24fb0d6963f7d28e17f72", "7707d6ae4e027c70eea2a935c2296f21"},
    {"sha3-256",
     "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
     "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
     "5c8875ae474a3634ba4fd55ec85bffd661f32aca75c6d699d0cdcb6c115891c1"},
    {"sha512-256",
     "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a",
     "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
     "9a59a052930187a97038cae692f30708aa6491923ef5194394dc68d56c74fb21"},
    {"blake2b512",
     "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
     "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
     "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
     "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
     NULL},
};
#define VECTORS_LEN (sizeof(vectors) / sizeof(*vectors))

static void
test_known_vectors(void **state)
{
    static char million[1000000];
    unsigned char got[DIGEST_SUITE_BYTES_MAX];

    (void)state;
    memset(million, 'a', sizeof(million));
    for (size_t i = 0; i < VECTORS_LEN; i++) {
        struct digest_suite suite = parse(vectors[i].name);

        assert_int_equal(suite.len, 1);
        assert_int_equal(suite.bytes, suite.sizes[0]);
        assert_int_equal(digest_whole(&suite, "", 0, got), 0);
        assert_hex(got, suite.bytes, vectors[i].empty);
        assert_int_equal(digest_whole(&suite, "abc", 3, got), 0);
        assert_hex(got, suite.bytes, vectors[i].abc);
        if (!vectors[i].million)
            continue;
        assert_int_equal(digest_whole(&suite, million, sizeof(million), got),
                         0);
        assert_hex(got, suite.bytes, vectors[i].million);
    }
}

static void
run_in_two(const struct digest_suite *suite, const unsigned char *data,
           size_t len, size_t split, unsigned char *out_digests)
{
    struct digest_run run;

    assert_int_equal(digest_run_init(&run, suite), 0);
    assert_int_equal(digest_run_update(&run, data, split), 0);
    assert_int_equal(digest_run_update(&run, data + split, len - split), 0);
    assert_int_equal(digest_run_final(&run, out_digests), 0);
    digest_run_fini(&run);
}

static void
test_split_at_every_offset(void **state)
{
    struct digest_suite suite = parse("sha512,sha3-256,md5");
    unsigned char data[300];
    unsigned char whole[DIGEST_SUITE_BYTES_MAX];
    unsigned char split[DIGEST_SUITE_BYTES_MAX];

    (void)state;
    fill(data, sizeof(data), 1);
    assert_int_equal(digest_whole(&suite, data, sizeof(data), whole), 0);
    for (size_t at = 0; at <= sizeof(data); at++) {
        memset(split, 0, sizeof(split));
        run_in_two(&suite, data, sizeof(data), at, split);
        assert_memory_equal(split, whole, suite.bytes);
    }
}

// What OpenSSL itself says, end to end for a comma-separated list.
static size_t
one_shot(const char *list, const void *data, size_t len, unsigned char *out)
{
    char names[256];
    char *rest = NULL;
    size_t used = 0;

    (void)snprintf(names, sizeof(names), "%s", list);
    for (char *name = strtok_r(names, ",", &rest); name;
         name = strtok_r(NULL, ",", &rest)) {
        unsigned size = 0;

        assert_int_equal(EVP_Digest(data, len, out + used, &size,
                                    EVP_get_digestbyname(name), NULL),
                         1);
        used += size;
    }
    return used;
}

static void
test_random_lengths_against_one_shot(void **state)
{
    static const char list[] =
        "sha512,sha256,md5,sha1,sha3-512,blake2b512,blake2s256,sha384";
    static unsigned char data[300 * 1024];
    struct digest_suite suite = parse(list);
    unsigned char want[DIGEST_SUITE_BYTES_MAX];
    unsigned char got[DIGEST_SUITE_BYTES_MAX];
    unsigned seed = 7;

    (void)state;
    assert_int_equal(suite.len, WIRE_ALGORITHMS_MAX);
    fill(data, sizeof(data), 2);
    for (int i = 0; i < 60; i++) {
        // Mostly short ones, around block borders; some over several pieces.
        size_t len = (size_t)rand_r(&seed) % (i % 3 ? 600 : sizeof(data));
        size_t split = (size_t)rand_r(&seed) % (len + 1);

        assert_int_equal(one_shot(list, data, len, want), suite.bytes);
        assert_int_equal(digest_whole(&suite, data, len, got), 0);
        assert_memory_equal(got, want, suite.bytes);
        memset(got, 0, sizeof(got));
        run_in_two(&suite, data, len, split, got);
        assert_memory_equal(got, want, suite.bytes);
    }
}

static void
test_every_algorithm_offered(void **state)
{
    char **names = NULL;
    const char *last = "";
    size_t len = 0;
    bool has_sha512 = false;

    (void)state;
    assert_int_equal(digest_names_new(&names), 0);
    for (; names[len]; len++) {
        unsigned char want[DIGEST_SUITE_BYTES_MAX];
        unsigned char got[DIGEST_SUITE_BYTES_MAX];
        struct digest_suite suite = parse(names[len]);

        assert_true(strcmp(last, names[len]) < 0); // sorted, each once
        last = names[len];
        has_sha512 |= strcmp(last, "sha512") == 0;
        assert_int_equal(one_shot(last, "urlsum", 6, want), suite.bytes);
        assert_int_equal(digest_whole(&suite, "urlsum", 6, got), 0);
        assert_memory_equal(got, want, suite.bytes);
        assert_true(strspn(last, "abcdefghijklmnopqrstuvwxyz0123456789-/") ==
                    strlen(last));
        assert_null(strstr(last, "shake"));
    }
    assert_true(has_sha512);
    assert_in_range(len, 8, WIRE_HELLO_ALGORITHMS_MAX);
    digest_names_free(&names);
    assert_null(names);
}

static void
test_lists_refused(void **state)
{
    static const struct {
        const char *list;
        int err;
    } bad[] = {
        {"", -EINVAL},
        {",", -EINVAL},
        {"sha512,", -EINVAL},
        {",sha512", -EINVAL},
        {"sha512,,md5", -EINVAL},
        {"md5,md5,md5,md5,md5,md5,md5,md5,md5", -EINVAL},
        {"sha5120", -ENOENT},
        {"SHA512", -ENOENT},
        {"sha2-512", -ENOENT}, // an alias
        {"sha512 ", -ENOENT},
        {"sha512,nonsense", -ENOENT},
        {"shake128", -ENOENT},
        {"shake256", -ENOENT},
        {"null", -ENOENT},
        {"keccak-kmac-128", -ENOENT},
        {"2.16.840.1.101.3.4.2.3", -ENOENT},
        {"a-name-of-more-than-thirty-one-bytes", -ENOENT},
        {"sha512\xc3\xbc", -ENOENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct digest_suite suite = {.len = 77};
        int err =
            digest_suite_parse(kit, bad[i].list, strlen(bad[i].list), &suite);

        if (err != bad[i].err)
            fail_msg("%s: %d, not %d", bad[i].list, err, bad[i].err);
        assert_int_equal(suite.len, 77);
    }
    // The list is not terminated: what stands behind it does not count.
    {
        struct digest_suite suite;

        assert_int_equal(digest_suite_parse(kit, "md5,sha512", 3, &suite), 0);
        assert_int_equal(suite.bytes, 16);
        assert_int_equal(digest_suite_parse(kit, "sha512\0x", 8, &suite),
                         -ENOENT);
    }
}

static void
test_same_algorithm_twice(void **state)
{
    struct digest_suite suite = parse("sha256,sha256");
    unsigned char got[DIGEST_SUITE_BYTES_MAX];

    (void)state;
    assert_int_equal(digest_whole(&suite, "abc", 3, got), 0);
    assert_hex(got, 32, vectors[1].abc);
    assert_hex(got + 32, 32, vectors[1].abc);
    run_in_two(&suite, (const unsigned char *)"abc", 3, 1, got);
    assert_hex(got, 32, vectors[1].abc);
    assert_hex(got + 32, 32, vectors[1].abc);
}

// Contexts go back and forth between many bodies, some given up half-way.
static void
test_many_runs_at_once(void **state)
{
    enum { RUNS = 200 };
    static struct digest_run runs[RUNS];
    struct digest_suite suite = parse("sha512,md5");
    unsigned char want[DIGEST_SUITE_BYTES_MAX];
    unsigned char got[DIGEST_SUITE_BYTES_MAX];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < RUNS; i++) {
            assert_int_equal(digest_run_init(&runs[i], &suite), 0);
            assert_int_equal(digest_run_update(&runs[i], &i, sizeof(i)), 0);
        }
        for (int i = RUNS - 1; i >= 0; i--) {
            int data[2] = {i, round};

            if (i % 5) { // the fifth is given up
                assert_int_equal(
                    digest_run_update(&runs[i], &round, sizeof(round)), 0);
                assert_int_equal(digest_run_final(&runs[i], got), 0);
                (void)one_shot("sha512,md5", data, sizeof(data), want);
                assert_memory_equal(got, want, suite.bytes);
            }
            digest_run_fini(&runs[i]);
        }
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, make_kit, drop_kit)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_known_vectors),
        CASE(test_split_at_every_offset),
        CASE(test_random_lengths_against_one_shot),
        CASE(test_every_algorithm_offered),
        CASE(test_lists_refused),
        CASE(test_same_algorithm_twice),
        CASE(test_many_runs_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
