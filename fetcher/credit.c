#include "fetcher/credit.h"

#include "common/limits.h"

#include <stddef.h>
#include <utlist.h>

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// A window beyond this would only come of a broker that gives what was never
// taken; it must not wrap.
static uint64_t
add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void
credit_init(struct credit *credit, uint64_t window, uint64_t job_window)
{
    credit->window = window;
    credit->job_window = job_window;
    credit->wake = smaller(WIRE_BODY_BYTES_MAX, window / 4);
    credit->job_wake = smaller(WIRE_BODY_BYTES_MAX, job_window / 2);
    credit->line = NULL;
    credit->turn = NULL;
}

void
credit_open(const struct credit *credit, struct credit_claim *claim)
{
    *claim = (struct credit_claim){.window = credit->job_window};
}

void
credit_close(struct credit *credit, struct credit_claim *claim)
{
    if (claim->wait == CREDIT_IN_LINE)
        DL_DELETE(credit->line, claim);
    claim->wait = CREDIT_RUNS;
    if (credit->turn == claim)
        credit->turn = NULL;
}

static void
stand_in_line(struct credit *credit, struct credit_claim *claim)
{
    claim->wait = CREDIT_IN_LINE;
    DL_APPEND(credit->line, claim);
}

bool
credit_take(struct credit *credit, struct credit_claim *claim, uint64_t bytes)
{
    if (bytes == 0)
        return true;
    if (claim->wait != CREDIT_RUNS)
        return false; // asked again while it waits: its place stays
    if (bytes > claim->window) {
        claim->need = bytes;
        claim->wait = CREDIT_WAITS_OWN;
        return false;
    }
    if (bytes > credit->window || (credit->line && credit->turn != claim)) {
        claim->need = bytes;
        stand_in_line(credit, claim);
        return false;
    }
    credit->window -= bytes;
    claim->window -= bytes;
    return true;
}

void
credit_untake(struct credit *credit, uint64_t bytes)
{
    credit->window = add_capped(credit->window, bytes);
}

void
credit_give(struct credit *credit, uint64_t bytes)
{
    credit->window = add_capped(credit->window, bytes);
}

void
credit_give_claim(struct credit *credit, struct credit_claim *claim,
                  uint64_t bytes)
{
    claim->window = add_capped(claim->window, bytes);
    if (claim->wait == CREDIT_WAITS_OWN &&
        claim->window >= larger(claim->need, credit->job_wake))
        stand_in_line(credit, claim);
}

struct credit_claim *
credit_next(struct credit *credit)
{
    struct credit_claim *claim = credit->line;

    credit->turn = NULL;
    if (!claim || credit->window < larger(claim->need, credit->wake))
        return NULL;
    DL_DELETE(credit->line, claim);
    claim->wait = CREDIT_RUNS;
    credit->turn = claim;
    return claim;
}
