#include "broker/guard.h"

#include "broker/access.h"
#include "common/frames.h"
#include "common/key.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <utlist.h>
#include <zmq.h>

// Descriptors that are not connections: store, epoll, event and log files, what
// --http takes.
#define FILES_RESERVED (128 + HTTP_FILES_MAX)
// More open files than any number of endpoints needs; a hard limit of a million
// would make some kernels' tables large.
#define FILES_MAX 65536
// ZMTP's heartbeats are received but never taken: at most so many bytes a
// second of a peer that keeps to the protocol.
#define HEARTBEAT_BYTES_S 64
// Greeting, handshake and what a heartbeat leaves half-read.
#define HELD_SLACK 1024
// Held bytes below this are nobody's fault: not worth a cut.
#define HELD_SMALL 4096
// Connections that go at once, after which freed memory is given back.
#define GONE_MANY 64

struct peer {
    int fd;
    uint64_t cookie; // the kernel's own number of it; see is_same()
    bool is_open, is_cut, is_trusted;
    uint64_t accepted_ms, heard_ms; // heard_ms 0: never
    uint64_t strangers;             // messages while not trusted
    struct guard_bytes bytes;
    struct guard_rate rate;
    char key[KEY_CHARS + 1]; // that it showed; "": not heard yet, or no keys
    struct sockaddr_storage address;
    struct peer *prev, *next;
};

// How a handshake failed of which libzmq has told, but not yet whose it was:
// the next that ends unheard. (All of an endpoint come from one thread.)
enum failure { FAILED_SILENTLY, FAILED_BY_ZAP, FAILED_BY_PROOF };

struct guard {
    struct guard_config config;
    struct loop *loop;
    void *socket;  // the ROUTER
    void *monitor; // PAIR: its connections
    struct loop_socket *watch;
    struct loop_timer *timer;
    struct peer *open; // list, oldest first
    size_t open_len;   // connections that were not cut
    size_t open_max;   // of them
    uint64_t cut;      // since the start
    size_t gone_len;   // since memory was given back
    enum failure failure;
    struct peer **by_fd; // descriptors are small numbers
    size_t by_fd_len;
};

void
guard_raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max > FILES_MAX && files.rlim_cur < FILES_MAX
                         ? FILES_MAX
                         : files.rlim_cur;
    if (files.rlim_max <= FILES_MAX)
        files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files); // else: fewer connections
}

// --- The rules ---

void
guard_count(struct guard_bytes *bytes, uint64_t received, uint64_t connected_ms)
{
    uint64_t free_of_charge =
        HELD_SLACK + connected_ms / 1000 * HEARTBEAT_BYTES_S;

    bytes->received = received;
    // Framing is counted generously; what is too much is forgotten whenever
    // nothing is held, so that no credit gathers.
    if (bytes->taken > received)
        bytes->taken = received;
    bytes->held = received - bytes->taken;
    bytes->held -= bytes->held < free_of_charge ? bytes->held : free_of_charge;
}

bool
guard_admit(struct guard_rate *rate, uint64_t now_ms)
{
    uint64_t more;

    if (!rate->tokens_at_ms) {
        rate->tokens = GUARD_BURST;
        rate->tokens_at_ms = now_ms;
    }
    more = (now_ms - rate->tokens_at_ms) * GUARD_RATE_S / 1000;
    if (more) {
        rate->tokens_at_ms = now_ms;
        rate->tokens =
            more > GUARD_BURST ? GUARD_BURST : rate->tokens + (unsigned)more;
        if (rate->tokens > GUARD_BURST)
            rate->tokens = GUARD_BURST;
    }
    if (!rate->tokens)
        return false;
    rate->tokens--;
    return true;
}

// --- Connections ---

static struct peer *
find_peer(const struct guard *guard, int fd)
{
    struct peer *peer;

    if (fd < 0 || (size_t)fd >= guard->by_fd_len)
        return NULL;
    peer = guard->by_fd[fd];
    return peer && peer->is_open ? peer : NULL;
}

// 0: no socket.
static uint64_t
cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) != 0)
        return 0;
    return cookie;
}

// libzmq closes a descriptor before we hear of it: by then its number may be
// that of another connection, also of another endpoint.
static bool
is_same(const struct peer *peer)
{
    return peer->cookie && cookie_of(peer->fd) == peer->cookie;
}

static void
cut(struct guard *guard, struct peer *peer, const char *why)
{
    if (peer->is_cut)
        return;
    log_outside(LOG_WARN, "peer.cut",
                "role=%s connection=%d held=%" PRIu64 " why=\"%s\"",
                access_role_name(guard->config.role), peer->fd,
                peer->bytes.held, why);
    peer->is_cut = true;
    guard->open_len--;
    guard->cut++;
    // The descriptor is libzmq's, which may close it between these two. Should
    // the number be another connection's by then, that one has to connect
    // again; on other files it does nothing.
    if (is_same(peer))
        (void)shutdown(peer->fd, SHUT_RDWR);
}

void
guard_cut(struct guard *guard, int connection, uint64_t since_ms,
          const char *why)
{
    struct peer *peer = guard ? find_peer(guard, connection) : NULL;

    if (peer && peer->accepted_ms <= since_ms)
        cut(guard, peer, why);
}

void
guard_cut_keys(struct guard *guard, bool (*stays)(void *arg, const char *key),
               void *arg, const char *why)
{
    struct peer *peer;

    if (!guard)
        return;
    DL_FOREACH(guard->open, peer)
    {
        if (!stays(arg, peer->key))
            cut(guard, peer, why);
    }
}

// "10.0.0.5:41234". A local socket has no address; nor has one that libzmq had
// closed before we were told of it, as it may when a handshake fails at once.
static const char *
print_address(const struct sockaddr_storage *address, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in6 *v6 = (const void *)address;
    const struct sockaddr_in *v4 = (const void *)address;

    if (address->ss_family == AF_INET6 &&
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)))
        (void)snprintf(buf, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    else if (address->ss_family == AF_INET &&
             inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)))
        (void)snprintf(buf, size, "%s:%u", host, ntohs(v4->sin_port));
    else
        (void)snprintf(buf, size, address->ss_family ? "local" : "unknown");
    return buf;
}

static void
tell_unheard(struct guard *guard, const struct peer *peer)
{
    char address[INET6_ADDRSTRLEN + 10];
    enum failure failure = guard->failure;

    guard->failure = FAILED_SILENTLY;
    if (failure == FAILED_BY_ZAP || peer->is_cut || !guard->config.on_unheard)
        return;
    guard->config.on_unheard(
        guard->config.arg, guard->config.role, failure == FAILED_BY_PROOF,
        print_address(&peer->address, address, sizeof(address)));
}

static void
close_peer(struct guard *guard, struct peer *peer)
{
    if (!peer->heard_ms)
        tell_unheard(guard, peer);
    if (!peer->is_cut)
        guard->open_len--;
    guard->gone_len++;
    peer->is_open = false;
    DL_DELETE(guard->open, peer);
    if (!guard->open)
        loop_timer_start(guard->timer, GUARD_TICK_MS, 0); // the last look
}

// Who was silent for longest; who never said anything comes first.
static struct peer *
most_silent(const struct guard *guard)
{
    struct peer *peer, *most = NULL;

    DL_FOREACH(guard->open, peer)
    {
        if (!peer->is_cut && (!most || peer->heard_ms < most->heard_ms))
            most = peer;
    }
    return most;
}

static void
open_peer(struct guard *guard, int fd)
{
    uint64_t now_ms = loop_now_ms(guard->loop);
    struct peer *peer = find_peer(guard, fd);
    socklen_t len = sizeof(peer->address);

    if (peer)
        close_peer(guard, peer); // its end was not told
    if ((size_t)fd >= guard->by_fd_len) {
        size_t room = (size_t)fd + 64;
        struct peer **by_fd = realloc(guard->by_fd, room * sizeof(*by_fd));

        if (!by_fd)
            return; // it is served all the same, only not watched
        memset(by_fd + guard->by_fd_len, 0,
               (room - guard->by_fd_len) * sizeof(*by_fd));
        guard->by_fd = by_fd;
        guard->by_fd_len = room;
    }
    if (!guard->by_fd[fd])
        guard->by_fd[fd] = malloc(sizeof(*peer));
    peer = guard->by_fd[fd];
    if (!peer)
        return;
    *peer = (struct peer){.fd = fd,
                          .cookie = cookie_of(fd),
                          .is_open = true,
                          .accepted_ms = now_ms};
    (void)getpeername(fd, (struct sockaddr *)&peer->address,
                      &len); // else: it is gone by now
    if (!guard->open)
        loop_timer_start(guard->timer, GUARD_TICK_MS, GUARD_TICK_MS);
    DL_APPEND(guard->open, peer);
    if (++guard->open_len > guard->open_max)
        cut(guard, most_silent(guard), "too many connections");
}

static bool
on_event(void *arg)
{
    struct guard *guard = arg;
    struct monitor_event event;
    struct peer *peer;

    if (monitor_recv(guard->monitor, &event) != 0)
        return false;
    peer = find_peer(guard, event.value);
    switch (event.event) {
    case ZMQ_EVENT_ACCEPTED:
        if (event.value >= 0)
            open_peer(guard, event.value);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        if (peer)
            close_peer(guard, peer);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        guard->failure = FAILED_BY_ZAP;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        if (event.value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
            guard->failure = FAILED_BY_PROOF;
        break;
    default:
        break;
    }
    return true;
}

void
guard_stats(const struct guard *guard, struct guard_stats *out_stats)
{
    *out_stats = (struct guard_stats){0};
    if (guard)
        *out_stats = (struct guard_stats){guard->open_len, guard->cut};
}

// --- Looking at them ---

static void
look_at(struct guard *guard, struct peer *peer, uint64_t now_ms)
{
    uint64_t received;

    // A local socket (ipc) does not tell: only who may open its file can
    // connect there.
    if (!is_same(peer) || guard_received(peer->fd, &received) != 0)
        return;
    guard_count(&peer->bytes, received, now_ms - peer->accepted_ms);
    if (!peer->is_trusted && peer->bytes.held > HELD_SMALL &&
        now_ms - (peer->heard_ms ? peer->heard_ms : peer->accepted_ms) >
            GUARD_STUCK_MS)
        cut(guard, peer, "half a message came, and no more");
    else if (peer->bytes.held > (peer->is_trusted ? guard->config.trusted_max
                                                  : guard->config.stranger_max))
        cut(guard, peer, "it sends more than a message may have");
}

// Among strangers that make libzmq hold something, the one of which nothing
// whole came for longest.
static struct peer *
most_stuck(const struct guard *guard)
{
    struct peer *peer, *most = NULL;

    DL_FOREACH(guard->open, peer)
    {
        if (!peer->is_cut && !peer->is_trusted &&
            peer->bytes.held > HELD_SMALL &&
            (!most || peer->heard_ms < most->heard_ms))
            most = peer;
    }
    return most;
}

static void
on_tick(void *arg)
{
    struct guard *guard = arg;
    uint64_t now_ms = loop_now_ms(guard->loop), held = 0;
    struct peer *peer;

    DL_FOREACH(guard->open, peer)
    {
        if (peer->is_cut)
            continue;
        look_at(guard, peer, now_ms);
        if (!peer->is_cut && !peer->is_trusted)
            held += peer->bytes.held;
    }
    while (held > GUARD_HELD_MAX && (peer = most_stuck(guard)) != NULL) {
        held -= peer->bytes.held;
        cut(guard, peer, "too much waits of messages that do not end");
    }
    if (guard->gone_len >= GONE_MANY) {
        guard->gone_len = 0;
        (void)malloc_trim(0);
    }
}

int
guard_connection(const struct frames *frames)
{
    // Every frame of a message carries it; the last one is there for sure.
    return frames->len ? zmq_msg_get(&frames->parts[frames->len - 1], ZMQ_SRCFD)
                       : -1;
}

bool
guard_on_message(struct guard *guard, const struct frames *frames,
                 bool is_trusted, uint64_t now_ms)
{
    struct peer *peer =
        guard ? find_peer(guard, guard_connection(frames)) : NULL;

    if (!peer)
        return true;
    peer->bytes.taken +=
        frames->bytes + frames->count * guard->config.frame_more;
    peer->heard_ms = now_ms;
    if (guard->config.frame_more && !peer->key[0])
        (void)snprintf(peer->key, sizeof(peer->key), "%s",
                       access_key_of(frames));
    peer->is_trusted = is_trusted;
    if (is_trusted || !guard->config.is_rated)
        return true;
    if (++peer->strangers > GUARD_STRANGER_MAX)
        cut(guard, peer, "it talks much and works nothing");
    return !peer->is_cut && guard_admit(&peer->rate, now_ms);
}

// --- Life ---

static int
watch_monitor(struct guard *guard, void *zmq)
{
    char endpoint[64];
    int none = 0;

    (void)snprintf(endpoint, sizeof(endpoint), "inproc://guard-%p",
                   (void *)guard);
    guard->monitor = zmq_socket(zmq, ZMQ_PAIR);
    if (!guard->monitor ||
        // No ceiling: at a full queue libzmq's own thread would wait for us.
        zmq_setsockopt(guard->monitor, ZMQ_RCVHWM, &none, sizeof(none)) ||
        zmq_socket_monitor(guard->socket, endpoint,
                           ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) ||
        zmq_connect(guard->monitor, endpoint))
        return -zmq_errno();
    return loop_add_socket(guard->loop, guard->monitor, on_event, guard,
                           &guard->watch);
}

int
guard_new(struct loop *loop, void *zmq, void *socket,
          const struct guard_config *config, struct guard **out_guard)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    struct rlimit files;
    int err;

    if (!guard)
        return -ENOMEM;
    guard->config = *config;
    guard->loop = loop;
    guard->socket = socket;
    guard->open_max = CONNECTIONS_MAX;
    // Three endpoints share what the process may open.
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        files.rlim_cur < FILES_RESERVED + 3 * CONNECTIONS_MAX)
        guard->open_max = files.rlim_cur > 2 * FILES_RESERVED
                              ? (size_t)(files.rlim_cur - FILES_RESERVED) / 3
                              : (size_t)files.rlim_cur / 6;
    err = loop_timer_new(loop, on_tick, guard, &guard->timer);
    if (!err)
        err = watch_monitor(guard, zmq);
    if (err) {
        guard_free(&guard);
        return err;
    }
    *out_guard = guard;
    return 0;
}

void
guard_free(struct guard **guard)
{
    struct guard *it = *guard;

    if (!it)
        return;
    loop_remove_socket(&it->watch);
    loop_timer_free(&it->timer);
    if (it->monitor) {
        (void)zmq_socket_monitor(it->socket, NULL, 0);
        (void)zmq_close(it->monitor);
    }
    for (size_t i = 0; i < it->by_fd_len; i++)
        free(it->by_fd[i]);
    free(it->by_fd);
    free(it);
    *guard = NULL;
}
