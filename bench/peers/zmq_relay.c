// zmq_relay.c - the limit of the transport: one ROUTER between two peers on TCP
//
//   zmq_relay COUNT BYTES   prints "count C bytes B seconds S"
//
// A source sends [head, body] messages to a relay, which passes them on by
// moving the frames, as the broker does with bodies, to a sink that counts.
// Three processes, so that nothing is shared but the loopback.
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define HEAD_BYTES 48 // of a BODY message with a few segments
#define QUEUED_MAX 256
#define ENDPOINT_MAX 64

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *
open_socket(void *zmq, int type, const char *id)
{
    void *socket = zmq_socket(zmq, type);
    int queued = QUEUED_MAX;
    int on = 1;

    if (!socket)
        return NULL;
    (void)zmq_setsockopt(socket, ZMQ_SNDHWM, &queued, sizeof(queued));
    (void)zmq_setsockopt(socket, ZMQ_RCVHWM, &queued, sizeof(queued));
    if (id)
        (void)zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, strlen(id));
    // A router waits for a full peer only when told that it must deliver.
    if (type == ZMQ_ROUTER)
        (void)zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &on, sizeof(on));
    return socket;
}

static void
let_go(void *data, void *hint)
{
    (void)data;
    (void)hint;
}

// Sends COUNT messages, then waits to be told that they have arrived.
static int
run_source(const char *endpoint, uint64_t count, size_t bytes)
{
    void *zmq = zmq_ctx_new();
    void *socket = open_socket(zmq, ZMQ_DEALER, "source");
    char *body = calloc(1, bytes);
    char head[HEAD_BYTES] = {0};
    int result = 1;

    if (!socket || !body || zmq_connect(socket, endpoint))
        goto out;
    for (uint64_t i = 0; i < count; i++) {
        zmq_msg_t part;

        if (zmq_send(socket, head, sizeof(head), ZMQ_SNDMORE) < 0 ||
            zmq_msg_init_data(&part, body, bytes, let_go, NULL) ||
            zmq_msg_send(&part, socket, 0) < 0)
            goto out;
    }
    result = zmq_recv(socket, head, sizeof(head), 0) < 0;
out:
    if (socket)
        (void)zmq_close(socket);
    (void)zmq_ctx_term(zmq);
    free(body);
    return result;
}

static int
run_sink(const char *endpoint, uint64_t count)
{
    void *zmq = zmq_ctx_new();
    void *socket = open_socket(zmq, ZMQ_DEALER, "sink");
    uint64_t got = 0;
    int result = 1;

    if (!socket || zmq_connect(socket, endpoint) ||
        zmq_send(socket, "hello", 5, 0) < 0)
        goto out;
    while (got < count) {
        zmq_msg_t part;

        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0)
            goto out;
        got += !zmq_msg_more(&part);
        (void)zmq_msg_close(&part);
    }
    result = zmq_send(socket, "done", 4, 0) < 0;
out:
    if (socket)
        (void)zmq_close(socket);
    (void)zmq_ctx_term(zmq);
    return result;
}

// Moves one message from front to back under the sink's id.
static int
pass_on(void *front, void *back)
{
    zmq_msg_t part;
    bool is_more = true;

    (void)zmq_msg_init(&part);
    if (zmq_msg_recv(&part, front, 0) < 0)
        return -zmq_errno();
    (void)zmq_msg_close(&part);
    if (zmq_send(back, "sink", 4, ZMQ_SNDMORE) < 0)
        return -zmq_errno();
    while (is_more) {
        (void)zmq_msg_init(&part);
        if (zmq_msg_recv(&part, front, 0) < 0)
            return -zmq_errno();
        is_more = zmq_msg_more(&part) != 0;
        if (zmq_msg_send(&part, back, is_more ? ZMQ_SNDMORE : 0) < 0)
            return -zmq_errno();
    }
    return 0;
}

// Waits for the sink, relays COUNT messages, waits until the sink has them all.
// Returns 0 or -errno.
static int
relay(void *front, void *back, uint64_t count, double *out_seconds)
{
    char word[16];
    double begin = 0;
    int err = 0;

    if (zmq_recv(back, word, sizeof(word), 0) < 0 ||
        zmq_recv(back, word, sizeof(word), 0) < 0)
        return -zmq_errno();
    begin = now_s();
    for (uint64_t i = 0; i < count && !err; i++)
        err = pass_on(front, back);
    if (err)
        return err;
    if (zmq_recv(back, word, sizeof(word), 0) < 0 ||
        zmq_recv(back, word, sizeof(word), 0) < 0 ||
        zmq_send(front, "source", 6, ZMQ_SNDMORE) < 0 ||
        zmq_send(front, "done", 4, 0) < 0)
        return -zmq_errno();
    *out_seconds = now_s() - begin;
    return 0;
}

// Binds to a free port of the loopback and says which.
static int
bind_free(void *socket, char *out_endpoint)
{
    size_t len = ENDPOINT_MAX;

    if (zmq_bind(socket, "tcp://127.0.0.1:*") ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, out_endpoint, &len))
        return -zmq_errno();
    return 0;
}

// The endpoints reach the children through pipes: a ZeroMQ context does not
// survive a fork, so they must be forked before the relay has one.
static pid_t
start_child(bool is_source, uint64_t count, size_t bytes, int *out_pipe)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends))
        return -1;
    pid = fork();
    if (pid == 0) {
        char endpoint[ENDPOINT_MAX] = "";

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(ends[1]);
        if (read(ends[0], endpoint, sizeof(endpoint)) <= 0)
            _exit(1);
        _exit(is_source ? run_source(endpoint, count, bytes)
                        : run_sink(endpoint, count));
    }
    (void)close(ends[0]);
    *out_pipe = ends[1];
    return pid;
}

int
main(int argc, char **argv)
{
    uint64_t count = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
    size_t bytes = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    int to_source = -1;
    int to_sink = -1;
    char endpoint[ENDPOINT_MAX] = "";
    void *zmq = NULL;
    void *front = NULL;
    void *back = NULL;
    double seconds = 0;
    int result = 1;

    if (!count || !bytes) {
        (void)fprintf(stderr, "usage: zmq_relay COUNT BYTES\n");
        return 2;
    }
    if (start_child(true, count, bytes, &to_source) < 0 ||
        start_child(false, count, bytes, &to_sink) < 0)
        goto out;
    zmq = zmq_ctx_new();
    front = open_socket(zmq, ZMQ_ROUTER, NULL);
    back = open_socket(zmq, ZMQ_ROUTER, NULL);
    if (!front || !back || bind_free(front, endpoint) ||
        write(to_source, endpoint, sizeof(endpoint)) < 0 ||
        bind_free(back, endpoint) ||
        write(to_sink, endpoint, sizeof(endpoint)) < 0)
        goto out;
    if (relay(front, back, count, &seconds))
        goto out;
    (void)printf("count %llu bytes %llu seconds %.6f\n",
                 (unsigned long long)count, (unsigned long long)(count * bytes),
                 seconds);
    result = 0;
out:
    if (front)
        (void)zmq_close(front);
    if (back)
        (void)zmq_close(back);
    if (zmq)
        (void)zmq_ctx_term(zmq);
    if (!result)
        while (wait(NULL) > 0)
            continue;
    return result;
}
