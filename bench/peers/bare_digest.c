// bare_digest.c - the limit of the digest: SHA-512 of bodies in memory, one
// core
//
//   bare_digest COUNT BYTES   prints "count C bytes B seconds S"
//
// Every body is a different part of a 64 MiB arena, so that it comes from
// memory as a body that has just been received roughly does, not from the first
// cache.
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
    size_t count = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    size_t bytes = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    unsigned char *arena = malloc(ARENA_BYTES);
    EVP_MD *sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char sum[EVP_MAX_MD_SIZE];
    size_t at = 0;
    double begin;
    int result = 1;

    if (!count || !bytes || bytes > ARENA_BYTES) {
        (void)fprintf(stderr, "usage: bare_digest COUNT BYTES\n");
        result = 2;
        goto out;
    }
    if (!arena || !sha512 || !digest)
        goto out;
    memset(arena, 0x5a, ARENA_BYTES);
    begin = now_s();
    for (size_t i = 0; i < count; i++) {
        if (at + bytes > ARENA_BYTES)
            at = 0;
        if (!EVP_DigestInit_ex2(digest, sha512, NULL) ||
            !EVP_DigestUpdate(digest, arena + at, bytes) ||
            !EVP_DigestFinal_ex(digest, sum, NULL))
            goto out;
        at += bytes;
    }
    (void)printf("count %zu bytes %zu seconds %.6f\n", count, count * bytes,
                 now_s() - begin);
    result = 0;
out:
    EVP_MD_CTX_free(digest);
    EVP_MD_free(sha512);
    free(arena);
    return result;
}
