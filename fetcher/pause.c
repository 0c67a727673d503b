#include "fetcher/pause.h"

#include "fetcher/downloads.h"
#include "proto/worker_link.h"

void
pause_reset(struct pause *pause)
{
    *pause = (struct pause){0};
}

// A message that cannot be sent is said again, or its session is over.
static void
say(struct worker_link *link, enum wire_pause reason,
    const struct wire_vouched *items, size_t len)
{
    struct wire_buf *buf = worker_link_buf(link);

    do {
        size_t part = len < WIRE_ENTRIES_MAX ? len : WIRE_ENTRIES_MAX;

        wire_put_pause(buf, reason, items, part);
        (void)worker_link_send(link, buf, NULL);
        items += part;
        len -= part;
    } while (len);
}

void
pause_turn(struct pause *pause, bool is_out, struct worker_link *link,
           struct downloads *downloads, uint64_t now_ms)
{
    const struct wire_vouched *items = NULL;
    size_t len = 0;

    if (!worker_link_is_live(link) || (!is_out && !pause->is_on) ||
        (is_out && pause->is_on && now_ms < pause->due_ms))
        return;
    pause->is_on = is_out;
    pause->due_ms = now_ms + PAUSE_AGAIN_MS;
    if (is_out)
        len = downloads_list_unbegun(downloads, &items);
    say(link, is_out ? WIRE_PAUSE_NO_NAMES : WIRE_PAUSE_NONE, items, len);
}
