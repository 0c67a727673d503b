#include "common/http.h"

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

// Connections beyond HTTP_PEERS_MAX for the moment until a cut one is closed.
#define PEERS_SPARE (HTTP_FILES_MAX - HTTP_PEERS_MAX - 4)
// Connections that wait to be accepted.
#define BACKLOG 64
// How often it is looked whether the loop comes when it should.
#define LAG_EVERY_MS 1000

// One connection.
struct peer {
    int fd;
    bool is_cut;
    uint64_t since_ms;
    struct peer *prev, *next;
};

struct http {
    struct loop *loop;
    struct http_owner owner;
    struct MHD_Daemon *daemon;
    uv_poll_t *poll; // of the daemon's epoll descriptor
    struct loop_timer *timer;
    struct loop_timer *lag_timer;
    uint64_t lag_due_us;
    struct peer *peers; // the oldest first
    size_t peers_len;
    struct metrics_value requests, cut;
    struct metrics_histogram lag;
};

// --- Connections ---

// libmicrohttpd sees it end and closes it.
static void
cut_peer(struct http *http, struct peer *peer)
{
    if (peer->is_cut)
        return;
    peer->is_cut = true;
    metrics_add(&http->cut, 1);
    (void)shutdown(peer->fd, SHUT_RDWR); // fails where the peer has done it
}

static void
on_begin(struct http *http, struct MHD_Connection *connection, void **out_peer)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct peer *peer = calloc(1, sizeof(*peer));
    struct peer *oldest;

    if (!peer || !info) {
        if (info)
            (void)shutdown(info->connect_fd, SHUT_RDWR);
        free(peer);
        return;
    }
    peer->fd = info->connect_fd;
    peer->since_ms = clock_now_ms();
    *out_peer = peer;
    DL_APPEND(http->peers, peer);
    if (++http->peers_len <= HTTP_PEERS_MAX)
        return;
    for (oldest = http->peers; oldest->is_cut && oldest->next;)
        oldest = oldest->next;
    cut_peer(http, oldest);
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **peer,
              enum MHD_ConnectionNotificationCode what)
{
    struct http *http = arg;
    struct peer *it = *peer;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        on_begin(http, connection, peer);
        return;
    }
    if (!it)
        return;
    DL_DELETE(http->peers, it);
    http->peers_len--;
    free(it);
    *peer = NULL;
}

// Those whose time is over.
static void
cut_slow(struct http *http)
{
    uint64_t now_ms = clock_now_ms();
    struct peer *peer;

    DL_FOREACH(http->peers, peer)
    {
        if (now_ms - peer->since_ms < HTTP_PEER_MS)
            return;
        cut_peer(http, peer);
    }
}

// --- Answers ---

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned status, const char *type,
       char *text, size_t len, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, text, mode);
    enum MHD_Result result;

    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO; // ends the connection
    }
    // One request a connection: whoever holds one has had its answer.
    if (MHD_add_response_header(response, "Content-Type", type) != MHD_YES ||
        MHD_add_response_header(response, "Cache-Control", "no-store") !=
            MHD_YES ||
        MHD_add_response_header(response, "Connection", "close") != MHD_YES ||
        (status == MHD_HTTP_METHOD_NOT_ALLOWED &&
         MHD_add_response_header(response, "Allow", "GET, HEAD") != MHD_YES))
        result = MHD_NO;
    else
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
answer_text(struct MHD_Connection *connection, unsigned status,
            const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8", (char *)text,
                  strlen(text), MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result
answer_health(struct http *http, struct MHD_Connection *connection,
              bool (*is_well)(void *arg, char *why), const char *word)
{
    char why[HTTP_WHY_MAX] = "";
    char text[HTTP_WHY_MAX + 32];
    bool is = !is_well || is_well(http->owner.arg, why);

    if (is)
        (void)snprintf(text, sizeof(text), "%s\n", word);
    else
        (void)snprintf(text, sizeof(text), "not %s: %s\n", word, why);
    return answer_text(connection,
                       is ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static void
put_own_metrics(const struct http *http, struct metrics_page *page)
{
    metrics_process(page, http->owner.program);
    metrics_family(page, METRICS_HISTOGRAM, "urlsum_loop_lag_seconds",
                   "How late the program's main loop came to a timer, looked "
                   "at once a second.");
    metrics_put_histogram(page, NULL, &metrics_shape_work, &http->lag);
    metrics_counter(page, "urlsum_http_requests_total",
                    "Requests that this endpoint has answered.",
                    &http->requests);
    metrics_counter(page, "urlsum_http_cut_total",
                    "Connections to this endpoint that were cut off: too slow, "
                    "or too many at once.",
                    &http->cut);
}

static enum MHD_Result
answer_metrics(struct http *http, struct MHD_Connection *connection)
{
    struct metrics_page page = {0};

    put_own_metrics(http, &page);
    http->owner.put_metrics(http->owner.arg, &page);
    if (page.has_failed) {
        free(page.text);
        return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "out of memory\n");
    }
    return answer(connection, MHD_HTTP_OK,
                  "text/plain; version=0.0.4; charset=utf-8", page.text,
                  page.len, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *path,
           const char *method, const char *version, const char *upload,
           size_t *upload_len, void **request)
{
    struct http *http = arg;

    (void)version, (void)upload, (void)upload_len, (void)request;
    metrics_add(&http->requests, 1);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                           "GET and HEAD only\n");
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(http, connection);
    if (strcmp(path, "/livez") == 0)
        return answer_health(http, connection, http->owner.is_live, "live");
    if (strcmp(path, "/readyz") == 0)
        return answer_health(http, connection, http->owner.is_ready, "ready");
    return answer_text(connection, MHD_HTTP_NOT_FOUND,
                       "there are /metrics, /livez and /readyz\n");
}

// --- The loop ---

static void
run(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    uint64_t due_ms = UINT64_MAX;

    cut_slow(http);
    (void)MHD_run(http->daemon); // MHD_NO: for daemons with threads
    if (http->peers) {
        uint64_t age_ms = clock_now_ms() - http->peers->since_ms;

        due_ms = age_ms < HTTP_PEER_MS ? HTTP_PEER_MS - age_ms : 1;
    }
    // What it knows of without a descriptor to tell.
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES && wait_ms < due_ms)
        due_ms = wait_ms;
    if (due_ms == UINT64_MAX)
        loop_timer_stop(http->timer);
    else
        loop_timer_start(http->timer, due_ms, 0);
}

static void
on_timer(void *arg)
{
    run(arg);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    run(poll->data);
}

static void
on_lag_timer(void *arg)
{
    struct http *http = arg;
    uint64_t now_us = clock_now_us();

    // Timers are in whole milliseconds and may come a little early.
    metrics_observe(&http->lag, &metrics_shape_work,
                    now_us > http->lag_due_us ? now_us - http->lag_due_us : 0);
    http->lag_due_us = now_us + LAG_EVERY_MS * 1000;
    loop_timer_start(http->lag_timer, LAG_EVERY_MS, 0);
}

// --- Beginning and end ---

// Returns a listening socket or a negative errno.
static int
listen_at(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    IPPROTO_TCP);
    const int on = 1, off = 0;
    int err;

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    // "[::]" is every address of both kinds, whatever the system's setting.
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    err = -errno;
    (void)close(fd);
    return err;
}

// The first of the address's that can be had. Returns a socket or a negative
// errno; *out_why is static or libc's.
static int
open_socket(const char *address, const char **out_why)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char host[ENDPOINT_MAX], port[6];
    struct addrinfo *infos = NULL;
    int fd = -EINVAL, code;

    *out_why = "not ADDRESS:PORT";
    if (endpoint_split(address, PORT_HTTP, host, port) != 0)
        return -EINVAL;
    code = getaddrinfo(host, port, &hints, &infos);
    if (code) {
        *out_why = gai_strerror(code);
        return -EADDRNOTAVAIL;
    }
    for (const struct addrinfo *info = infos; info && fd < 0;
         info = info->ai_next)
        fd = listen_at(info);
    freeaddrinfo(infos);
    *out_why = NULL; // errno says it
    return fd;
}

static void
free_poll(uv_handle_t *handle)
{
    free(handle);
}

// Takes fd on success.
static int
start_daemon(struct http *http, int fd)
{
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_PEERS_MAX + PEERS_SPARE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_PEER_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    return http->daemon ? 0 : -ENOMEM;
}

static int
watch_daemon(struct http *http)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_t *poll;
    int err;

    if (!info)
        return -ENOTSUP;
    poll = calloc(1, sizeof(*poll));
    if (!poll)
        return -ENOMEM;
    err = uv_poll_init(loop_uv(http->loop), poll, info->epoll_fd);
    if (err) {
        free(poll);
        return err;
    }
    poll->data = http;
    http->poll = poll;
    return uv_poll_start(poll, UV_READABLE, on_poll);
}

bool
http_is_address(const char *text)
{
    char host[ENDPOINT_MAX], port[6];

    return endpoint_split(text, PORT_HTTP, host, port) == 0;
}

int
http_new(struct loop *loop, const char *address, const struct http_owner *owner,
         struct http **out_http)
{
    struct http *http = calloc(1, sizeof(*http));
    char shown[ENDPOINT_MAX * 2];
    const char *why = NULL;
    int fd = -1, err;

    (void)log_escape(address, strlen(address), shown, sizeof(shown));
    if (!http)
        return -ENOMEM;
    http->loop = loop;
    http->owner = *owner;
    fd = open_socket(address, &why);
    err = fd < 0 ? fd : start_daemon(http, fd);
    if (!err)
        fd = -1; // the daemon's
    if (err || (err = watch_daemon(http)) ||
        (err = loop_timer_new(loop, on_timer, http, &http->timer)) ||
        (err = loop_timer_new(loop, on_lag_timer, http, &http->lag_timer))) {
        log_error("http.not_served", "address=%s error=\"%s\"", shown,
                  why ? why : strerror(-err));
        goto out;
    }
    http->lag_due_us = clock_now_us() + LAG_EVERY_MS * 1000;
    loop_timer_start(http->lag_timer, LAG_EVERY_MS, 0);
    log_info("http.serves", "address=%s", shown);
    *out_http = http;
    http = NULL; // the caller's now
out:
    if (fd >= 0)
        (void)close(fd);
    http_free(&http);
    return err;
}

void
http_free(struct http **http)
{
    struct http *it = *http;

    if (!it)
        return;
    // Before the daemon: its descriptor is closed with it.
    if (it->poll)
        uv_close((uv_handle_t *)it->poll, free_poll);
    if (it->daemon)
        MHD_stop_daemon(it->daemon); // calls on_connection() for all
    loop_timer_free(&it->timer);
    loop_timer_free(&it->lag_timer);
    free(it);
    *http = NULL;
}
