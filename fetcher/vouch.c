#include "fetcher/vouch.h"

// libcurl's own limit for connecting, where 0 asks for it.
#define CONNECT_TIMEOUT_MS 300000

void
vouch_begin(struct vouch *vouch, uint64_t now_ms)
{
    *vouch = (struct vouch){.moved_ms = now_ms};
}

uint64_t
vouch_silence_max_ms(const struct wire_request *limits)
{
    uint64_t connect_ms = limits->connect_timeout_ms
                              ? limits->connect_timeout_ms
                              : CONNECT_TIMEOUT_MS;
    uint64_t slow_ms = limits->speed_time_s * 1000;

    if (!limits->speed_limit || !limits->speed_time_s)
        return UINT64_MAX; // silence without end is what was asked for
    return (connect_ms > slow_ms ? connect_ms : slow_ms) + VOUCH_SLACK_MS;
}

bool
vouch_look(struct vouch *vouch, uint64_t progress, bool waits,
           uint64_t silence_max_ms, uint64_t now_ms)
{
    if (waits || progress != vouch->progress) {
        vouch->progress = progress;
        vouch->moved_ms = now_ms;
        return true;
    }
    return now_ms - vouch->moved_ms <= silence_max_ms;
}
