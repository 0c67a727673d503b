// store_bench -r: what a broker does before it can hand out work
#include "store_bench.h"

#include "common/clock.h"
#include "common/loop.h"

#include <stdio.h>
#include <stdlib.h>

static void
on_origin_page(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench_count_step(bench);
    bench->read += bench->more.len;
    bench->more.is_first = false;
    if (bench->more.len < bench->more.max) {
        loop_end(bench->loop);
        return;
    }
    bench->more.after = bench->origin_page[bench->more.len - 1];
    bench->step_us = clock_now_us();
    store_push(bench->store, op);
}

static void
on_first_origins(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    bench->first = (struct store_refill){
        .op = {.kind = STORE_REFILL, .done = bench_on_end, .arg = bench},
        .batch = bench->batch,
        .origin = bench->origin_page[0],
        .max = REFILL_JOBS,
    };
    store_push(bench->store, &bench->first.op);
}

static void
on_rows(struct store_op *op)
{
    struct bench *bench = op->arg;

    bench_check(op);
    if (bench->rows.len == 0) {
        (void)fprintf(stderr, "store_bench: nothing to recover\n");
        exit(1);
    }
    bench->batch = bench->rows.rows[0].batch;
    store_batches_fini(&bench->rows);
    bench->more = (struct store_origins){
        .op = {.kind = STORE_ORIGINS, .done = on_first_origins, .arg = bench},
        .batch = bench->batch,
        .is_first = true,
        .origins = bench->origin_page,
        .max = ORIGINS_PAGE,
    };
    store_push(bench->store, &bench->more.op);
}

void
bench_recover(struct bench *bench, uint64_t opened_us)
{
    double open_ms = (double)(clock_now_us() - opened_us) / 1e3, first_ms;
    uint64_t scan_us;
    long first_mib;

    bench->rows = (struct store_batches){
        .op = {.kind = STORE_BATCHES, .done = on_rows, .arg = bench},
        .only_unfinished = true,
        .max = 100,
    };
    store_push(bench->store, &bench->rows.op);
    loop_run(bench->loop);
    first_ms = (double)(clock_now_us() - opened_us) / 1e3;
    first_mib = bench_rss_mib();
    store_refill_fini(&bench->first);
    bench->more.op.done = on_origin_page;
    bench->more.is_first = true;
    scan_us = bench->step_us = clock_now_us();
    store_push(bench->store, &bench->more.op);
    loop_run(bench->loop);
    (void)printf("open_ms=%.1f first_jobs_ms=%.1f rss_mib=%ld origins=%llu "
                 "pages=%llu scan_ms=%.1f worst_page_ms=%.1f rss_mib=%ld\n",
                 open_ms, first_ms, first_mib, (unsigned long long)bench->read,
                 (unsigned long long)bench->steps,
                 (double)(clock_now_us() - scan_us) / 1e3,
                 (double)bench->worst_us / 1e3, bench_rss_mib());
}
