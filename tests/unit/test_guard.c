// test_guard.c - the rules by which strangers are bounded
#include "broker/guard.h"
#include "common/curve.h"
#include "common/frames.h"
#include "common/loop.h"
#include "common/monitor.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>
// cmocka wants the four at the top.
#include <cmocka.h>

static void
test_what_is_held(void **state)
{
    struct guard_bytes bytes = {0};

    (void)state;
    // Greeting and handshake are not counted as held.
    guard_count(&bytes, 130, 0);
    assert_int_equal(bytes.held, 0);
    // A message on its way is.
    guard_count(&bytes, 100130, 0);
    assert_in_range(bytes.held, 99000, 100130);
    // It was taken, framing counted generously.
    bytes.taken += 100010;
    guard_count(&bytes, 100130, 0);
    assert_int_equal(bytes.held, 0);
}

static void
test_generous_framing_gathers_no_credit(void **state)
{
    struct guard_bytes bytes = {0};
    uint64_t received = 0;

    (void)state;
    // A million messages of one byte: 3 bytes on the wire, counted as 11.
    for (int i = 0; i < 1000000; i++) {
        received += 3;
        bytes.taken += 11;
        guard_count(&bytes, received, 0);
        assert_int_equal(bytes.held, 0);
    }
    guard_count(&bytes, received + 1000000, 0);
    assert_in_range(bytes.held, 990000, 1000000);
}

static void
test_heartbeats_are_no_load(void **state)
{
    struct guard_bytes bytes = {0};

    (void)state;
    // A day of ZMTP PINGs and PONGs, one of each a second.
    guard_count(&bytes, UINT64_C(86400) * 20, UINT64_C(86400) * 1000);
    assert_int_equal(bytes.held, 0);
}

static void
test_strangers_are_rated(void **state)
{
    struct guard_rate rate = {0};
    unsigned admitted = 0;

    (void)state;
    for (int i = 0; i < 10000; i++)
        admitted += guard_admit(&rate, 1000);
    assert_int_equal(admitted, GUARD_BURST);
    assert_false(guard_admit(&rate, 1000));
    // A second later there is room for some more, asked however often.
    admitted = 0;
    for (uint64_t ms = 1000; ms <= 2000; ms++)
        admitted += guard_admit(&rate, ms);
    assert_in_range(admitted, GUARD_RATE_S - 1, GUARD_RATE_S);
    // After a long silence: as many as at first, no more.
    admitted = 0;
    for (int i = 0; i < 10000; i++)
        admitted += guard_admit(&rate, 100000000);
    assert_int_equal(admitted, GUARD_BURST);
}

// --- Real connections ---

struct door {
    struct loop *loop;
    struct loop_timer *timer;
    void *zmq, *router;
    struct guard *guard;
    struct sockaddr_in address;
    int client, fd; // a connection: the client's end, and libzmq's
};

static void
end_loop(void *arg)
{
    loop_end(arg);
}

static void
turn(struct door *door)
{
    loop_timer_start(door->timer, 1, 0);
    loop_run(door->loop);
}

// secret: of a broker with keys, or NULL.
static void
open_door_as(struct door *door, const struct guard_config *config,
             const char *secret)
{
    int yes = 1, none = 0;
    char endpoint[64];
    size_t len = sizeof(endpoint);
    unsigned port = 0;

    *door = (struct door){.fd = -1};
    assert_int_equal(loop_new(&door->loop), 0);
    assert_int_equal(
        loop_timer_new(door->loop, end_loop, door->loop, &door->timer), 0);
    door->zmq = zmq_ctx_new();
    door->router = zmq_socket(door->zmq, ZMQ_ROUTER);
    assert_int_equal(
        zmq_setsockopt(door->router, ZMQ_RCVHWM, &none, sizeof(none)), 0);
    if (secret) {
        assert_int_equal(
            zmq_setsockopt(door->router, ZMQ_CURVE_SERVER, &yes, sizeof(yes)),
            0);
        assert_int_equal(
            zmq_setsockopt(door->router, ZMQ_CURVE_SECRETKEY, secret, 41), 0);
    }
    assert_int_equal(
        guard_new(door->loop, door->zmq, door->router, config, &door->guard),
        0);
    assert_int_equal(zmq_bind(door->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(
        zmq_getsockopt(door->router, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    assert_int_equal(sscanf(endpoint, "tcp://127.0.0.1:%u", &port), 1);
    door->address.sin_family = AF_INET;
    door->address.sin_port = htons((uint16_t)port);
    door->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void
open_door(struct door *door)
{
    static const struct guard_config config = {
        .role = ACCESS_CLIENT, .stranger_max = 1 << 20, .trusted_max = 1 << 20};

    open_door_as(door, &config, NULL);
}

static void
close_door(struct door *door)
{
    guard_free(&door->guard);
    (void)zmq_close(door->router);
    (void)zmq_ctx_term(door->zmq);
    loop_timer_free(&door->timer);
    loop_free(&door->loop);
}

// libzmq's end of a connection; -1: it is not accepted yet.
static int
find_other_end(int client)
{
    struct sockaddr_in ours, theirs;
    socklen_t len = sizeof(ours);

    assert_int_equal(getsockname(client, (struct sockaddr *)&ours, &len), 0);
    for (int fd = 3; fd < 256; fd++) {
        len = sizeof(theirs);
        if (fd != client &&
            getpeername(fd, (struct sockaddr *)&theirs, &len) == 0 &&
            theirs.sin_family == AF_INET && theirs.sin_port == ours.sin_port)
            return fd;
    }
    return -1;
}

static void
connect_client(struct door *door)
{
    door->client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(door->client, (struct sockaddr *)&door->address,
                             sizeof(door->address)),
                     0);
    while ((door->fd = find_other_end(door->client)) < 0)
        turn(door);
}

static bool
is_at_its_end(int fd)
{
    char bytes[256];
    ssize_t len;

    do {
        len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    } while (len > 0); // a greeting
    return len == 0;
}

// A connection is cut off, but not another one that has its descriptor's number
// by now: libzmq closes it before the guard hears of that.
static void
test_cut(void **state)
{
    struct door door;
    int reused[2], first, first_fd, kept;

    (void)state;
    open_door(&door);
    connect_client(&door);
    first = door.client;
    first_fd = door.fd;
    connect_client(&door);
    while (!is_at_its_end(door.client)) { // known when it works
        guard_cut(door.guard, door.fd, 0, "older than all of them");
        assert_false(is_at_its_end(door.client));
        guard_cut(door.guard, door.fd, UINT64_MAX, "the test wants it");
        turn(&door);
    }
    (void)close(door.client);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, reused), 0);
    kept = dup(first_fd); // libzmq wants it back at the end
    assert_int_equal(dup2(reused[0], first_fd), first_fd);
    guard_cut(door.guard, first_fd, UINT64_MAX, "the test wants it");
    assert_false(is_at_its_end(reused[1]));
    assert_int_equal(dup2(kept, first_fd), first_fd);
    (void)close(kept);
    (void)close(reused[0]);
    (void)close(reused[1]);
    (void)close(first);
    close_door(&door);
}

// --- Encrypted connections ---

// A client with keys, of a context of its own as another process would have.
static void *
dial_with_keys(const struct door *door, void *zmq, const char *broker_key)
{
    char own[41], secret[41], endpoint[64];
    void *dealer = zmq_socket(zmq, ZMQ_DEALER);
    int none = 0, never = -1;

    assert_int_equal(zmq_curve_keypair(own, secret), 0);
    (void)zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof(none));
    (void)zmq_setsockopt(dealer, ZMQ_SNDHWM, &none, sizeof(none));
    (void)zmq_setsockopt(dealer, ZMQ_RECONNECT_IVL, &never, sizeof(never));
    (void)zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, own, 41);
    (void)zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, secret, 41);
    assert_int_equal(
        zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, broker_key, 41), 0);
    (void)snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u",
                   ntohs(door->address.sin_port));
    assert_int_equal(zmq_connect(dealer, endpoint), 0);
    return dealer;
}

#define SMALL_MESSAGES 20000

// Takes what a client with keys sends in small frames, and looks at the
// connection all the while. Returns how many messages came before it was cut
// off.
static unsigned
take_small_messages(size_t frame_more)
{
    const struct guard_config config = {.role = ACCESS_CLIENT,
                                        .stranger_max = 64 * 1024,
                                        .trusted_max = 64 * 1024,
                                        .frame_more = frame_more};
    char public[41], secret[41];
    void *zmq = zmq_ctx_new(), *dealer;
    struct door door;
    struct frames frames;
    unsigned got = 0;

    assert_int_equal(zmq_curve_keypair(public, secret), 0);
    open_door_as(&door, &config, secret);
    dealer = dial_with_keys(&door, zmq, public);
    for (unsigned i = 0; i < SMALL_MESSAGES; i++) {
        // At most a few KiB on their way: nothing that is there to be cut for.
        (void)zmq_send(dealer, "a", 1, ZMQ_DONTWAIT | ZMQ_SNDMORE);
        (void)zmq_send(dealer, "b", 1, ZMQ_DONTWAIT | ZMQ_SNDMORE);
        (void)zmq_send(dealer, "c", 1, ZMQ_DONTWAIT);
        for (int tries = 0; i % 16 == 0 && got <= i && tries < 1000; tries++) {
            turn(&door);
            while (frames_recv(door.router, &frames) == 0) {
                (void)guard_on_message(door.guard, &frames, false,
                                       loop_now_ms(door.loop));
                frames_close(&frames);
                got++;
            }
        }
        if (i % 16 == 0 && got <= i)
            break; // cut off
    }
    (void)zmq_close(dealer);
    (void)zmq_ctx_term(zmq);
    close_door(&door);
    return got;
}

// What encryption adds to frames was taken with them, and is nothing that
// libzmq holds.
static void
test_encryption_is_no_load(void **state)
{
    (void)state;
    assert_in_range(take_small_messages(CURVE_FRAME_BYTES), SMALL_MESSAGES - 16,
                    SMALL_MESSAGES);
    // The test can tell: uncounted, it makes an honest peer look guilty.
    assert_in_range(take_small_messages(1), 1, SMALL_MESSAGES - 100);
}

// What is held is found out all the same.
static void
test_encrypted_load_is_seen(void **state)
{
    static const char piece[1024];
    const struct guard_config config = {.role = ACCESS_CLIENT,
                                        .stranger_max = 64 * 1024,
                                        .trusted_max = 64 * 1024,
                                        .frame_more = CURVE_FRAME_BYTES};
    char public[41], secret[41];
    void *zmq = zmq_ctx_new(), *dealer, *monitor;
    struct monitor_event event = {0};
    struct door door;
    int tries = 0;

    (void)state;
    assert_int_equal(zmq_curve_keypair(public, secret), 0);
    open_door_as(&door, &config, secret);
    dealer = dial_with_keys(&door, zmq, public);
    monitor = zmq_socket(zmq, ZMQ_PAIR);
    assert_int_equal(
        zmq_socket_monitor(dealer, "inproc://end", ZMQ_EVENT_DISCONNECTED), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://end"), 0);
    for (int i = 0; i < 256; i++)
        (void)zmq_send(dealer, piece, sizeof(piece),
                       ZMQ_DONTWAIT); // and nobody takes it
    while (monitor_recv(monitor, &event) != 0 && tries++ < 20000)
        turn(&door);
    assert_int_equal(event.event, ZMQ_EVENT_DISCONNECTED);
    (void)zmq_socket_monitor(dealer, NULL, 0);
    (void)zmq_close(monitor);
    (void)zmq_close(dealer);
    (void)zmq_ctx_term(zmq);
    close_door(&door);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_held),
        cmocka_unit_test(test_generous_framing_gathers_no_credit),
        cmocka_unit_test(test_heartbeats_are_no_load),
        cmocka_unit_test(test_strangers_are_rated),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_encryption_is_no_load),
        cmocka_unit_test(test_encrypted_load_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
