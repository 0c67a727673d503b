#include "fetcher/multi.h"

#include "common/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>
#include <uv.h>

// Rounds of libcurl's immediate work a turn, so that the rest has its turn too.
#define ROUNDS_A_TURN 4
// Transfers are begun for so long a turn and multi, so many at a time.
#define BEGIN_MS 10
#define BEGIN_AT_ONCE 4
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
    bool is_open;   // libcurl has read from it, or wanted to: it is connected
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
    struct multi_sockets *sockets;
    long open; // sockets of its own
    // Handles that wait to be begun, first come first served; NULL: was
    // removed.
    CURL **waiting;
    size_t waiting_at, waiting_len, waiting_room;
    struct watch *by_easy;
    struct ended *ended;
    size_t ended_len, ended_room;
};

static struct watch *
find_watch(struct multi *multi, curl_socket_t fd)
{
    const struct multi_sockets *sockets = multi->sockets;

    if (fd < 0 || (size_t)fd >= sockets->watches_len || !sockets->watches[fd] ||
        sockets->watches[fd]->multi != multi)
        return NULL;
    return sockets->watches[fd];
}

static bool
make_room(struct multi_sockets *sockets, curl_socket_t fd)
{
    size_t len = ((size_t)fd + 1) * 2;
    struct watch **grown;

    if ((size_t)fd < sockets->watches_len)
        return true;
    grown = realloc(sockets->watches, len * sizeof(*grown));
    if (!grown)
        return false;
    for (size_t i = sockets->watches_len; i < len; i++)
        grown[i] = NULL;
    sockets->watches = grown;
    sockets->watches_len = len;
    return true;
}

static struct watch *
new_watch(struct multi *multi, curl_socket_t fd, bool is_ours)
{
    struct watch *watch;

    if (!make_room(multi->sockets, fd))
        return NULL;
    watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->multi = multi;
    watch->fd = fd;
    watch->is_ours = is_ours;
    if (is_ours) {
        multi->open++;
        multi->sockets->open++;
    }
    multi->sockets->watches[fd] = watch;
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
        watch->multi->sockets->open--;
    }
    watch->multi->sockets->watches[watch->fd] = NULL;
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

// Whether sockets have been handled for long enough this turn.
static bool
is_late(struct multi_sockets *sockets)
{
    uint64_t now_ns = uv_hrtime();

    if (!sockets->busy_until_ns)
        sockets->busy_until_ns = now_ns + UINT64_C(1000000) * MULTI_TURN_MS;
    return now_ns > sockets->busy_until_ns;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct multi *multi = watch->multi;
    curl_socket_t fd = watch->fd;
    int flags = 0;
    int running;

    if (is_late(multi->sockets)) {
        if (status < 0) {
            watch->watched = 0; // libuv has stopped watching
            if (watch->wanted)
                update_watch(watch);
        }
        return; // what waits is told again
    }
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

// What libcurl wants to be told of the socket. False: libuv refuses it.
static bool
set_wanted(struct watch *watch, int wanted)
{
    watch->wanted = wanted;
    if (!watch->is_polled) {
        if (uv_poll_init_socket(loop_uv(watch->multi->loop), &watch->poll,
                                watch->fd) != 0)
            return false;
        watch->poll.data = watch;
        watch->is_polled = true;
    }
    // Too wide a watch waits until an event nobody wants comes; not so for
    // writable, which would come at once.
    if ((wanted & ~watch->watched) || (watch->watched & ~wanted & UV_WRITABLE))
        update_watch(watch);
    return true;
}

// libcurl 7.88.0 to 8.1.2 closes a socket that did not get so far as to be
// connected without a word to close_socket() (curl's pull request 11439). For
// libuv its number must be free before the next socket has it.
static bool
is_gone(const struct watch *watch)
{
    return !watch->is_open && fcntl(watch->fd, F_GETFD) < 0;
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
        if (!watch->is_ours || is_gone(watch))
            close_watch(watch);
        return 0;
    }
    if (!watch)
        watch = new_watch(multi, fd, false);
    if (!watch)
        return -1; // libcurl fails all transfers of the multi
    watch->is_idle = false;
    watch->is_open |= (what & CURL_POLL_IN) != 0;
    claim_watch(watch, easy);
    return set_wanted(watch, (what & CURL_POLL_IN ? UV_READABLE : 0) |
                                 (what & CURL_POLL_OUT ? UV_WRITABLE : 0))
               ? 0
               : -1;
}

// Where the number was that of a socket which libcurl closed without a word
// (is_gone), libcurl may believe that it is still told of what it wanted.
static bool
watch_new_socket(struct multi *multi, int fd)
{
    const struct multi_sockets *sockets = multi->sockets;
    struct watch *watch =
        (size_t)fd < sockets->watches_len ? sockets->watches[fd] : NULL;
    int wanted = 0;

    if (watch) {
        wanted = watch->multi == multi ? watch->wanted : 0;
        close_watch(watch);
    }
    watch = new_watch(multi, fd, true);
    if (!watch || !wanted || set_wanted(watch, wanted))
        return watch != NULL;
    close_watch(watch);
    return false;
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
    if (!watch_new_socket(gate->multi, fd)) {
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
multi_new(struct loop *loop, struct multi_sockets *sockets, multi_done_fn *done,
          void *arg, struct multi **out_multi)
{
    struct multi *multi = calloc(1, sizeof(*multi));
    CURLMcode code = CURLM_OK;
    int err = -ENOMEM;

    if (!multi)
        return -ENOMEM;
    multi->loop = loop;
    multi->sockets = sockets;
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
multi_sockets_fini(struct multi_sockets *sockets)
{
    free(sockets->watches);
}

void
multi_free(struct multi **multi)
{
    if (!*multi)
        return;
    // Closes the connections and so, through close_socket(), their watches.
    (void)curl_multi_cleanup((*multi)->curl);
    for (size_t i = 0; i < (*multi)->sockets->watches_len; i++) {
        struct watch *watch = find_watch(*multi, (curl_socket_t)i);

        if (watch)
            close_watch(watch);
    }
    loop_timer_free(&(*multi)->timer);
    free((*multi)->ended);
    free((*multi)->waiting);
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
    if (multi->waiting_len == multi->waiting_room) {
        size_t room = multi->waiting_room ? multi->waiting_room * 2 : 64;
        CURL **grown = realloc(multi->waiting, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        multi->waiting = grown;
        multi->waiting_room = room;
    }
    multi->waiting[multi->waiting_len++] = easy;
    return 0;
}

static bool
has_waiting(const struct multi *multi)
{
    return multi->waiting_at < multi->waiting_len;
}

// The next one to be begun, or NULL.
static CURL *
take_waiting(struct multi *multi)
{
    CURL *easy = NULL;

    while (!easy && has_waiting(multi))
        easy = multi->waiting[multi->waiting_at++];
    if (!has_waiting(multi))
        multi->waiting_at = multi->waiting_len = 0;
    return easy;
}

void
multi_remove(struct multi *multi, CURL *easy)
{
    for (size_t i = multi->waiting_at; i < multi->waiting_len; i++) {
        if (multi->waiting[i] == easy) {
            multi->waiting[i] = NULL;
            return;
        }
    }
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
        multi->sockets->connections_max - multi->sockets->open + multi->open;

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

static void
begin(struct multi *multi, CURL *easy)
{
    if (curl_multi_add_handle(multi->curl, easy) != CURLM_OK &&
        !add_ended(multi, easy, CURLE_OUT_OF_MEMORY))
        multi->done(multi->arg, easy, CURLE_OUT_OF_MEMORY);
}

// libcurl does all that it can for handles that are new in one call: a context
// of TLS and the first half of its handshake for each, a millisecond or two. So
// it gets some at a time, while there is time.
static void
begin_waiting(struct multi *multi)
{
    uint64_t until_ns = uv_hrtime() + UINT64_C(1000000) * BEGIN_MS;
    int running;

    do {
        for (int i = 0; i < BEGIN_AT_ONCE && has_waiting(multi); i++) {
            CURL *easy = take_waiting(multi);

            if (easy)
                begin(multi, easy);
        }
        multi->is_due = false;
        (void)curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0,
                                       &running);
    } while (has_waiting(multi) && uv_hrtime() < until_ns);
}

void
multi_turn(struct multi *multi)
{
    int running;

    multi->sockets->busy_until_ns = 0;
    tell_connections_max(multi);
    if (has_waiting(multi))
        begin_waiting(multi);
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
    return multi->is_due || has_waiting(multi);
}
