// store_bench: what a URL costs in the store, from APPEND to RESULTS
//
// store_bench [-n URLS] [-o ORIGINS] [-s FILE] [-d] [-k | -r | -t]
//   -s  the store's file (removed first); without, a private temporary one
//   -d  durable: fsync each commit
//   -k  die by SIGKILL when half of the URLs have their records
//   -r  recover: open what -k left, and do what a broker does before it can
//       hand out work; then read all origins (bench/recovery)
//   -t  afterwards remove the batch, and shrink the file by TIDY
// Prints one row a phase: CPU of both threads and wall time, in microseconds a
// URL. The loop does what a broker's would: 4 submissions of 1,000 URLs
// unanswered, 256 origins at work, their jobs read by REFILL and ended by
// FINISH as they come, at last all records read in pages.
//
// Origins come in random order in the list, and are worked on in the store's
// order, so that whatever is adjacent in the one is far apart in the other.
#include "store_bench.h"

#include "common/clock.h"
#include "common/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t
mix(uint64_t x) // splitmix64
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

long
bench_rss_mib(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

void
bench_check(const struct store_op *op)
{
    if (op->err) {
        (void)fprintf(stderr, "store_bench: operation %d: %s\n", (int)op->kind,
                      strerror(-op->err));
        exit(1);
    }
}

void
bench_count_step(struct bench *bench)
{
    uint64_t us = clock_now_us() - bench->step_us;

    bench->steps++;
    bench->slow_steps += us > 20000;
    if (us > bench->worst_us)
        bench->worst_us = us;
}

static void
on_flush(void *arg)
{
    struct bench *bench = arg;

    store_flush(bench->store);
}

// --- APPEND ---

static void
push_append(struct bench *bench, struct append *append)
{
    size_t len = 0;

    append->op.batch = bench->batch;
    append->op.first_seq = bench->appended;
    for (; len < APPEND_URLS && bench->appended < bench->urls; len++) {
        uint64_t origin = mix(bench->appended++) % bench->origins;
        int bytes =
            snprintf(append->texts[len], URL_BYTES,
                     "https://www%06u.example.org/files/%010llu.tar.gz",
                     (unsigned)origin, (unsigned long long)bench->appended);

        append->urls[len] = (struct store_url){
            append->texts[len], (size_t)bytes, mix(origin ^ 0x5a5a)};
    }
    append->op.urls = append->urls;
    append->op.len = len;
    if (len > 0)
        store_push(bench->store, &append->op.op);
}

void
bench_on_end(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    loop_end(bench->loop);
}

static void
on_append(struct store_op *op)
{
    struct bench *bench = op->arg;
    struct append *append = (struct append *)op;

    bench_check(op);
    if (append->op.submitted == bench->urls) {
        bench->close.op = (struct store_op){
            .kind = STORE_CLOSE, .done = bench_on_end, .arg = bench};
        bench->close.batch = bench->batch;
        bench->close.size = bench->urls;
        store_push(bench->store, &bench->close.op);
        return;
    }
    push_append(bench, append);
}

static void
start_appends(struct bench *bench)
{
    for (size_t i = 0; i < APPEND_WINDOW; i++) {
        bench->appends[i].op.op = (struct store_op){
            .kind = STORE_APPEND, .done = on_append, .arg = bench};
        push_append(bench, &bench->appends[i]);
    }
}

// --- REFILL and FINISH ---

static void feed(struct bench *bench);

static void
on_finish(struct store_op *op)
{
    struct flow *flow = op->arg;
    struct bench *bench = flow->bench;
    bool is_end;

    bench_check(op);
    if (++bench->finished == bench->kill_at)
        (void)raise(SIGKILL);
    if (--flow->in_hand == 0) {
        is_end = flow->refill.is_end;
        flow->refill.from_seq = flow->refill.jobs[flow->refill.len - 1].seq + 1;
        store_refill_fini(&flow->refill);
        if (is_end)
            bench->idle[bench->idle_len++] = flow;
        else
            store_push(bench->store, &flow->refill.op);
    }
    if (((struct store_finish *)op)->batch_is_finished)
        loop_end(bench->loop);
    else
        feed(bench);
}

static void
on_refill(struct store_op *op)
{
    struct flow *flow = op->arg;
    struct bench *bench = flow->bench;

    bench_check(op);
    flow->in_hand = flow->refill.len;
    for (size_t i = 0; i < flow->refill.len; i++) {
        const struct store_job *job = &flow->refill.jobs[i];

        flow->finishes[i] = (struct store_finish){
            .op = {.kind = STORE_FINISH, .done = on_finish, .arg = flow},
            .batch = bench->batch,
            .origin = flow->refill.origin,
            .record = {.seq = job->seq,
                       .outcome = FAIL_OK,
                       .url = job->url,
                       .url_len = job->len,
                       .size = 10240,
                       .http_status = 200,
                       .tries = 1,
                       .digests = bench->digest,
                       .digests_len = sizeof(bench->digest),
                       .facts = bench->facts,
                       .facts_len = sizeof(bench->facts)},
        };
        store_push(bench->store, &flow->finishes[i].op);
    }
    if (flow->refill.len == 0) {
        store_refill_fini(&flow->refill);
        bench->idle[bench->idle_len++] = flow;
        feed(bench);
    }
}

static void
on_origins(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench->is_waiting = false;
    bench->is_last_page = bench->more.len < bench->more.max;
    bench->origin_next = 0;
    feed(bench);
}

static void
feed(struct bench *bench)
{
    while (bench->idle_len > 0 && !bench->is_waiting) {
        if (bench->origin_next == bench->more.len) {
            if (bench->is_last_page)
                return;
            bench->more.is_first = bench->more.len == 0;
            if (bench->more.len > 0)
                bench->more.after = bench->origin_page[bench->more.len - 1];
            bench->is_waiting = true;
            store_push(bench->store, &bench->more.op);
            return;
        }
        struct flow *flow = bench->idle[--bench->idle_len];

        flow->refill = (struct store_refill){
            .op = {.kind = STORE_REFILL, .done = on_refill, .arg = flow},
            .batch = bench->batch,
            .origin = bench->origin_page[bench->origin_next++],
            .max = REFILL_JOBS,
        };
        store_push(bench->store, &flow->refill.op);
    }
}

static void
start_finishes(struct bench *bench)
{
    bench->more = (struct store_origins){
        .op = {.kind = STORE_ORIGINS, .done = on_origins, .arg = bench},
        .batch = bench->batch,
        .origins = bench->origin_page,
        .max = ORIGINS_PAGE,
    };
    for (size_t i = 0; i < FLOWS; i++) {
        bench->flows[i].bench = bench;
        bench->idle[bench->idle_len++] = &bench->flows[i];
    }
    feed(bench);
}

// --- RESULTS ---

static void
on_results(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench->read += bench->results.len;
    bench->results.after = bench->results.next;
    store_results_fini(&bench->results);
    if (bench->read == bench->urls)
        loop_end(bench->loop);
    else
        store_push(bench->store, op);
}

static void
start_results(struct bench *bench)
{
    bench->results = (struct store_results){
        .op = {.kind = STORE_RESULTS, .done = on_results, .arg = bench},
        .batch = bench->batch,
        .max = RESULTS_ROWS_MAX,
        .bytes_max = RESULTS_BYTES_MAX,
    };
    store_push(bench->store, &bench->results.op);
}

// --- REMOVE and TIDY ---

static void
on_tidy(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench_count_step(bench);
    if (!bench->tidy.has_more) {
        loop_end(bench->loop);
        return;
    }
    bench->step_us = clock_now_us();
    store_push(bench->store, op);
}

static void
on_removed(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    store_mark_fini((struct store_mark *)op);
    bench->tidy.op =
        (struct store_op){.kind = STORE_TIDY, .done = on_tidy, .arg = bench};
    bench->step_us = clock_now_us();
    store_push(bench->store, &bench->tidy.op);
}

static void
start_tidy(struct bench *bench)
{
    store_mark_fini(&bench->close);
    bench->close.op = (struct store_op){
        .kind = STORE_REMOVE, .done = on_removed, .arg = bench};
    store_push(bench->store, &bench->close.op);
}

// --- The run ---

static void
on_created(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench->batch = ((struct store_create *)op)->batch.batch;
    loop_end(bench->loop);
}

static double
cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double
run_phase(struct bench *bench, const char *name, const char *label,
          void (*start)(struct bench *bench))
{
    double cpu = cpu_us(), urls = (double)bench->urls;
    uint64_t wall = clock_now_us();
    struct store_stats before, after;

    store_stats(bench->store, &before);
    start(bench);
    loop_run(bench->loop);
    store_stats(bench->store, &after);
    cpu = (cpu_us() - cpu) / urls;
    (void)printf("%-10s %9llu %8llu %-8s %6.2f %6.2f %8llu\n", label,
                 (unsigned long long)bench->urls,
                 (unsigned long long)bench->origins, name, cpu,
                 (double)(clock_now_us() - wall) / urls,
                 (unsigned long long)(after.commits - before.commits));
    (void)fflush(stdout);
    return cpu;
}

static int
run(struct bench *bench, const struct store_config *config, int mode)
{
    const char *label = !config->path        ? "temporary"
                        : config->is_durable ? "durable"
                                             : "file";
    struct store_create create = {
        .op = {.kind = STORE_CREATE, .done = on_created, .arg = bench},
        .batch = {.id = "bench", .algorithms = "sha512"}};
    struct stat file = {.st_size = 0};
    uint64_t start_us = clock_now_us();
    double cpu = 0;
    char why[256];
    int err;

    err = loop_new(&bench->loop);
    if (!err)
        err = store_open(config, bench->loop, &bench->store, why, sizeof(why));
    if (err) {
        (void)fprintf(stderr, "store_bench: %s\n", why);
        return 1;
    }
    loop_add_flush(bench->loop, on_flush, bench);
    if (mode == 'r') {
        bench_recover(bench, start_us);
        store_close(&bench->store);
        loop_free(&bench->loop);
        return 0;
    }
    store_push(bench->store, &create.op);
    loop_run(bench->loop);
    store_create_fini(&create);

    (void)printf("%-10s %9s %8s %-8s %6s %6s %8s\n", "store", "urls", "origins",
                 "phase", "cpu_us", "us", "commits");
    cpu += run_phase(bench, "append", label, start_appends);
    cpu += run_phase(bench, "finish", label, start_finishes);
    cpu += run_phase(bench, "results", label, start_results);
    if (mode == 't') {
        cpu += run_phase(bench, "tidy", label, start_tidy);
        (void)printf("steps=%llu over_20_ms=%llu worst_step_ms=%.1f\n",
                     (unsigned long long)bench->steps,
                     (unsigned long long)bench->slow_steps,
                     (double)bench->worst_us / 1e3);
    }
    if (config->path)
        (void)stat(config->path, &file);
    store_mark_fini(&bench->close);
    store_close(&bench->store);
    loop_free(&bench->loop);
    (void)printf("%-10s %9llu %8llu %-8s %6.2f  rss_mib=%ld file_mib=%lld\n",
                 label, (unsigned long long)bench->urls,
                 (unsigned long long)bench->origins, "total", cpu,
                 bench_rss_mib(), (long long)file.st_size >> 20);
    return 0;
}

int
main(int argc, char **argv)
{
    struct store_config config = {.path = NULL};
    struct bench *bench = calloc(1, sizeof(*bench));
    int option, code, mode = 0;

    if (!bench)
        return 1;
    bench->urls = 1000000;
    bench->origins = 1;
    while ((option = getopt(argc, argv, "n:o:s:dkrt")) != -1) {
        switch (option) {
        case 'n':
            bench->urls = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            bench->origins = strtoull(optarg, NULL, 10);
            break;
        case 's':
            config.path = optarg;
            break;
        case 'd':
            config.is_durable = true;
            break;
        case 'k':
        case 'r':
        case 't':
            mode = option;
            break;
        default:
            return 2;
        }
    }
    if (bench->urls == 0 || bench->origins == 0 || bench->origins > 1000000)
        return 2;
    if (mode && !config.path)
        return 2;
    if (mode == 'k')
        bench->kill_at = bench->urls / 2 + 1;
    if (config.path && mode != 'r')
        (void)unlink(config.path); // may not be there
    code = run(bench, &config, mode);
    free(bench);
    return code;
}
