// test_declared.c - declared digests as text, there and back
#include "proto/declared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h> // needs those above

static struct wire_bytes
bytes(const char *text)
{
    return (struct wire_bytes){text, strlen(text)};
}

static void
test_there_and_back(void **state)
{
    struct declared items[DECLARED_SOURCE_COUNT * DECLARED_ALGORITHM_COUNT];
    struct declared item;
    struct wire_bytes rest;
    char text[8192];
    size_t len = 0;

    (void)state;
    for (int s = 0; s < DECLARED_SOURCE_COUNT; s++) {
        for (int a = 0; a < DECLARED_ALGORITHM_COUNT; a++) {
            struct declared *next = &items[len];

            memset(next, 0, sizeof(*next));
            next->source = (enum declared_source)s;
            next->algorithm = (enum declared_algorithm)a;
            next->is_other = len % 2;
            for (size_t i = 0; i < declared_algorithm_bytes(next->algorithm);
                 i++)
                next->digest[i] = (unsigned char)(i * 37 + len);
            len++;
        }
    }
    rest.at = text;
    rest.len = declared_write(items, len, text, sizeof(text));
    for (size_t i = 0; i < len; i++) {
        assert_true(declared_next(&rest, &item));
        assert_int_equal(item.source, items[i].source);
        assert_int_equal(item.algorithm, items[i].algorithm);
        assert_int_equal(item.is_other, items[i].is_other);
        assert_memory_equal(item.digest, items[i].digest, DECLARED_BYTES_MAX);
    }
    assert_false(declared_next(&rest, &item));
}

static void
test_text(void **state)
{
    struct declared items[] = {
        {DECLARED_GOOG_HASH, DECLARED_CRC32C, false, {0x9f, 0x4d, 0x0a, 0xff}},
        {DECLARED_AMZ_CHECKSUM, DECLARED_CRC32, true, {1, 2, 3, 4}},
    };
    char text[128];
    size_t len = declared_write(items, 2, text, sizeof(text));

    (void)state;
    assert_int_equal(len, strlen("x-goog-hash:crc32c:9f4d0aff,"
                                 "x-amz-checksum:crc32:01020304:other"));
    assert_memory_equal(text,
                        "x-goog-hash:crc32c:9f4d0aff,"
                        "x-amz-checksum:crc32:01020304:other",
                        len);
    // What does not fit is left out whole.
    assert_int_equal(declared_write(items, 2, text, 40),
                     strlen("x-goog-hash:crc32c:9f4d0aff"));
    assert_int_equal(declared_write(items, 2, text, 10), 0);
    assert_int_equal(declared_write(items, 0, text, sizeof(text)), 0);
}

static void
test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ",",
        "x-goog-hash",
        "x-goog-hash:",
        "x-goog-hash:crc32c",
        "x-goog-hash:crc32c:",
        "x-goog-hash:crc32c:9f4d0af",
        "x-goog-hash:crc32c:9f4d0aff0",
        "x-goog-hash:crc32c:9F4D0AFF",
        "x-goog-hash:crc32c:9f4d0afg",
        "x-goog-hash:crc32c:9f4d0aff:others",
        "x-goog-hash:crc32c:9f4d0aff:other:",
        "x-goog-hash:sha3:9f4d0aff",
        "etag:crc32c:9f4d0aff",
        "X-goog-hash:crc32c:9f4d0aff",
        " x-goog-hash:crc32c:9f4d0aff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct wire_bytes rest = bytes(texts[i]);
        struct declared item;

        if (declared_next(&rest, &item))
            fail_msg("taken: %s", texts[i]);
    }
}

static void
test_names(void **state)
{
    enum declared_algorithm algorithm;

    (void)state;
    assert_true(declared_find_algorithm(bytes("sha1"), &algorithm));
    assert_int_equal(algorithm, DECLARED_SHA1);
    assert_true(declared_is_computed(algorithm));
    assert_false(declared_is_computed(DECLARED_CRC32C));
    assert_false(declared_find_algorithm(bytes("sha"), &algorithm));
    assert_false(declared_find_algorithm(bytes(""), &algorithm));
    for (int a = 0; a < DECLARED_ALGORITHM_COUNT; a++)
        assert_true(declared_algorithm_bytes((enum declared_algorithm)a) <=
                    DECLARED_BYTES_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
