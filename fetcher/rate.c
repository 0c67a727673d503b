#include "fetcher/rate.h"

#include <stddef.h>
#include <utlist.h>

// Parts of a second's bytes that the bucket holds.
#define BUCKET_PART 4
// Longer pauses fill it no more: times 2^40 bytes it fits into 64 bits.
#define MS_MAX 1000000

void
rate_init(struct rate *rate, uint64_t bytes_a_second, uint64_t now_ms)
{
    *rate = (struct rate){.bytes_a_second = bytes_a_second,
                          .bucket = (int64_t)(bytes_a_second / BUCKET_PART),
                          .filled_ms = now_ms};
}

static void
fill(struct rate *rate, uint64_t now_ms)
{
    int64_t full = (int64_t)(rate->bytes_a_second / BUCKET_PART);
    uint64_t ms = now_ms - rate->filled_ms;
    uint64_t bytes_ms;

    if (full < 1)
        full = 1;
    if (ms > MS_MAX)
        ms = MS_MAX;
    bytes_ms = ms * rate->bytes_a_second + rate->rest;
    rate->rest = bytes_ms % 1000;
    rate->bucket += (int64_t)(bytes_ms / 1000);
    if (rate->bucket > full)
        rate->bucket = full;
    rate->filled_ms = now_ms;
}

bool
rate_take(struct rate *rate, struct rate_claim *claim, uint64_t bytes,
          uint64_t now_ms)
{
    if (!rate->bytes_a_second)
        return true;
    if (bytes <= claim->paid) {
        claim->paid -= bytes;
        return true;
    }
    fill(rate, now_ms);
    if (rate->bucket <= 0) {
        if (!claim->waits)
            DL_APPEND(rate->line, claim);
        claim->waits = true;
        return false;
    }
    rate->bucket -= (int64_t)(bytes - claim->paid);
    claim->paid = 0;
    return true;
}

void
rate_keep(struct rate_claim *claim, uint64_t bytes)
{
    claim->paid += bytes;
}

struct rate_claim *
rate_next(struct rate *rate, uint64_t now_ms)
{
    struct rate_claim *claim = rate->line;

    if (!claim)
        return NULL;
    fill(rate, now_ms);
    if (rate->bucket <= 0)
        return NULL;
    DL_DELETE(rate->line, claim);
    claim->waits = false;
    return claim;
}

void
rate_close(struct rate *rate, struct rate_claim *claim)
{
    if (claim->waits)
        DL_DELETE(rate->line, claim);
    claim->waits = false;
    claim->paid = 0;
}

uint64_t
rate_due_ms(const struct rate *rate)
{
    uint64_t missing;

    if (!rate->line)
        return UINT64_MAX;
    if (rate->bucket > 0)
        return rate->filled_ms;
    missing = (uint64_t)-rate->bucket + 1;
    return rate->filled_ms +
           (missing * 1000 - rate->rest + rate->bytes_a_second - 1) /
               rate->bytes_a_second;
}
