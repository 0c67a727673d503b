#include "common/fault.h"

#include "common/log.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// libzmq's own thread puts a message on the wire; it has this long for it.
#define LEAVE_US 50000

enum point {
    COMMIT_BEFORE,
    COMMIT_AFTER,
    SEND_BEFORE,
    SEND_AFTER,
    REPLY_BEFORE,
    REPLY_AFTER,
    POINT_COUNT
};

static const char *const point_names[POINT_COUNT] = {
    [COMMIT_BEFORE] = "commit-before", [COMMIT_AFTER] = "commit-after",
    [SEND_BEFORE] = "send-before",     [SEND_AFTER] = "send-after",
    [REPLY_BEFORE] = "reply-before",   [REPLY_AFTER] = "reply-after",
};

// How far the cell's write has come.
enum stage {
    IDLE,      // the cell was not applied yet
    APPLIED,   // it was; its write waits for the end of the turn
    FLUSHED,   // the store's thread may take it
    TAKEN,     // it is in the group at work
    COMMITTED, // and that group is committed
};

static char cell[64]; // "STATE:EVENT", empty: nothing is armed
static enum point point;
static unsigned nth = 1;
static uint64_t victim; // the job whose move it was
// Each stage is entered by the one thread that can: the loop's, then the
// store's.
static _Atomic int stage;

_Noreturn static void
die(void)
{
    log_error("fault.died", "cell=%s point=%s job=" LOG_JOB, cell,
              point_names[point], LOG_JOB_ARG(victim));
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

_Noreturn static void
refuse(const char *text)
{
    (void)fprintf(stderr, "URLSUM_FAULT: '%s' is not STATE:EVENT POINT [NTH]\n",
                  text);
    exit(2);
}

void
fault_init(void)
{
    const char *text = getenv("URLSUM_FAULT");
    char name[32];
    int fields;

    log_warn("fault.build", "do=\"not for use: this build can kill itself\"");
    if (!text || !text[0])
        return;
    fields = sscanf(text, "%63s %31s %u", cell, name, &nth);
    if (fields < 2 || nth < 1)
        refuse(text);
    for (point = 0; point < POINT_COUNT; point++) {
        if (strcmp(name, point_names[point]) == 0)
            return;
    }
    refuse(text);
}

void
fault_at_cell(const char *state, const char *event, uint64_t job)
{
    size_t len = strlen(state);

    if (atomic_load(&stage) != IDLE || strncmp(cell, state, len) != 0 ||
        cell[len] != ':' || strcmp(cell + len + 1, event) != 0 || --nth)
        return;
    victim = job;
    atomic_store(&stage, APPLIED);
}

void
fault_at_flush(void)
{
    int from = APPLIED;

    (void)atomic_compare_exchange_strong(&stage, &from, FLUSHED);
}

void
fault_at_group(uint64_t writes)
{
    int from = FLUSHED;

    if (writes > 0)
        (void)atomic_compare_exchange_strong(&stage, &from, TAKEN);
}

void
fault_before_commit(void)
{
    if (atomic_load(&stage) == TAKEN && point == COMMIT_BEFORE)
        die();
}

void
fault_after_commit(void)
{
    int from = TAKEN;

    if (!atomic_compare_exchange_strong(&stage, &from, COMMITTED))
        return;
    if (point == COMMIT_AFTER)
        die();
}

void
fault_before_send(void)
{
    if (atomic_load(&stage) != IDLE && point == SEND_BEFORE)
        die();
}

void
fault_after_send(void)
{
    if (atomic_load(&stage) == IDLE || point != SEND_AFTER)
        return;
    (void)usleep(LEAVE_US);
    die();
}

void
fault_before_reply(void)
{
    fault_before_send();
    if (atomic_load(&stage) == COMMITTED && point == REPLY_BEFORE)
        die();
}

void
fault_after_reply(void)
{
    fault_after_send();
    if (atomic_load(&stage) != COMMITTED || point != REPLY_AFTER)
        return;
    (void)usleep(LEAVE_US);
    die();
}
