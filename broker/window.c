#include "broker/window.h"

#include "broker/state.h"

#include <utlist.h>

// A fetcher's window: enough to keep a 10 Gbit/s link busy for 25 ms; no less
// than four full body frames.
#define WINDOW_MAX (32 * 1024 * 1024)
#define WINDOW_MIN (1024 * 1024)
// One transfer's part of it: no stuck hasher can hold up a whole fetcher.
#define JOB_WINDOW_MAX (4 * 1024 * 1024)
// Credit is worth a message when this part of the window has come together: a
// fetcher is woken 8 times a window and never has less than 7/8 of it.
#define CREDIT_PART 8
// A newcomer's part of what is left of --buffer-memory.
#define WINDOW_PART 8

static uint64_t
budget(const struct broker *broker)
{
    return (uint64_t)broker->config->buffer_memory;
}

uint64_t
window_promise(const struct broker *broker)
{
    const struct sessions *sessions = &broker->sessions;
    uint64_t taken = sessions->window_given, window;
    const struct session *it;

    DL_FOREACH(sessions->unproven[WIRE_FETCHER], it)
    {
        taken += it->granted;
    }
    window = taken < budget(broker) ? budget(broker) - taken : 0;
    window /= WINDOW_PART;
    if (window > WINDOW_MAX)
        return WINDOW_MAX;
    return window < WINDOW_MIN ? WINDOW_MIN : window;
}

bool
window_open(struct broker *broker, const struct session *fetcher)
{
    uint64_t given = broker->sessions.window_given + fetcher->granted;

    if (given > budget(broker))
        return false;
    broker->sessions.window_given = given;
    return true;
}

uint64_t
window_of_job(const struct session *fetcher)
{
    return fetcher->granted < JOB_WINDOW_MAX ? fetcher->granted
                                             : JOB_WINDOW_MAX;
}

static void
send_credit(struct broker *broker, struct session *fetcher)
{
    wire_put_credit(broker->sessions.buf, fetcher->credit, fetcher->credits,
                    fetcher->credits_len);
    fetcher->credit = 0;
    fetcher->credits_len = 0;
    fetcher->credit_is_due = false;
    session_send(broker, fetcher, NULL);
}

void
window_flush(struct broker *broker, struct session *fetcher)
{
    if (fetcher->credit_is_due)
        send_credit(broker, fetcher);
}

// What the fetcher's window should be, beside the others.
static uint64_t
fair_window(const struct broker *broker)
{
    uint64_t share = budget(broker) / (broker->sessions.fetchers_len + 1);

    if (share > WINDOW_MAX)
        return WINDOW_MAX;
    return share < WINDOW_MIN ? WINDOW_MIN : share;
}

// Gives back less, or more, than came, until the window is the fair one.
static uint64_t
adjust_window(struct broker *broker, struct session *fetcher, uint64_t bytes)
{
    uint64_t fair = fair_window(broker);
    uint64_t most = budget(broker);
    uint64_t change;

    if (fetcher->granted > fair) {
        change = fetcher->granted - fair;
        if (change > bytes)
            change = bytes;
        fetcher->granted -= change;
        broker->sessions.window_given -= change;
        return bytes - change;
    }
    change = fair - fetcher->granted;
    if (broker->sessions.window_given >= most)
        change = 0;
    else if (change > most - broker->sessions.window_given)
        change = most - broker->sessions.window_given;
    fetcher->granted += change;
    broker->sessions.window_given += change;
    return bytes + change;
}

static struct wire_credit *
find_credit(struct session *fetcher, uint64_t job, uint32_t attempt)
{
    for (size_t i = 0; i < fetcher->credits_len; i++) {
        struct wire_credit *credit = &fetcher->credits[i];

        if (credit->job == job && credit->attempt == attempt)
            return credit;
    }
    return NULL;
}

void
window_give(struct broker *broker, struct session *fetcher, uint64_t job,
            uint32_t attempt, uint64_t bytes)
{
    struct wire_credit *credit;

    if (fetcher->is_gone)
        return;
    fetcher->outstanding -= bytes;
    fetcher->credit += adjust_window(broker, fetcher, bytes);
    if (fetcher->credit >= fetcher->granted / CREDIT_PART)
        fetcher->credit_is_due = true;
    if (!job)
        return;
    credit = find_credit(fetcher, job, attempt);
    if (credit) {
        credit->bytes += bytes;
        if (credit->bytes >= fetcher->job_window / CREDIT_PART)
            fetcher->credit_is_due = true;
        return;
    }
    if (fetcher->credits_len == SESSION_BATCH)
        send_credit(broker, fetcher);
    fetcher->credits[fetcher->credits_len++] =
        (struct wire_credit){.job = job, .attempt = attempt, .bytes = bytes};
}
