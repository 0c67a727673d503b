// digest_bench.c - GB/s a thread of hasher/digest, by size of the piece
//
// digest_bench [ALGORITHMS [THREADS [MILLISECONDS]]]. "whole": each piece is a
// body of its own; "stream": pieces of one endless body. Compare with
// `openssl speed -evp sha512 -bytes SIZE`. Each thread hashes fresh memory of
// 64 MiB in turn, as bodies from the network are, not one hot buffer.
#include "common/clock.h"
#include "hasher/digest.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES ((size_t)64 << 20)

struct job {
    const char *list;
    const unsigned char *memory;
    size_t piece;
    bool is_stream;
    uint64_t run_us;
    double gigabytes; // a second
    int err;
};

static int
hash_for(struct job *job, struct digest_kit *kit)
{
    struct digest_suite suite;
    struct digest_run run;
    unsigned char out[DIGEST_SUITE_BYTES_MAX];
    uint64_t start_us, now_us;
    uint64_t bytes = 0;
    size_t at = 0;
    int err = digest_suite_parse(kit, job->list, strlen(job->list), &suite);

    if (!err)
        err = digest_run_init(&run, &suite);
    if (err)
        return err;
    start_us = now_us = clock_now_us();
    while (!err && now_us - start_us < job->run_us) {
        for (int i = 0; !err && i < 64; i++) {
            if (at + job->piece > MEMORY_BYTES)
                at = 0;
            err = job->is_stream
                      ? digest_run_update(&run, job->memory + at, job->piece)
                      : digest_whole(&suite, job->memory + at, job->piece, out);
            at += job->piece;
            bytes += job->piece;
        }
        now_us = clock_now_us();
    }
    digest_run_fini(&run);
    job->gigabytes = (double)bytes / (double)(now_us - start_us) / 1e3;
    return err;
}

static void *
run_job(void *arg)
{
    struct job *job = arg;
    struct digest_kit *kit = NULL;

    job->err = digest_kit_new(false, &kit);
    if (!job->err)
        job->err = hash_for(job, kit);
    digest_kit_free(&kit);
    return NULL;
}

// GB/s a thread, the mean; negative when something failed.
static double
measure(const struct job *pattern, int threads)
{
    pthread_t ids[64];
    struct job jobs[64];
    double sum = 0;

    for (int i = 0; i < threads; i++) {
        jobs[i] = *pattern;
        if (pthread_create(&ids[i], NULL, run_job, &jobs[i]))
            exit(1);
    }
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        if (jobs[i].err)
            return -1;
        sum += jobs[i].gigabytes;
    }
    return sum / threads;
}

int
main(int argc, char **argv)
{
    static const size_t pieces[] = {1 << 10, 10 << 10, 100 << 10, 256 << 10};
    unsigned char *memory = malloc(MEMORY_BYTES);
    struct job job = {.list = argc > 1 ? argv[1] : "sha512", .memory = memory};
    int threads = argc > 2 ? atoi(argv[2]) : 1;

    job.run_us = (uint64_t)(argc > 3 ? atoi(argv[3]) : 1000) * 1000;
    if (!memory || threads < 1 || threads > 64)
        return 1;
    memset(memory, 'x', MEMORY_BYTES);
    printf("%s, %d thread(s), GB/s a thread\n%10s %8s %8s\n", job.list, threads,
           "piece", "whole", "stream");
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        double whole, stream;

        job.piece = pieces[i];
        job.is_stream = false;
        whole = measure(&job, threads);
        job.is_stream = true;
        stream = measure(&job, threads);
        if (whole < 0 || stream < 0) {
            (void)fprintf(stderr, "digest_bench: %s failed\n", job.list);
            return 1;
        }
        printf("%6zu KiB %8.3f %8.3f\n", pieces[i] >> 10, whole, stream);
    }
    free(memory);
    return 0;
}
