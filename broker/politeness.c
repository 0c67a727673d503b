#include "broker/politeness.h"

#include "common/limits.h"

#include <stdlib.h>

static uint64_t
with_jitter(uint64_t pause_ms, unsigned *seed)
{
    return pause_ms +
           (uint64_t)rand_r(seed) % (pause_ms / POLITENESS_JITTER + 1);
}

enum politeness_state
politeness_state(const struct politeness *politeness, uint64_t running,
                 uint64_t give_up_ms, uint64_t now_ms, uint64_t *out_until_ms)
{
    uint64_t since_ms = politeness->parked_since_ms, give_up_at_ms;

    *out_until_ms = UINT64_MAX;
    if (now_ms < politeness->closed_until_ms) {
        *out_until_ms = politeness->closed_until_ms;
        return POLITENESS_CLOSED;
    }
    if (since_ms && now_ms < politeness->parked_until_ms) {
        *out_until_ms = politeness->parked_until_ms;
        if (!give_up_ms)
            return POLITENESS_PARKED;
        give_up_at_ms = since_ms + give_up_ms;
        if (now_ms >= give_up_at_ms)
            return POLITENESS_GIVEN_UP;
        if (give_up_at_ms < *out_until_ms)
            *out_until_ms = give_up_at_ms;
        return POLITENESS_PARKED;
    }
    if (!politeness->is_probed)
        return politeness->is_reached ||
                       running + politeness->silences < POLITENESS_TRIED_MAX
                   ? POLITENESS_OPEN
                   : POLITENESS_TRIED;
    return politeness->has_probe ? POLITENESS_WAIT : POLITENESS_PROBE;
}

// --- Closed ---

static uint64_t
incident_pause_ms(struct politeness *politeness, uint64_t now_ms)
{
    uint64_t pause_ms = POLITENESS_CLOSED_FIRST_MS;

    if (now_ms >= politeness->closed_until_ms + POLITENESS_QUIET_MS)
        politeness->incidents = 0;
    for (uint32_t i = 0;
         i < politeness->incidents && pause_ms < POLITENESS_CLOSED_MAX_MS; i++)
        pause_ms *= 2;
    politeness->incidents++;
    return pause_ms < POLITENESS_CLOSED_MAX_MS ? pause_ms
                                               : POLITENESS_CLOSED_MAX_MS;
}

static uint64_t
told_ms(uint64_t retry_after_s)
{
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    return retry_after_s * 1000 < POLITENESS_TOLD_MIN_MS
               ? POLITENESS_TOLD_MIN_MS
               : retry_after_s * 1000;
}

static enum politeness_change
close_it(struct politeness *politeness, const struct politeness_news *news,
         uint64_t now_ms, unsigned *seed)
{
    bool is_told = news->retry_after_s != UINT64_MAX;
    uint64_t until_ms = now_ms;

    if (is_told)
        until_ms += told_ms(news->retry_after_s);
    else if (!politeness->closed_ms || news->begun_ms > politeness->closed_ms)
        until_ms += with_jitter(incident_pause_ms(politeness, now_ms), seed);
    // else: it was asked before it closed, so this is the same incident.
    politeness->is_probed = true;
    if (until_ms <= politeness->closed_until_ms || until_ms == now_ms)
        return POLITENESS_NOTHING; // what was told first holds
    politeness->closed_ms = now_ms;
    politeness->closed_until_ms = until_ms;
    politeness->closed_status = (uint32_t)news->http_status;
    politeness->is_told = is_told;
    return POLITENESS_SHUT;
}

// --- Parked ---

// Whatever else goes wrong, the origin was there, or it was our own fault.
static bool
is_no_connection(const struct politeness_news *news)
{
    return news->outcome == FAIL_DNS || news->outcome == FAIL_CONNECT ||
           news->outcome == FAIL_TLS ||
           (news->outcome == FAIL_TIMEOUT && !news->is_connected);
}

static enum politeness_change
note_failure(struct politeness *politeness, const struct politeness_news *news,
             uint64_t now_ms, unsigned *seed)
{
    if (politeness->failures < UINT32_MAX)
        politeness->failures++;
    if (news->is_silent && politeness->silences < UINT32_MAX)
        politeness->silences++;
    if (!politeness->parked_since_ms &&
        politeness->failures < POLITENESS_FAILURES_MAX &&
        politeness->silences < POLITENESS_SILENCES_MAX)
        return POLITENESS_NOTHING;
    if (!politeness->parked_since_ms) {
        politeness->parked_since_ms = now_ms;
        politeness->pause_ms = POLITENESS_PARKED_FIRST_MS;
    } else if (news->begun_ms <= politeness->parked_ms) {
        return POLITENESS_NOTHING; // it was tried before it was parked
    } else {
        politeness->pause_ms *= 2;
        if (politeness->pause_ms > POLITENESS_PARKED_MAX_MS)
            politeness->pause_ms = POLITENESS_PARKED_MAX_MS;
    }
    politeness->parked_ms = now_ms;
    politeness->parked_until_ms =
        now_ms + with_jitter(politeness->pause_ms, seed);
    politeness->is_probed = true;
    return POLITENESS_PARK;
}

static void
end_parking(struct politeness *politeness)
{
    politeness->failures = 0;
    politeness->silences = 0;
    politeness->parked_since_ms = 0;
    politeness->parked_until_ms = 0;
}

// It was there.
static enum politeness_change
note_answer(struct politeness *politeness, const struct politeness_news *news,
            uint64_t now_ms, unsigned *seed)
{
    bool was_parked = politeness->parked_since_ms != 0;

    end_parking(politeness);
    if (news->http_status == 429 || news->http_status == 503)
        return close_it(politeness, news, now_ms, seed);
    // What was asked before it closed says nothing of how it is now.
    if (!politeness->is_probed ||
        (politeness->closed_ms && news->begun_ms <= politeness->closed_ms))
        return was_parked ? POLITENESS_BACK : POLITENESS_NOTHING;
    politeness->is_probed = false;
    return POLITENESS_BACK;
}

enum politeness_change
politeness_reach(struct politeness *politeness)
{
    if (politeness->is_reached)
        return POLITENESS_NOTHING;
    politeness->is_reached = true;
    return POLITENESS_REACHED;
}

enum politeness_change
politeness_note(struct politeness *politeness,
                const struct politeness_news *news, uint64_t now_ms,
                unsigned *seed)
{
    enum politeness_change reached = POLITENESS_NOTHING;
    enum politeness_change change = POLITENESS_NOTHING;

    // Whatever it was before: who waited in vain did not find it there.
    if (news->outcome == FAIL_TIMEOUT)
        politeness->is_reached = false;
    else if (news->is_connected)
        reached = politeness_reach(politeness);
    if (is_no_connection(news))
        change = note_failure(politeness, news, now_ms, seed);
    else if (news->is_connected)
        change = note_answer(politeness, news, now_ms, seed);
    return change == POLITENESS_NOTHING ? reached : change;
}

// --- One goes first ---

bool
politeness_begin(struct politeness *politeness)
{
    if (!politeness->is_probed)
        return false;
    politeness->has_probe = true;
    return true;
}

void
politeness_end_probe(struct politeness *politeness)
{
    politeness->has_probe = false;
}

void
politeness_restore(struct politeness *politeness, int64_t left_ms,
                   uint32_t status, bool is_told, uint32_t incidents,
                   uint64_t now_ms)
{
    uint64_t max_ms =
        POLITENESS_CLOSED_MAX_MS + POLITENESS_CLOSED_MAX_MS / POLITENESS_JITTER;

    // The clock of the day may have been set meanwhile.
    if (left_ms > (int64_t)max_ms)
        left_ms = (int64_t)max_ms;
    if (left_ms < 0 && (uint64_t)-left_ms >= now_ms)
        return; // longer ago than this machine is up
    politeness->closed_ms = now_ms;
    politeness->closed_until_ms = now_ms + (uint64_t)left_ms;
    politeness->closed_status = status;
    politeness->is_told = is_told;
    politeness->incidents = incidents;
    politeness->is_probed = left_ms > 0;
}

uint64_t
politeness_forget_ms(const struct politeness *politeness)
{
    uint64_t closed_ms = politeness->closed_until_ms;
    uint64_t parked_ms = politeness->parked_until_ms;

    if (closed_ms && politeness->incidents)
        closed_ms += POLITENESS_QUIET_MS;
    if (parked_ms)
        parked_ms += POLITENESS_PARKED_MAX_MS;
    return closed_ms > parked_ms ? closed_ms : parked_ms;
}
