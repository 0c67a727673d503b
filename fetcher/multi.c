#include "fetcher/multi.h"

#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>
#include <uv.h>

// Rounds of libcurl's immediate work a turn, so that the rest has its turn too.
#define ROUNDS_A_TURN 4
// What a server sent unasked is thrown away in such pieces, and not for ever.
#define UNASKED_BYTES (1024 * 1024)
#define UNASKED_RECVS 64
// Streams of one HTTP/2 connection; more to the same origin open another one.
// While the streams of a connection wait for credit (convoy.h) libcurl may read
// once for each that goes on, so what it then holds grows with their square.
#define STREAMS_MAX 32L

struct watch {
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
    bool is_ours;   // opened by open_socket(): close_socket() will tell its end
    bool is_polled; // poll is initialised
    bool is_idle;   // between two requests, of which each has one answer
    int wanted;     // by libcurl now, UV_READABLE and so on
    int watched;    // by libuv
    CURL *easy;     // whose request is on it, if libcurl has said so
    UT_hash_handle hh;
};

// A transfer that has ended and was not reported yet.
struct ended {
    CURL *easy; // NULL: it was removed meanwhile
    CURLcode code;
};

struct multi {
    CURLM *curl;
    struct loop *loop;
    struct loop_timer *timer;
    multi_done_fn *done;
    void *arg;
    bool is_due;
    struct multi_budget *budget;
    long open;              // sockets of its own
    struct watch **watches; // by descriptor
    size_t watches_len;
    struct watch *by_easy;
    struct ended *ended;
    size_t ended_len, ended_room;
};

static struct watch *
find_watch(struct multi *multi, curl_socket_t fd)
{
    if (fd < 0 || (size_t)fd >= multi->watches_len)
        return NULL;
    return multi->watches[fd];
}

static struct watch *
new_watch(struct multi *multi, curl_socket_t fd, bool is_ours)
{
    struct watch *watch;

    if ((size_t)fd >= multi->watches_len) {
        size_t len = ((size_t)fd + 1) * 2;
        struct watch **grown =
            realloc(multi->watches, len * sizeof(struct watch *));

        if (!grown)
            return NULL;
        for (size_t i = multi->watches_len; i < len; i++)
            grown[i] = NULL;
        multi->watches = grown;
        multi->watches_len = len;
    }
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->multi = multi;
    watch->fd = fd;
    watch->is_ours = is_ours;
    if (is_ours) {
        multi->open++;
        multi->budget->open++;
    }
    multi->watches[fd] = watch;
    return watch;
}

// libcurl can be asked for the socket of a transfer (CURLINFO_ACTIVESOCKET),
// but looks at all connections for it: with thousands of them that was a third
// of the fetcher's time.
static void
claim_watch(struct watch *watch, CURL *easy)
{
    struct multi *multi = watch->multi;
    struct watch *old = NULL;

    if (watch->easy == easy)
        return;
    if (watch->easy)
        HASH_DELETE(hh, multi->by_easy, watch);
    watch->easy = NULL;
    if (!easy)
        return;
    HASH_FIND(hh, multi->by_easy, &easy, sizeof(CURL *), old);
    if (old) {
        HASH_DELETE(hh, multi->by_easy, old);
        old->easy = NULL;
    }
    watch->easy = easy;
    HASH_ADD(hh, multi->by_easy, easy, sizeof(CURL *), watch);
    if (!watch->hh.tbl) // no memory: libcurl will be asked
        watch->easy = NULL;
}

static void
free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void
close_watch(struct watch *watch)
{
    claim_watch(watch, NULL);
    if (watch->is_ours) {
        watch->multi->open--;
        watch->multi->budget->open--;
    }
    watch->multi->watches[watch->fd] = NULL;
    if (watch->is_polled)
        uv_close((uv_handle_t *)&watch->poll, free_closed);
    else
        free(watch);
}

// libcurl would take what a server sends unasked for the answer to its next
// request on the connection. So that ends, and libcurl, which looks before it
// uses it again, finds nothing more to read there.
static void
hang_up(curl_socket_t fd)
{
    (void)shutdown(fd, SHUT_RDWR);
    for (int i = 0; i < UNASKED_RECVS; i++) {
        if (recv(fd, NULL, UNASKED_BYTES, MSG_TRUNC | MSG_DONTWAIT) <= 0)
            break;
    }
}

// A transfer has ended, and its connection waits for the next one's request.
static void
look_at_rest(struct multi *multi, CURL *easy)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct watch *watch;
    long version = 0;
    char byte;

    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    if (version != CURL_HTTP_VERSION_1_0 && version != CURL_HTTP_VERSION_1_1)
        return; // HTTP/2 has frames of its own to say
    HASH_FIND(hh, multi->by_easy, &easy, sizeof(CURL *), watch);
    if (!watch) {
        (void)curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
        watch = find_watch(multi, fd);
    }
    if (!watch || watch->wanted)
        return;
    claim_watch(watch, NULL); // its next request is another one
    fd = watch->fd;
    watch->is_idle = true;
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        hang_up(fd);
}

static void on_poll(uv_poll_t *poll, int status, int events);

// Makes libuv watch for exactly what libcurl wants.
static void
update_watch(struct watch *watch)
{
    if (watch->wanted)
        (void)uv_poll_start(&watch->poll, watch->wanted, on_poll);
    else
        (void)uv_poll_stop(&watch->poll);
    watch->watched = watch->wanted;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct multi *multi = watch->multi;
    curl_socket_t fd = watch->fd;
    int flags = 0;
    int running;

    if (status < 0) {
        // libuv has stopped watching. What waits in the kernel may still be
        // the rest of a body: libcurl meets the error when it comes to it.
        watch->watched = 0;
        events = watch->wanted;
        if (!events)
            return; // idle: libcurl notices when it would reuse it
    } else if (!(events & watch->wanted)) {
        // Nobody waits for this socket now, as a paused transfer or an idle
        // connection that its server has closed.
        if (watch->is_idle)
            hang_up(fd);
        update_watch(watch);
        return;
    }
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    (void)curl_multi_socket_action(multi->curl, fd, flags, &running);
    watch = find_watch(multi, fd); // may have been closed, even opened anew
    if (watch && watch->is_polled && (watch->wanted & ~watch->watched))
        update_watch(watch);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct multi *multi = arg;
    struct watch *watch = find_watch(multi, fd);

    (void)socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (!watch)
            return 0;
        watch->wanted = 0;
        // Of a socket that is not ours (the resolver's) nobody tells the end;
        // its number may soon be another's.
        if (!watch->is_ours)
            close_watch(watch);
        return 0;
    }
    if (!watch)
        watch = new_watch(multi, fd, false);
    if (!watch)
        return -1; // libcurl fails the transfer
    if (!watch->is_polled) {
        if (uv_poll_init_socket(loop_uv(multi->loop), &watch->poll, fd) != 0)
            return -1;
        watch->poll.data = watch;
        watch->is_polled = true;
    }
    watch->is_idle = false;
    claim_watch(watch, easy);
    watch->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) |
                    (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    // Too wide a watch waits until an event nobody wants comes; not so for
    // writable, which would come at once.
    if ((watch->wanted & ~watch->watched) ||
        (watch->watched & ~watch->wanted & UV_WRITABLE))
        update_watch(watch);
    return 0;
}

static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct multi_gate *gate = arg;
    int fd;

    (void)purpose;
    if (!gate->may_connect(gate->arg, &address->addr))
        return CURL_SOCKET_BAD; // libcurl tries the next address
    fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
                address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (!new_watch(gate->multi, fd, true)) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
    struct watch *watch = find_watch(arg, fd);

    if (watch)
        close_watch(watch);
    return close(fd);
}

static void
on_timer(void *arg)
{
    struct multi *multi = arg;

    multi->is_due = true; // multi_turn() comes before the loop sleeps
}

static int
on_timer_set(CURLM *curl, long timeout_ms, void *arg)
{
    struct multi *multi = arg;

    (void)curl;
    multi->is_due = timeout_ms == 0;
    if (timeout_ms > 0)
        loop_timer_start(multi->timer, (uint64_t)timeout_ms, 0);
    else
        loop_timer_stop(multi->timer);
    return 0;
}

int
multi_new(struct loop *loop, struct multi_budget *budget, multi_done_fn *done,
          void *arg, struct multi **out_multi)
{
    struct multi *multi = calloc(1, sizeof(*multi));
    CURLMcode code = CURLM_OK;
    int err = -ENOMEM;

    if (!multi)
        return -ENOMEM;
    multi->loop = loop;
    multi->budget = budget;
    multi->done = done;
    multi->arg = arg;
    multi->curl = curl_multi_init();
    if (!multi->curl)
        goto out;
    err = loop_timer_new(loop, on_timer, multi, &multi->timer);
    if (err)
        goto out;
    code |= curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    code |=
        curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer_set);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_PIPELINING,
                              (long)CURLPIPE_MULTIPLEX);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_MAX_CONCURRENT_STREAMS,
                              STREAMS_MAX);
    err = code == CURLM_OK ? 0 : -EINVAL;
    if (err)
        goto out;

    *out_multi = multi;
    multi = NULL;
out:
    multi_free(&multi);
    return err;
}

void
multi_free(struct multi **multi)
{
    if (!*multi)
        return;
    // Closes the connections and so, through close_socket(), their watches.
    (void)curl_multi_cleanup((*multi)->curl);
    for (size_t i = 0; i < (*multi)->watches_len; i++) {
        if ((*multi)->watches[i])
            close_watch((*multi)->watches[i]);
    }
    loop_timer_free(&(*multi)->timer);
    free((*multi)->watches);
    free((*multi)->ended);
    free(*multi);
    *multi = NULL;
}

int
multi_prepare(struct multi *multi, CURL *easy, struct multi_gate *gate)
{
    CURLcode code = CURLE_OK;

    gate->multi = multi;
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, gate);
    code |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    code |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, multi);
    return code == CURLE_OK ? 0 : -EINVAL;
}

int
multi_add(struct multi *multi, CURL *easy)
{
    return curl_multi_add_handle(multi->curl, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void
multi_remove(struct multi *multi, CURL *easy)
{
    for (size_t i = 0; i < multi->ended_len; i++) {
        if (multi->ended[i].easy == easy)
            multi->ended[i].easy = NULL;
    }
    (void)curl_multi_remove_handle(multi->curl, easy); // it was added by us
}

static bool
add_ended(struct multi *multi, CURL *easy, CURLcode code)
{
    if (multi->ended_len == multi->ended_room) {
        size_t room = multi->ended_room ? multi->ended_room * 2 : 64;
        struct ended *grown =
            realloc(multi->ended, room * sizeof(*multi->ended));

        if (!grown)
            return false;
        multi->ended = grown;
        multi->ended_room = room;
    }
    multi->ended[multi->ended_len++] =
        (struct ended){.easy = easy, .code = code};
    return true;
}

static void
report(struct multi *multi, CURL *easy, CURLcode code)
{
    look_at_rest(multi, easy);
    (void)curl_multi_remove_handle(multi->curl, easy); // it was added by us
    multi->done(multi->arg, easy, code);
}

// libcurl ends the connection that waits longest when one more than these is
// given back.
static void
tell_connections_max(struct multi *multi)
{
    long max =
        multi->budget->connections_max - multi->budget->open + multi->open;

    (void)curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS,
                            max < 1 ? 1L : max);
}

// libcurl's messages are all taken before the first handle is removed: each
// removal looks through those that are left.
static void
report_done(struct multi *multi)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(multi->curl, &left))) {
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;

        if (msg->msg == CURLMSG_DONE && !add_ended(multi, easy, code))
            report(multi, easy, code);
    }
    for (size_t i = 0; i < multi->ended_len; i++) {
        struct ended ended = multi->ended[i];

        multi->ended[i].easy = NULL;
        if (ended.easy)
            report(multi, ended.easy, ended.code);
    }
    multi->ended_len = 0;
}

void
multi_turn(struct multi *multi)
{
    int running;

    tell_connections_max(multi);
    for (int i = 0; i < ROUNDS_A_TURN && multi->is_due; i++) {
        multi->is_due = false;
        (void)curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0,
                                       &running);
    }
    report_done(multi);
}

bool
multi_is_due(const struct multi *multi)
{
    return multi->is_due;
}
