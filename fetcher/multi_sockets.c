#include "common/loop.h"
#include "fetcher/multi_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include <uv.h>

// What a server sent unasked is thrown away in such pieces, and not for ever.
#define UNASKED_BYTES (1024 * 1024)
#define UNASKED_RECVS 64

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
    struct multi_gate *gate;   // whose request is on it, if libcurl has said so
    bool is_asked;             // in the multi's list of those
    bool is_corked;            // the kernel keeps back what is sent
    struct watch *prev, *next; // in that list
};

// Of any multi.
static struct watch *
watch_at(const struct multi_sockets *sockets, curl_socket_t fd)
{
    return fd >= 0 && (size_t)fd < sockets->watches_len ? sockets->watches[fd]
                                                        : NULL;
}

static struct watch *
find_watch(const struct multi *multi, curl_socket_t fd)
{
    struct watch *watch = watch_at(multi->sockets, fd);

    return watch && watch->multi == multi ? watch : NULL;
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

struct multi_gate *
multi_gate_of(CURL *easy)
{
    struct multi_gate *gate = NULL;

    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&gate);
    return gate;
}

void
multi_leave_socket(struct multi_gate *gate)
{
    if (gate->watch)
        gate->watch->gate = NULL;
    gate->watch = NULL;
}

// libcurl can be asked for the socket of a transfer (CURLINFO_ACTIVESOCKET),
// but looks at all connections for it: with thousands of them that was a third
// of the fetcher's time.
static void
claim_watch(struct watch *watch, struct multi_gate *gate)
{
    if (watch->gate == gate)
        return;
    if (watch->gate)
        multi_leave_socket(watch->gate);
    if (!gate)
        return;
    multi_leave_socket(gate);
    watch->gate = gate;
    gate->watch = watch;
}

static void
free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void
set_cork(struct watch *watch, bool is_corked)
{
    int value = is_corked;

    // Where the kernel refuses, each request leaves by itself.
    if (watch->is_corked != is_corked)
        (void)setsockopt(watch->fd, IPPROTO_TCP, TCP_CORK, &value,
                         sizeof(value));
    watch->is_corked = is_corked;
}

static void
leave_asked(struct watch *watch)
{
    if (!watch->is_asked)
        return;
    DL_DELETE(watch->multi->asked, watch);
    watch->is_asked = false;
    set_cork(watch, false);
}

curl_socket_t
multi_socket_of(const struct multi_gate *gate)
{
    return gate->watch ? gate->watch->fd : CURL_SOCKET_BAD;
}

void
multi_expect_request(struct multi *multi, curl_socket_t fd)
{
    struct watch *watch = find_watch(multi, fd);

    if (!watch || !multi->is_in_turn)
        return;
    if (watch->is_asked) {
        set_cork(watch, true);
        return;
    }
    DL_APPEND(multi->asked, watch);
    watch->is_asked = true;
}

void
multi_send_requests(struct multi *multi)
{
    while (multi->asked)
        leave_asked(multi->asked);
}

static void
close_watch(struct watch *watch)
{
    claim_watch(watch, NULL);
    leave_asked(watch);
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

void
multi_look_at_rest(struct multi_gate *gate)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct watch *watch = gate->watch;
    long version = 0;
    char byte;

    (void)curl_easy_getinfo(gate->easy, CURLINFO_HTTP_VERSION, &version);
    if (version != CURL_HTTP_VERSION_1_0 && version != CURL_HTTP_VERSION_1_1)
        return; // HTTP/2 has frames of its own to say

    if (!watch) { // its answer was there at once
        (void)curl_easy_getinfo(gate->easy, CURLINFO_ACTIVESOCKET, &fd);
        watch = find_watch(gate->multi, fd);
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
    multi_touch(multi);
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

// Whether it has a connection: of two that were tried the slower one is gone.
static bool
is_connected(const struct multi_gate *gate)
{
    return gate->watch && gate->watch->is_open;
}

int
multi_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                void *socket_arg)
{
    struct multi *multi = arg;
    struct multi_gate *gate = multi_gate_of(easy);
    struct watch *watch = find_watch(multi, fd);
    bool was_left;

    (void)socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (!watch)
            return 0;
        watch->wanted = 0;
        was_left = is_gone(watch);
        if (was_left && gate && !is_connected(gate)) // or it waits for its end
            (void)gated_add(&multi->stuck, gate, CURLE_OK);
        // Of a socket that is not ours (the resolver's) nobody tells the end;
        // its number may soon be another's.
        if (was_left || !watch->is_ours)
            close_watch(watch);
        return 0;
    }
    if (!watch)
        watch = new_watch(multi, fd, false);
    if (!watch)
        return -1; // libcurl fails all transfers of the multi
    watch->is_idle = false;
    watch->is_open |= (what & CURL_POLL_IN) != 0;
    claim_watch(watch, gate);
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
    struct watch *watch = watch_at(multi->sockets, fd);
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

int
multi_prepare(struct multi *multi, CURL *easy, struct multi_gate *gate)
{
    CURLcode code = CURLE_OK;

    gate->multi = multi;
    gate->easy = easy;
    code |= curl_easy_setopt(easy, CURLOPT_PRIVATE, gate);
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, gate);
    code |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    code |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, multi);
    return code == CURLE_OK ? 0 : -EINVAL;
}

void
multi_close_watches(struct multi *multi)
{
    for (size_t i = 0; i < multi->sockets->watches_len; i++) {
        struct watch *watch = find_watch(multi, (curl_socket_t)i);

        if (watch)
            close_watch(watch);
    }
}

void
multi_sockets_fini(struct multi_sockets *sockets)
{
    free(sockets->watches);
}
