#include "client/watch.h"

#include "client/say.h"
#include "client/session.h"
#include "client/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// A worker that is started again is back sooner.
#define SAY_AFTER_MS 2000
// A client that submits comes back sooner, if it does.
#define SAY_OPEN_AFTER_MS 5000

void
watch_init(struct watch *watch, struct session *session, const char *batch,
           bool is_ours, uint64_t now_ms)
{
    *watch = (struct watch){
        .session = session,
        .batch = batch,
        .is_ours = is_ours,
        .moved_ms = now_ms,
    };
}

// The broker's phrase, fit for a terminal.
static void
keep_hindrance(struct watch *watch, const char *phrase, uint64_t now_ms)
{
    struct text text = {0};

    text_printable(&text, phrase, strlen(phrase), sizeof(watch->hindrance) - 8);
    text_putc(&text, '\0');
    if (!text.is_broken && strcmp(watch->hindrance, text.at) != 0) {
        (void)snprintf(watch->hindrance, sizeof(watch->hindrance), "%s",
                       text.at);
        watch->hindered_ms = now_ms;
        watch->is_said = false;
    }
    text_fini(&text);
}

static void
note_store(struct watch *watch, bool refuses, uint64_t now_ms)
{
    if (refuses) {
        if (!watch->refused_ms)
            watch->refused_ms = now_ms;
        session_say_trouble(watch->session, watch->hindrance);
    } else if (watch->refused_ms) {
        watch->refused_ms = 0;
        session_say_trouble(watch->session, NULL);
    }
}

static void
note_open(struct watch *watch, const Urlsum__V1__Batch *batch, uint64_t now_ms)
{
    bool is_waiting = !batch->closed && batch->done == batch->submitted;

    if (watch->is_ours || !is_waiting) {
        watch->open_ms = 0;
        return;
    }
    if (!watch->open_ms)
        watch->open_ms = now_ms;
    if (watch->is_open_said || now_ms - watch->open_ms < SAY_OPEN_AFTER_MS)
        return;
    watch->is_open_said = true;
    say("batch %s is open: more URLs may come. If nobody submits them, urlsum "
        "submit --id %s with the same list completes it, urlsum cancel %s "
        "ends it",
        watch->batch, watch->batch, watch->batch);
}

void
watch_note(struct watch *watch, const Urlsum__V1__Batch *batch, uint64_t now_ms)
{
    if (batch->done != watch->done) {
        watch->done = batch->done;
        watch->moved_ms = now_ms;
    }
    keep_hindrance(watch, batch->hindrance, now_ms);
    note_store(watch, batch->store_refuses, now_ms);
    note_open(watch, batch, now_ms);
    if (!watch->hindrance[0] || watch->is_said || batch->store_refuses ||
        now_ms - watch->hindered_ms < SAY_AFTER_MS ||
        now_ms - watch->moved_ms < SAY_AFTER_MS)
        return;
    watch->is_said = true;
    say("batch %s waits: %s", watch->batch, watch->hindrance);
}

int
watch_check(const struct watch *watch, uint64_t now_ms)
{
    uint64_t wait_ms = (uint64_t)watch->session->broker_wait_ms;

    if (!watch->refused_ms || now_ms - watch->refused_ms < wait_ms)
        return 0;
    if (watch->session->embed)
        say("the temporary queue cannot be written: %s, for %" PRIu64
            " s now; the results so far are right, the others are missing: "
            "set TMPDIR to a disk with room and start again",
            watch->hindrance, (now_ms - watch->refused_ms) / 1000);
    else
        say("batch %s: %s, for %" PRIu64
            " s now; nothing is lost, and it goes on "
            "when the broker can store again",
            watch->batch, watch->hindrance,
            (now_ms - watch->refused_ms) / 1000);
    return EXIT_INCOMPLETE;
}
