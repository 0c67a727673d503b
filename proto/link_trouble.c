#include "proto/link_trouble.h"

#include "common/log.h"

#include <inttypes.h>
#include <string.h>

// How long nobody answers before the log has a line of it, and the longest
// pause between two such lines, each of which is twice as long as the one
// before.
#define SILENCE_MS 5000
#define SILENCE_MAX_MS 600000

void
link_trouble_init(struct link_trouble *trouble, const char *label,
                  const char *endpoint, enum wire_role role)
{
    *trouble = (struct link_trouble){.label = label,
                                     .role = role,
                                     .failure = CURVE_FINE,
                                     .due_ms = SILENCE_MS};
    (void)log_escape(endpoint, strlen(endpoint), trouble->endpoint,
                     sizeof(trouble->endpoint));
}

bool
link_trouble_on_failure(struct link_trouble *trouble,
                        enum curve_failure failure)
{
    bool is_final = curve_is_final(failure);

    // Without keys, a broker that hangs up is about to start or to stop.
    if (failure == trouble->failure || failure == CURVE_FINE ||
        failure == CURVE_BROKEN)
        return false;
    trouble->failure = failure;
    log_line(is_final ? LOG_ERROR : LOG_WARN, "link.handshake",
             "worker=%s endpoint=%s why=\"the broker %s\"", trouble->label,
             trouble->endpoint, curve_failure_text(failure));
    return is_final;
}

void
link_trouble_on_connection(struct link_trouble *trouble)
{
    trouble->failure = CURVE_FINE;
}

void
link_trouble_on_silence(struct link_trouble *trouble, uint64_t for_ms)
{
    if (for_ms < trouble->due_ms ||
        trouble->failure != CURVE_FINE) // which has its own line
        return;
    log_warn("link.waits",
             "worker=%s endpoint=%s for_ms=%" PRIu64
             " why=\"nobody answers: is the broker up, and is this its "
             "endpoint for %s?\"",
             trouble->label, trouble->endpoint, for_ms,
             trouble->role == WIRE_FETCHER ? "fetchers" : "hashers");
    trouble->due_ms =
        for_ms + (for_ms < SILENCE_MAX_MS ? for_ms : SILENCE_MAX_MS);
}

void
link_trouble_on_answer(struct link_trouble *trouble)
{
    trouble->due_ms = SILENCE_MS;
}
