// sessions_pick.c - which worker gets the next jobs, and which the next body
#include "broker/sessions.h"

#include <string.h>
#include <utlist.h>

static uint64_t
capacity(const struct session *fetcher)
{
    return fetcher->is_doubtful ? 1 : fetcher->capacity;
}

static bool
takes_jobs(const struct session *fetcher)
{
    return !fetcher->is_draining && !fetcher->is_gone && !fetcher->is_reserved;
}

bool
sessions_have_fetcher(const struct sessions *sessions,
                      const struct session *except)
{
    const struct session *it;

    DL_FOREACH(sessions->fetchers, it)
    {
        if (it != except && takes_jobs(it) && !it->pause)
            return true;
    }
    return false;
}

size_t
sessions_paused(const struct sessions *sessions)
{
    const struct session *it;
    size_t len = 0;

    DL_FOREACH(sessions->fetchers, it)
    {
        len += it->pause != WIRE_PAUSE_NONE;
    }
    return len;
}

struct session *
sessions_pick_fetcher(const struct sessions *sessions, size_t *out_room)
{
    bool all_pause = !sessions_have_fetcher(sessions, NULL);
    struct session *it, *best = NULL;

    DL_FOREACH(sessions->fetchers, it)
    {
        if (!takes_jobs(it) || (it->pause && !all_pause) ||
            it->jobs_len >= capacity(it))
            continue;
        if (best && best->is_doubtful != it->is_doubtful) {
            if (best->is_doubtful)
                best = it;
            continue;
        }
        // a/b < c/d without division.
        if (!best ||
            it->jobs_len * best->capacity < best->jobs_len * it->capacity)
            best = it;
    }
    if (best)
        *out_room = capacity(best) - best->jobs_len;
    return best;
}

bool
session_can_hash(const struct session *hasher, const struct wire_bytes *suite)
{
    const char *end = suite->at + suite->len;

    for (const char *name = suite->at; name < end;) {
        const char *comma = memchr(name, ',', (size_t)(end - name));
        size_t len = (size_t)((comma ? comma : end) - name);
        const char *at = hasher->algorithms;

        // Between commas, the first and the last one included.
        while (at && (strncmp(at + 1, name, len) != 0 || at[1 + len] != ','))
            at = strchr(at + 1, ',');
        if (!at)
            return false;
        name += len + 1;
    }
    return true;
}

bool
sessions_have_hasher(const struct sessions *sessions,
                     const struct wire_bytes *suite,
                     const struct session *except)
{
    const struct session *it;

    DL_FOREACH(sessions->hashers, it)
    {
        if (it != except && !it->is_gone && !it->is_draining &&
            (!suite || session_can_hash(it, suite)))
            return true;
    }
    return false;
}

bool
sessions_have_free_hasher(const struct sessions *sessions,
                          const struct wire_bytes *suite)
{
    const struct session *it;

    DL_FOREACH(sessions->hashers, it)
    {
        if (!it->is_gone && !it->is_draining && !it->is_reserved &&
            session_can_hash(it, suite))
            return true;
    }
    return false;
}

// How well a hasher suits. What is fetched already need not be fetched again:
// so one that leaves is better than none, and so is one that is reserved. One
// that lacks an algorithm of the first body is no hasher at all; what another
// body beside it wants is its own matter.
static int
suits(const struct session *hasher, const struct wire_bytes *suites, size_t len)
{
    if (len && !session_can_hash(hasher, &suites[0]))
        return 0;
    if (hasher->is_doubtful)
        return 1;
    if (hasher->is_reserved)
        return 2;
    if (hasher->is_draining)
        return 3;
    for (size_t i = 1; i < len; i++) {
        if (!session_can_hash(hasher, &suites[i]))
            return 4;
    }
    return 5;
}

// Which of two hashers has less before it. A whole body is done when the bytes
// before it are; a stream will bring more than it shows, so that the number of
// bodies a hasher has in hand says more than the bytes it has at the moment.
static bool
is_lighter(const struct session *a, const struct session *b, bool is_stream)
{
    if (is_stream && a->jobs_len != b->jobs_len)
        return a->jobs_len < b->jobs_len;
    return a->backlog < b->backlog;
}

struct session *
sessions_pick_hasher(const struct sessions *sessions,
                     const struct wire_bytes *suites, size_t suites_len,
                     bool is_stream)
{
    struct session *it, *best = NULL;
    int best_suits = 0;

    DL_FOREACH(sessions->hashers, it)
    {
        int it_suits;

        // The best kind with less before it: no need to look closer.
        if (it->is_gone ||
            (best_suits == 5 && !is_lighter(it, best, is_stream)))
            continue;
        it_suits = suits(it, suites, suites_len);
        if (it_suits > best_suits || (it_suits && it_suits == best_suits &&
                                      is_lighter(it, best, is_stream))) {
            best = it;
            best_suits = it_suits;
        }
    }
    return best;
}
