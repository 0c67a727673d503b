// test_digest_fields.c - the digests of "hello", as servers declare them
#include "fetcher/digest_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> // needs those above

#define SHA512                                                                 \
    "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1w"  \
    "uXDre9G9zvN7AQw=="
#define SHA256 "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
#define SHA1 "qvTGHdzF6KLavt4PO0gs2a6pQ00="
#define MD5 "XUFAKrxLKna5cZ2REBfFkg=="

#define HEX_SHA512                                                             \
    "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d9" \
    "9ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
#define HEX_SHA256                                                             \
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define HEX_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
#define HEX_MD5 "5d41402abc4b2a76b9719d911017c592"

static struct digest_fields fields;

static int
clear(void **state)
{
    (void)state;
    memset(&fields, 0, sizeof(fields));
    return 0;
}

static void
add(const char *name, const char *value)
{
    digest_fields_add(&fields, (struct wire_bytes){name, strlen(name)},
                      (struct wire_bytes){value, strlen(value)}, false);
}

static void
expect(const char *text)
{
    char got[4096];
    size_t len = declared_write(fields.items, fields.len, got, sizeof(got));

    if (len != strlen(text) || memcmp(got, text, len) != 0)
        fail_msg("\"%.*s\" and not \"%s\"", (int)len, got, text);
}

static void
test_repr_digest(void **state)
{
    (void)state;
    add("Repr-Digest", "sha-256=:" SHA256 ":, sha-512=:" SHA512 ":;a=1;b ,"
                       "other=:AAAA:, sha=:" SHA1 ":,md5=:" MD5 ":");
    expect("repr-digest:sha256:" HEX_SHA256 ",repr-digest:sha512:" HEX_SHA512
           ",repr-digest:sha1:" HEX_SHA1 ",repr-digest:md5:" HEX_MD5);
}

static void
test_dictionaries_that_break(void **state)
{
    static const char *const values[] = {
        "",
        "sha-256",
        "sha-256=",
        "sha-256=" SHA256,
        "sha-256=:" SHA256,
        "sha-256=:" SHA256 ":x",
        "sha-256=:" MD5 ":",
        "sha-256=:::",
        "sha-256=: " SHA256 ":",
        "sha-256=:" SHA256 ":;a=\"x,y\"",
        "sha-256=?1, sha-512=:" SHA512 ":",
        "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmC!=:",
        "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCR=:", // unused bits
        "sha-256=:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:", // base64url
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        add("repr-digest", values[i]);
        if (fields.len)
            fail_msg("taken: %s", values[i]);
    }
}

static void
test_last_one_counts(void **state)
{
    (void)state;
    add("content-digest", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:, md5=:" MD5 ":");
    expect("content-digest:md5:" HEX_MD5);
    add("content-digest", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:");
    expect("content-digest:md5:00000000000000000000000000000000");
}

static void
test_digest(void **state)
{
    (void)state;
    add("Digest", "UNIXsum=30637, SHA-256=" SHA256 ",id-sha-256=" SHA256
                  " ,\tsha=" SHA1 ", md5, adler32=03da0195, SHA-512=AAAA");
    expect("digest:sha256:" HEX_SHA256 ",digest:sha1:" HEX_SHA1);
}

static void
test_content_md5(void **state)
{
    (void)state;
    add("Content-MD5", MD5);
    expect("content-md5:md5:" HEX_MD5);
    clear(NULL);
    add("Content-MD5", HEX_MD5); // some servers write it so: not base64
    add("Content-MD5", SHA1);
    expect("");
}

static void
test_goog(void **state)
{
    (void)state;
    add("x-goog-hash", "crc32c=n00K/w==");
    add("x-goog-hash", "md5=" MD5);
    expect("x-goog-hash:crc32c:9f4d0aff,x-goog-hash:md5:" HEX_MD5);
    digest_fields_mark(&fields, false, true);
    expect("x-goog-hash:crc32c:9f4d0aff:other,x-goog-hash:md5:" HEX_MD5
           ":other");
}

static void
test_amz(void **state)
{
    (void)state;
    add("x-amz-checksum-SHA256", SHA256);
    add("x-amz-checksum-sha1", SHA1 "-3");
    add("x-amz-checksum-crc32", "AQIDBA==");
    add("x-amz-checksum-crc64nvme", "AQIDBAUGBwg=");
    add("x-amz-checksum-type", "FULL_OBJECT");
    add("x-amz-checksum-", "AQIDBA==");
    add("x-amz-checksum-of-a-long-name", "AQIDBA==");
    add("x-amz-checksum-crc32c", "-1");
    expect("x-amz-checksum:sha256:" HEX_SHA256 ",x-amz-checksum:sha1:" HEX_SHA1
           ":other"
           ",x-amz-checksum:crc32:01020304"
           ",x-amz-checksum:crc64nvme:0102030405060708");
}

static void
test_decoded(void **state)
{
    (void)state;
    add("Repr-Digest", "md5=:" MD5 ":");
    digest_fields_mark(&fields, false, true); // Google's matter alone
    expect("repr-digest:md5:" HEX_MD5);
    digest_fields_mark(&fields, true, false);
    expect("repr-digest:md5:" HEX_MD5 ":other");
}

static void
test_trailers(void **state)
{
    static const char *const names[] = {"Digest", "Content-MD5", "x-goog-hash",
                                        "x-amz-checksum-md5"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        digest_fields_add(
            &fields, (struct wire_bytes){names[i], strlen(names[i])},
            (struct wire_bytes){"md5=" MD5, sizeof("md5=" MD5) - 1}, true);
    }
    expect("");
    digest_fields_add(&fields, (struct wire_bytes){"Repr-Digest", 11},
                      (struct wire_bytes){"md5=:" MD5 ":", sizeof(MD5) + 5},
                      true);
    expect("repr-digest:md5:" HEX_MD5);
}

static void
test_ceiling(void **state)
{
    (void)state;
    add("Repr-Digest", "md5=:" MD5 ":, sha=:" SHA1 ":, sha-256=:" SHA256 ":");
    add("Content-Digest",
        "md5=:" MD5 ":, sha=:" SHA1 ":, sha-256=:" SHA256 ":");
    add("Digest", "md5=" MD5 ", sha=" SHA1 ", sha-256=" SHA256);
    assert_int_equal(fields.len, DIGEST_FIELDS_MAX);
}

#define CASE(test) cmocka_unit_test_setup(test, clear)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_repr_digest),
        CASE(test_dictionaries_that_break),
        CASE(test_last_one_counts),
        CASE(test_digest),
        CASE(test_content_md5),
        CASE(test_goog),
        CASE(test_amz),
        CASE(test_decoded),
        CASE(test_trailers),
        CASE(test_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
