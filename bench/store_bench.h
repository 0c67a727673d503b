// store_bench.h - what the phases of store_bench share
//
// One process, one bench; the loop's thread.
#ifndef BENCH_STORE_BENCH_H
#define BENCH_STORE_BENCH_H
#include "broker/store.h"

#define APPEND_URLS 1000
#define APPEND_WINDOW 4
#define FLOWS 256
#define REFILL_JOBS 64
#define ORIGINS_PAGE 1024
#define URL_BYTES 96

struct bench;

struct append {
    struct store_append op;
    struct store_url urls[APPEND_URLS];
    char texts[APPEND_URLS][URL_BYTES];
};

struct flow {
    struct bench *bench;
    struct store_refill refill;
    struct store_finish finishes[REFILL_JOBS];
    size_t in_hand;
};

struct bench {
    struct loop *loop;
    struct store *store;
    uint64_t urls, origins;
    uint64_t batch, appended, finished, read;
    uint64_t kill_at; // 0: never
    uint64_t origin_page[ORIGINS_PAGE];
    size_t origin_next;
    struct store_origins more;
    bool is_last_page, is_waiting;
    size_t idle_len;
    struct flow *idle[FLOWS];
    struct flow flows[FLOWS];
    struct append appends[APPEND_WINDOW];
    struct store_mark close;
    struct store_results results;
    struct store_batches rows;
    struct store_refill first;
    struct store_tidy tidy;
    uint64_t step_us, worst_us; // when the operation was pushed; the longest
    uint64_t steps, slow_steps; // slow: more than 20 ms
    unsigned char digest[64];
    char facts[120];
};

// Ends the process when the operation failed.
void bench_check(const struct store_op *op);

// The done() of the last operation of a phase: ends the loop.
void bench_on_end(struct store_op *op);

// An operation pushed at step_us came back: counts it, and the slow ones.
void bench_count_step(struct bench *bench);

// The most memory that was resident, MiB.
long bench_rss_mib(void);

// Reads what a broker needs at its start, then all origins, and prints how long
// it took. opened_us: when the opening of the store began.
void bench_recover(struct bench *bench, uint64_t opened_us);

#endif
