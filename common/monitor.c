#include "common/monitor.h"

#include "common/frames.h"

#include <string.h>

int
monitor_recv(void *socket, struct monitor_event *out_event)
{
    struct frames frames;
    uint16_t event;
    const char *head;
    int err = frames_recv(socket, &frames);

    if (err)
        return err;
    *out_event = (struct monitor_event){0};
    // Two frames: number and value, then the endpoint, which is our own.
    if (zmq_msg_size(&frames.parts[0]) ==
        sizeof(event) + sizeof(out_event->value)) {
        head = zmq_msg_data(&frames.parts[0]);
        memcpy(&event, head, sizeof(event));
        memcpy(&out_event->value, head + sizeof(event),
               sizeof(out_event->value));
        out_event->event = event;
    }
    frames_close(&frames);
    return 0;
}
