#include "hasher/digest.h"

#include "hasher/sha512_batch.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

// Contexts kept for the next stream, an algorithm: enough that a steady flow of
// streams allocates nothing; 64 of SHA-512 are 20 KiB.
#define SPARES_MAX 64
// With several digests the bytes go through all of them in pieces that stay in
// the first-level cache.
#define PIECE_BYTES (16 * 1024)

struct digest_algorithm {
    char name[WIRE_ALGORITHM_NAME_MAX + 1];
    EVP_MD *md;
    size_t size;                // bytes of the digest
    struct sha512_batch *batch; // does this one; or NULL
    EVP_MD_CTX *whole;          // for bodies that come in one piece
    EVP_MD_CTX *spares[SPARES_MAX];
    size_t spares_len;
    UT_hash_handle hh;
};

struct digest_kit {
    struct digest_algorithm *algorithms; // by name
    struct sha512_batch *batch;          // NULL: does not gather
};

// --- Names ---

static bool
is_name(const char *text, size_t len)
{
    if (len == 0 || len > WIRE_ALGORITHM_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '/')
            return false;
    }
    return true;
}

// True for digests of one fixed length that fits the wire.
static bool
is_usable(const EVP_MD *md)
{
    int size = EVP_MD_get_size(md);

    return size > 0 && size <= WIRE_DIGEST_BYTES_MAX &&
           !(EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF);
}

// Our name of an algorithm. Returns false when it has none.
static bool
name_of(const EVP_MD *md, char out_name[WIRE_ALGORITHM_NAME_MAX + 1])
{
    // A provider's first name is "SHA2-512"; the short name of the object is
    // what users know: "SHA512". Internal helpers (KECCAK-KMAC-128) have none.
    int nid = EVP_MD_get_type(md);
    const char *name = nid == NID_undef ? NULL : OBJ_nid2sn(nid);
    char lower[WIRE_ALGORITHM_NAME_MAX + 1];
    size_t len = name ? strlen(name) : 0;

    if (len == 0 || len > WIRE_ALGORITHM_NAME_MAX)
        return false;
    for (size_t i = 0; i <= len; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    if (!is_name(lower, len))
        return false;
    memcpy(out_name, lower, len + 1);
    return true;
}

struct name_list {
    char **names; // room for WIRE_HELLO_ALGORITHMS_MAX and the NULL
    size_t len;
    bool is_short_of_memory;
};

static void
collect_name(EVP_MD *md, void *arg)
{
    struct name_list *list = arg;
    char name[WIRE_ALGORITHM_NAME_MAX + 1];

    if (!is_usable(md) || !name_of(md, name))
        return;
    if (list->len == WIRE_HELLO_ALGORITHMS_MAX)
        return;
    // Two providers may offer the same algorithm.
    for (size_t i = 0; i < list->len; i++) {
        if (strcmp(list->names[i], name) == 0)
            return;
    }
    list->names[list->len] = strdup(name);
    if (list->names[list->len])
        list->len++;
    else
        list->is_short_of_memory = true;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
digest_names_new(char ***out_names)
{
    struct name_list list = {0};

    list.names = calloc(WIRE_HELLO_ALGORITHMS_MAX + 1, sizeof(*list.names));
    if (!list.names)
        return -ENOMEM;
    EVP_MD_do_all_provided(NULL, collect_name, &list);
    if (list.is_short_of_memory) {
        digest_names_free(&list.names);
        return -ENOMEM;
    }
    qsort(list.names, list.len, sizeof(*list.names), compare_names);
    *out_names = list.names;
    return 0;
}

void
digest_names_free(char ***names)
{
    if (!*names)
        return;
    for (char **p = *names; *p; p++)
        free(*p);
    free(*names);
    *names = NULL;
}

// --- Algorithms and suites ---

int
digest_kit_new(bool gathers, struct digest_kit **out_kit)
{
    struct digest_kit *kit = calloc(1, sizeof(*kit));

    if (!kit)
        return -ENOMEM;
    if (gathers && sha512_batch_is_available() &&
        sha512_batch_new(&kit->batch) != 0) {
        free(kit);
        return -ENOMEM;
    }
    *out_kit = kit;
    return 0;
}

void
digest_kit_flush(struct digest_kit *kit)
{
    if (kit->batch)
        sha512_batch_flush(kit->batch);
}

static void
free_algorithm(struct digest_algorithm *algorithm)
{
    while (algorithm->spares_len)
        EVP_MD_CTX_free(algorithm->spares[--algorithm->spares_len]);
    EVP_MD_CTX_free(algorithm->whole);
    EVP_MD_free(algorithm->md);
    free(algorithm);
}

void
digest_kit_free(struct digest_kit **kit)
{
    struct digest_algorithm *algorithm;
    struct digest_algorithm *next;

    if (!*kit)
        return;
    HASH_ITER(hh, (*kit)->algorithms, algorithm, next)
    {
        HASH_DEL((*kit)->algorithms, algorithm);
        free_algorithm(algorithm);
    }
    sha512_batch_free(&(*kit)->batch);
    free(*kit);
    *kit = NULL;
}

// Fetches an algorithm and files it in the kit. name has passed is_name().
static int
add_algorithm(struct digest_kit *kit, const char *name, size_t len,
              struct digest_algorithm **out_algorithm)
{
    struct digest_algorithm *algorithm = calloc(1, sizeof(*algorithm));
    char canonical[WIRE_ALGORITHM_NAME_MAX + 1];
    int err = -ENOENT;

    if (!algorithm)
        return -ENOMEM;
    memcpy(algorithm->name, name, len);
    algorithm->md = EVP_MD_fetch(NULL, algorithm->name, NULL);
    if (!algorithm->md) {
        ERR_clear_error(); // "unsupported": our return value says it
        goto out;
    }
    // Aliases are refused: a kit stays as small as what it announces.
    if (!is_usable(algorithm->md) || !name_of(algorithm->md, canonical) ||
        strcmp(canonical, algorithm->name) != 0)
        goto out;
    algorithm->size = (size_t)EVP_MD_get_size(algorithm->md);
    if (strcmp(canonical, "sha512") == 0)
        algorithm->batch = kit->batch;
    err = -ENOMEM;
    algorithm->whole = EVP_MD_CTX_new();
    if (!algorithm->whole)
        goto out;
    HASH_ADD(hh, kit->algorithms, name, len, algorithm);
    if (!algorithm->hh.tbl) // not added: no memory
        goto out;

    *out_algorithm = algorithm;
    algorithm = NULL; // the kit's now
    err = 0;
out:
    if (algorithm)
        free_algorithm(algorithm);
    return err;
}

int
digest_suite_parse(struct digest_kit *kit, const char *list, size_t len,
                   struct digest_suite *out_suite)
{
    struct digest_suite suite = {0};
    const char *end = list + len;

    if (len == 0)
        return -EINVAL;
    for (const char *name = list; name <= end;) {
        const char *comma = memchr(name, ',', (size_t)(end - name));
        size_t name_len = (size_t)((comma ? comma : end) - name);
        struct digest_algorithm *algorithm = NULL;
        int err;

        if (suite.len == WIRE_ALGORITHMS_MAX || name_len == 0)
            return -EINVAL;
        if (!is_name(name, name_len))
            return -ENOENT;
        HASH_FIND(hh, kit->algorithms, name, name_len, algorithm);
        if (!algorithm) {
            err = add_algorithm(kit, name, name_len, &algorithm);
            if (err)
                return err;
        }
        suite.sizes[suite.len] = algorithm->size;
        suite.algorithms[suite.len++] = algorithm;
        suite.bytes += algorithm->size;
        name += name_len + 1;
    }
    *out_suite = suite;
    return 0;
}

// --- Digests ---

static int
gather_whole(struct digest_algorithm *algorithm, const void *data, size_t len,
             unsigned char *out_digest)
{
    struct sha512_stream *stream = sha512_stream_new(algorithm->batch);

    if (!stream)
        return -ENOMEM;
    sha512_stream_update(stream, data, len);
    sha512_stream_final(&stream, out_digest);
    return 0;
}

// After an error nobody waits for what was gathered, and its place may be used
// again: so it is written now or never.
static int
settle(const struct digest_suite *suite, int err)
{
    for (size_t i = 0; i < suite->len && err; i++) {
        if (suite->algorithms[i]->batch)
            sha512_batch_flush(suite->algorithms[i]->batch);
    }
    return err;
}

static int
digest_one(struct digest_algorithm *algorithm, const void *data, size_t len,
           unsigned char *out_digest)
{
    if (algorithm->batch)
        return gather_whole(algorithm, data, len, out_digest);
    if (!EVP_DigestInit_ex2(algorithm->whole, algorithm->md, NULL) ||
        !EVP_DigestUpdate(algorithm->whole, data, len) ||
        !EVP_DigestFinal_ex(algorithm->whole, out_digest, NULL))
        return -EIO;
    return 0;
}

int
digest_whole(const struct digest_suite *suite, const void *data, size_t len,
             unsigned char *out_digests)
{
    int err = 0;

    // One algorithm after the other, so that a suite may name one twice; the
    // body is small enough to stay in the second-level cache.
    for (size_t i = 0; i < suite->len && !err; i++) {
        err = digest_one(suite->algorithms[i], data, len, out_digests);
        out_digests += suite->algorithms[i]->size;
    }
    return settle(suite, err);
}

// Begins the run's i-th digest. Nothing is left over on failure.
static int
begin(struct digest_run *run, size_t i)
{
    struct digest_algorithm *algorithm = run->suite.algorithms[i];

    run->contexts[i] = NULL;
    run->gathered[i] = NULL;
    if (algorithm->batch) {
        run->gathered[i] = sha512_stream_new(algorithm->batch);
        return run->gathered[i] ? 0 : -ENOMEM;
    }
    run->contexts[i] = algorithm->spares_len
                           ? algorithm->spares[--algorithm->spares_len]
                           : EVP_MD_CTX_new();
    if (!run->contexts[i])
        return -ENOMEM;
    if (EVP_DigestInit_ex2(run->contexts[i], algorithm->md, NULL))
        return 0;
    EVP_MD_CTX_free(run->contexts[i]);
    return -EIO;
}

int
digest_run_init(struct digest_run *run, const struct digest_suite *suite)
{
    run->suite = *suite;
    run->suite.len = 0; // counts the contexts that fini has to give back
    for (size_t i = 0; i < suite->len; i++) {
        int err = begin(run, i);

        if (err) {
            digest_run_fini(run);
            return err;
        }
        run->suite.len++;
    }
    return 0;
}

int
digest_run_update(struct digest_run *run, const void *data, size_t len)
{
    const char *at = data;
    size_t piece_max = run->suite.len > 1 ? PIECE_BYTES : len;

    for (size_t i = 0; i < run->suite.len; i++) {
        if (run->gathered[i])
            sha512_stream_update(run->gathered[i], data, len);
    }
    while (len) {
        size_t piece = len < piece_max ? len : piece_max;

        for (size_t i = 0; i < run->suite.len; i++) {
            if (run->contexts[i] &&
                !EVP_DigestUpdate(run->contexts[i], at, piece))
                return -EIO;
        }
        at += piece;
        len -= piece;
    }
    return 0;
}

int
digest_run_final(struct digest_run *run, unsigned char *out_digests)
{
    for (size_t i = 0; i < run->suite.len; i++) {
        if (run->gathered[i])
            sha512_stream_final(&run->gathered[i], out_digests);
        else if (!EVP_DigestFinal_ex(run->contexts[i], out_digests, NULL))
            return settle(&run->suite, -EIO);
        out_digests += run->suite.sizes[i];
    }
    return 0;
}

void
digest_run_fini(struct digest_run *run)
{
    for (size_t i = 0; i < run->suite.len; i++) {
        struct digest_algorithm *algorithm = run->suite.algorithms[i];

        sha512_stream_drop(&run->gathered[i]);
        if (!run->contexts[i])
            continue;
        if (algorithm->spares_len < SPARES_MAX)
            algorithm->spares[algorithm->spares_len++] = run->contexts[i];
        else
            EVP_MD_CTX_free(run->contexts[i]);
    }
    run->suite.len = 0;
}
