// late_origin.c - an origin far away: answers each request after a while
//
//   late_origin DELAY_MS CERT   prints "http=PORT https=PORT h2=PORT", writes
//                               the certificate of its authority to CERT (PEM),
//                               and serves every address of 127.0.0.0/8, each
//                               with a certificate of its own, until its stdin
//                               ends; then prints "most=N", how many requests
//                               waited at once
//
// HTTP/1.1, the same under TLS, and HTTP/2, on one thread. It takes GET of
// "/N", N a number, and the body is that path, again and again, 1 KiB of it.
// All delays are equal, so what waits is one queue. It shares the machine with
// what is measured, so it does as little as it can: nothing is allocated for a
// request, and what is due for a connection is written at once. A client that
// does not read loses its connection.
#include "authority.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_BYTES 1024
#define IN_BYTES 2048         // of requests that are not whole yet
#define OUT_BYTES (64 * 1024) // answers that are due together
#define EVENTS 512
#define WAITING_MAX (1 << 17) // a power of two

enum kind { HTTP, HTTPS, H2, KINDS };

struct connection {
    int fd;
    enum kind kind;
    uint64_t serial; // a number is soon another connection's
    SSL *tls;
    nghttp2_session *h2;
    int64_t asked; // by the header that is read, the number of its path
    size_t in_len;
    bool is_dirty; // in the list of those that have something to send
    char in[IN_BYTES];
};

struct request {
    uint64_t due_ms;
    uint64_t serial;
    int fd;
    int32_t stream;
    int number;
};

static struct connection **by_fd;
static int fds_max;
static uint64_t serials;
static struct request waiting[WAITING_MAX]; // a ring
static uint64_t waiting_from, waiting_to, waiting_most;
static uint64_t delay_ms, now_ms; // of this turn
static int polled;
static SSL_CTX *contexts[KINDS];
static nghttp2_session_callbacks *h2_calls;
static char headers[256]; // of HTTP/1.1
static size_t headers_len;
static char out[OUT_BYTES + BODY_BYTES + sizeof(headers)];

static void
die(const char *what)
{
    (void)fprintf(stderr, "late_origin: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void
check(bool is_good, const char *what)
{
    if (!is_good)
        die(what);
}

static void
read_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// --- Connections ---

static void
hang_up(struct connection *connection)
{
    by_fd[connection->fd] = NULL;
    (void)close(connection->fd);
    SSL_free(connection->tls);
    if (connection->h2)
        nghttp2_session_del(connection->h2);
    free(connection);
}

// A client of ours that is alive reads: its socket has room for all of it.
static bool
send_all(struct connection *connection, const char *bytes, size_t len)
{
    size_t sent = 0;

    if (!len)
        return true;
    if (!connection->tls)
        return send(connection->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
    return SSL_write_ex(connection->tls, bytes, len, &sent) == 1 && sent == len;
}

// What HTTP/2 has to say. False: the connection is of no use any more.
static bool
send_frames(struct connection *connection)
{
    const uint8_t *frames;
    ssize_t len;
    size_t at = 0;

    while ((len = nghttp2_session_mem_send(connection->h2, &frames)) > 0) {
        if (at + (size_t)len > sizeof(out)) {
            if (!send_all(connection, out, at))
                return false;
            at = 0;
        }
        memcpy(out + at, frames, (size_t)len); // none is longer than 16 KiB
        at += (size_t)len;
    }
    return len == 0 && send_all(connection, out, at);
}

static bool
begin_waiting(struct connection *connection, int32_t stream, int64_t number)
{
    if (number < 0 || waiting_to - waiting_from == WAITING_MAX)
        return false;
    waiting[waiting_to++ % WAITING_MAX] = (struct request){
        .due_ms = now_ms + delay_ms,
        .serial = connection->serial,
        .fd = connection->fd,
        .stream = stream,
        .number = (int)number,
    };
    if (waiting_to - waiting_from > waiting_most)
        waiting_most = waiting_to - waiting_from;
    return true;
}

// The N of "/N", which ends at the end; -1: it is none.
static int64_t
number_of(const char *path, size_t len)
{
    int64_t number = 0;

    if (len < 2 || len > 10 || *path != '/')
        return -1;
    for (size_t i = 1; i < len; i++) {
        if (path[i] < '0' || path[i] > '9')
            return -1;
        number = number * 10 + (path[i] - '0');
    }
    return number;
}

static size_t
write_body(int number, char *to)
{
    int len = snprintf(to, 16, "/%d", number);

    for (size_t at = (size_t)len; at < BODY_BYTES; at++)
        to[at] = to[at - (size_t)len];
    return BODY_BYTES;
}

// --- HTTP/2 ---

static int
on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
          size_t name_len, const uint8_t *value, size_t value_len,
          uint8_t flags, void *arg)
{
    struct connection *connection = arg;

    (void)h2, (void)frame, (void)flags;
    if (name_len == 5 && memcmp(name, ":path", 5) == 0)
        connection->asked = number_of((const char *)value, value_len);
    return 0;
}

static int
on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct connection *connection = arg;

    (void)h2;
    if (frame->hd.type != NGHTTP2_HEADERS ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    return begin_waiting(connection, frame->hd.stream_id, connection->asked)
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static ssize_t
on_read_body(nghttp2_session *h2, int32_t stream, uint8_t *to, size_t len,
             uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)h2, (void)stream, (void)arg;
    if (len < BODY_BYTES)
        return NGHTTP2_ERR_CALLBACK_FAILURE; // its window is closed
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)write_body(source->fd, (char *)to);
}

#define FIELD(name, value)                                                     \
    {                                                                          \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value),           \
            sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE          \
    }

static bool
answer_h2(struct connection *connection, const struct request *request)
{
    static const nghttp2_nv fields[] = {
        FIELD(":status", "200"),
        FIELD("content-type", "text/plain"),
        FIELD("content-length", "1024"),
    };
    nghttp2_data_provider body = {.source.fd = request->number,
                                  .read_callback = on_read_body};

    // A stream that was ended meanwhile is no error of the connection.
    return !nghttp2_is_fatal(
        nghttp2_submit_response(connection->h2, request->stream, fields,
                                sizeof(fields) / sizeof(*fields), &body));
}

static void
begin_h2(struct connection *connection)
{
    check(nghttp2_session_server_new(&connection->h2, h2_calls, connection) ==
                  0 &&
              nghttp2_submit_settings(connection->h2, NGHTTP2_FLAG_NONE, NULL,
                                      0) == 0,
          "nghttp2");
}

// --- Requests ---

// Takes the whole requests that are there. False: they are none.
static bool
take_requests(struct connection *connection)
{
    char *at = connection->in, *end = at + connection->in_len, *past, *blank;

    while ((past = memmem(at, (size_t)(end - at), "\r\n\r\n", 4))) {
        blank = memchr(at + 4, ' ', (size_t)(past - at));
        if (memcmp(at, "GET ", 4) != 0 || !blank ||
            !begin_waiting(connection, 0,
                           number_of(at + 4, (size_t)(blank - at - 4))))
            return false;
        at = past + 4;
    }
    connection->in_len = (size_t)(end - at);
    memmove(connection->in, at, connection->in_len);
    return connection->in_len < IN_BYTES;
}

static bool
take_bytes(struct connection *connection, const char *bytes, size_t len)
{
    if (connection->kind == H2)
        return nghttp2_session_mem_recv(connection->h2, (const uint8_t *)bytes,
                                        len) == (ssize_t)len;
    if (len > IN_BYTES - connection->in_len)
        return false;
    memcpy(connection->in + connection->in_len, bytes, len);
    connection->in_len += len;
    return take_requests(connection);
}

// One read(2); more comes with the next event. False: it has ended.
static bool
read_plain(struct connection *connection)
{
    char bytes[IN_BYTES];
    ssize_t len = recv(connection->fd, bytes, sizeof(bytes), 0);

    if (len < 0)
        return errno == EAGAIN;
    return len > 0 && take_bytes(connection, bytes, (size_t)len);
}

static bool
read_tls(struct connection *connection)
{
    char bytes[16 * 1024]; // what one record can hold
    size_t len;

    while (SSL_read_ex(connection->tls, bytes, sizeof(bytes), &len) == 1) {
        if (connection->kind == H2 && !connection->h2)
            begin_h2(connection);
        if (!take_bytes(connection, bytes, len))
            return false;
    }
    return SSL_get_error(connection->tls, 0) == SSL_ERROR_WANT_READ &&
           (!connection->h2 || !nghttp2_session_want_write(connection->h2) ||
            send_frames(connection));
}

static void
accept_all(int listener, enum kind kind)
{
    struct connection *connection;
    int fd, on = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
           0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        connection = calloc(1, sizeof(*connection));
        check(connection && fd < fds_max, "connections");
        connection->fd = fd;
        connection->kind = kind;
        connection->serial = ++serials;
        by_fd[fd] = connection;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (kind != HTTP) {
            connection->tls = SSL_new(contexts[kind]);
            check(connection->tls && SSL_set_fd(connection->tls, fd) == 1,
                  "SSL_new");
            SSL_set_accept_state(connection->tls);
        }
        check(epoll_ctl(polled, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    }
}

// --- Answers ---

static bool
answer_plain(struct connection *connection, const struct request *request)
{
    memcpy(out, headers, headers_len);
    return send_all(connection, out,
                    headers_len +
                        write_body(request->number, out + headers_len));
}

static bool
answer(struct connection *connection, const struct request *request)
{
    return connection->kind == H2 ? answer_h2(connection, request)
                                  : answer_plain(connection, request);
}

// All that is due; what a connection has to say of it goes in one write.
static void
answer_due(void)
{
    static int dirty[WAITING_MAX];
    size_t dirty_len = 0;

    for (; waiting_from < waiting_to; waiting_from++) {
        const struct request *request = &waiting[waiting_from % WAITING_MAX];
        struct connection *connection = by_fd[request->fd];

        if (request->due_ms > now_ms)
            break;
        if (!connection || connection->serial != request->serial)
            continue;
        if (!answer(connection, request)) {
            hang_up(connection);
        } else if (connection->kind == H2 && !connection->is_dirty) {
            dirty[dirty_len++] = connection->fd;
            connection->is_dirty = true;
        }
    }
    for (size_t i = 0; i < dirty_len; i++) {
        struct connection *connection = by_fd[dirty[i]];

        if (!connection)
            continue;
        connection->is_dirty = false;
        if (!send_frames(connection))
            hang_up(connection);
    }
}

// How long nothing is due; -1: nothing waits.
static int
rest_ms(void)
{
    uint64_t due;

    if (waiting_from == waiting_to)
        return -1;
    due = waiting[waiting_from % WAITING_MAX].due_ms;
    return due > now_ms ? (int)(due - now_ms) : 0;
}

static int
listen_anywhere(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
              listen(fd, 65535) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
              epoll_ctl(polled, EPOLL_CTL_ADD, fd, &event) == 0,
          "listen");
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void
set_up(const char *cert)
{
    struct rlimit files;
    char date[64];
    time_t now = time(NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = STDIN_FILENO};

    check(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    files.rlim_cur = files.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
    fds_max = files.rlim_cur > 1 << 20 ? 1 << 20 : (int)files.rlim_cur;
    by_fd = calloc((size_t)fds_max, sizeof(struct connection *));
    polled = epoll_create1(EPOLL_CLOEXEC);
    check(by_fd && polled >= 0 &&
              epoll_ctl(polled, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0,
          "epoll");
    (void)signal(SIGPIPE, SIG_IGN);
    authority_make(cert);
    contexts[HTTPS] = authority_context("\x08http/1.1");
    // With a connection a transfer they would be most of its memory.
    (void)SSL_CTX_set_mode(contexts[HTTPS], SSL_MODE_RELEASE_BUFFERS);
    contexts[H2] = authority_context("\x02h2");
    check(nghttp2_session_callbacks_new(&h2_calls) == 0, "nghttp2");
    nghttp2_session_callbacks_set_on_header_callback(h2_calls, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(h2_calls, on_frame);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
                   gmtime(&now));
    headers_len = (size_t)snprintf(headers, sizeof(headers),
                                   "HTTP/1.1 200 OK\r\n"
                                   "Content-Type: text/plain\r\n"
                                   "Date: %s\r\n"
                                   "Content-Length: %d\r\n\r\n",
                                   date, BODY_BYTES);
}

static void
handle(struct connection *connection)
{
    bool goes_on =
        connection->tls ? read_tls(connection) : read_plain(connection);

    ERR_clear_error();
    if (!goes_on)
        hang_up(connection);
}

int
main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    int listeners[KINDS], ports[KINDS];
    bool goes_on = true;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: late_origin DELAY_MS CERT\n");
        return 2;
    }
    delay_ms = strtoull(argv[1], NULL, 10);
    set_up(argv[2]);
    for (int kind = 0; kind < KINDS; kind++)
        listeners[kind] = listen_anywhere(&ports[kind]);
    (void)printf("http=%d https=%d h2=%d\n", ports[HTTP], ports[HTTPS],
                 ports[H2]);
    (void)fflush(stdout);
    while (goes_on) {
        int len = epoll_wait(polled, events, EVENTS, rest_ms());

        read_clock();
        for (int i = 0; i < len; i++) {
            int fd = events[i].data.fd;

            if (fd == STDIN_FILENO)
                goes_on = false;
            else if (by_fd[fd])
                handle(by_fd[fd]);
            for (int kind = 0; kind < KINDS; kind++) {
                if (fd == listeners[kind])
                    accept_all(fd, (enum kind)kind);
            }
        }
        answer_due();
    }
    (void)printf("most=%llu\n", (unsigned long long)waiting_most);
    return 0;
}
