#include "common/frames.h"

#include <errno.h>

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define RELEASE(part) __tsan_release(zmq_msg_data(part))
#define ACQUIRE(part) __tsan_acquire(zmq_msg_data(part))
#else
#define RELEASE(part) ((void)(part))
#define ACQUIRE(part) ((void)(part))
#endif

static _Thread_local uint64_t sends;

uint64_t
frames_sends(void)
{
    return sends;
}

// ZMTP puts 2 or 9 bytes before a frame, its first version up to 10.
#define FRAMING_BYTES_MAX 10

int
frames_recv(void *socket, struct frames *out_frames)
{
    int err = 0;
    bool is_more = true;

    out_frames->len = 0;
    out_frames->count = 0;
    out_frames->bytes = 0;
    while (is_more) {
        zmq_msg_t part;

        (void)zmq_msg_init(&part); // never fails
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            // Messages arrive whole: only the first frame can be missing.
            err = -zmq_errno();
            (void)zmq_msg_close(&part);
            if (out_frames->len)
                frames_close(out_frames);
            return err;
        }
        ACQUIRE(&part);
        is_more = zmq_msg_more(&part) != 0;
        out_frames->count++;
        out_frames->bytes += zmq_msg_size(&part) + FRAMING_BYTES_MAX;
        if (out_frames->len == FRAMES_MAX) {
            (void)zmq_msg_close(&part);
            err = -EMSGSIZE;
            continue;
        }
        (void)zmq_msg_init(&out_frames->parts[out_frames->len]);
        (void)zmq_msg_move(&out_frames->parts[out_frames->len++], &part);
        (void)zmq_msg_close(&part);
    }
    return err;
}

void
frames_close(struct frames *frames)
{
    for (size_t i = 0; i < frames->len; i++)
        (void)zmq_msg_close(&frames->parts[i]);
    frames->len = 0;
}

int
frames_send_copy(void *socket, const void *data, size_t len, bool is_more)
{
    int flags = ZMQ_DONTWAIT | (is_more ? ZMQ_SNDMORE : 0);

    sends++;
    if (zmq_send(socket, data, len, flags) < 0)
        return -zmq_errno();
    return 0;
}

int
frames_send_take(void *socket, zmq_msg_t *part, bool is_more)
{
    int flags = ZMQ_DONTWAIT | (is_more ? ZMQ_SNDMORE : 0);

    RELEASE(part);
    sends++;
    if (zmq_msg_send(part, socket, flags) < 0)
        return -zmq_errno();
    return 0;
}
