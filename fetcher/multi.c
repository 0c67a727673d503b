#include "common/loop.h"
#include "fetcher/multi_private.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>
#include <uv.h>

// Rounds of libcurl's immediate work a turn, so that the rest has its turn too.
#define ROUNDS_A_TURN 4
// Transfers are begun for so long a turn and multi, so many at a time.
#define BEGIN_MS 10
#define BEGIN_AT_ONCE 4
// Streams of one HTTP/2 connection; more to the same origin open another one.
// While the streams of a connection wait for credit (convoy.h) libcurl may read
// once for each that goes on, so what it then holds grows with their square.
#define STREAMS_MAX 32L

bool
gated_add(struct gated_list *list, struct multi_gate *gate, CURLcode code)
{
    if (list->len == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        struct gated *grown = realloc(list->items, room * sizeof(*list->items));

        if (!grown)
            return false;
        list->items = grown;
        list->room = room;
    }
    list->items[list->len++] = (struct gated){.gate = gate, .code = code};
    return true;
}

static void
gated_forget(struct gated_list *list, const struct multi_gate *gate)
{
    for (size_t i = 0; i < list->len; i++) {
        if (list->items[i].gate == gate)
            list->items[i].gate = NULL;
    }
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

static int
open_curl(struct multi *multi)
{
    CURLMcode code = CURLM_OK;

    multi->curl = curl_multi_init();
    if (!multi->curl)
        return -ENOMEM;
    multi->told_max = 0;
    code |= curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION,
                              multi_on_socket);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    code |=
        curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer_set);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_PIPELINING,
                              (long)CURLPIPE_MULTIPLEX);
    code |= curl_multi_setopt(multi->curl, CURLMOPT_MAX_CONCURRENT_STREAMS,
                              STREAMS_MAX);
    return code == CURLM_OK ? 0 : -EINVAL;
}

int
multi_new(struct loop *loop, struct multi_sockets *sockets, long kept,
          multi_done_fn *done, void *arg, struct multi **out_multi)
{
    struct multi *multi = calloc(1, sizeof(*multi));
    int err;

    if (!multi)
        return -ENOMEM;
    multi->loop = loop;
    multi->sockets = sockets;
    multi->kept = kept < 1 ? 1 : kept;
    multi->done = done;
    multi->arg = arg;
    err = loop_timer_new(loop, on_timer, multi, &multi->timer);
    if (!err)
        err = open_curl(multi);
    if (err)
        goto out;

    *out_multi = multi;
    multi = NULL;
out:
    multi_free(&multi);
    return err;
}

// Ends the connections and so, through close_socket(), their watches.
static void
close_curl(struct multi *multi)
{
    (void)curl_multi_cleanup(multi->curl);
    multi->curl = NULL;
    multi_close_watches(multi);
}

void
multi_free(struct multi **multi)
{
    if (!*multi)
        return;
    close_curl(*multi);
    loop_timer_free(&(*multi)->timer);
    free((*multi)->ended.items);
    free((*multi)->stuck.items);
    free(*multi);
    *multi = NULL;
}

void
multi_add(struct multi_gate *gate)
{
    DL_APPEND(gate->multi->waiting, gate);
    gate->is_waiting = true;
}

static void
take_waiting(struct multi_gate *gate)
{
    DL_DELETE(gate->multi->waiting, gate);
    gate->is_waiting = false;
}

static void
remove_handle(struct multi_gate *gate)
{
    struct multi *multi = gate->multi;

    (void)curl_multi_remove_handle(multi->curl, gate->easy); // we added it
    multi->running--;
    multi_leave_socket(gate);
    gated_forget(&multi->stuck, gate);
}

void
multi_remove(struct multi_gate *gate)
{
    if (gate->is_waiting) {
        take_waiting(gate);
        return;
    }
    gated_forget(&gate->multi->ended, gate);
    remove_handle(gate);
}

static void
report(struct multi_gate *gate, CURLcode code)
{
    struct multi *multi = gate->multi;

    multi_look_at_rest(gate);
    remove_handle(gate);
    multi->done(multi->arg, gate, code);
}

// libcurl ends the connection that waits longest when one more than told_max is
// given back.
void
multi_touch(struct multi *multi)
{
    long max =
        multi->sockets->connections_max - multi->sockets->open + multi->open;

    multi->is_touched = true;
    if (max < multi->kept)
        max = multi->kept;
    if (max != multi->told_max)
        (void)curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, max);
    multi->told_max = max;
}

// Nothing runs here, and others need what is open: libcurl would close it when
// transfers of its own end, and there are none.
static bool
is_in_the_way(const struct multi *multi)
{
    return !multi->running && !multi->waiting && multi->open > multi->kept &&
           multi->sockets->open > multi->sockets->connections_max;
}

static void
open_anew(struct multi *multi)
{
    loop_timer_stop(multi->timer);
    multi->is_due = false;
    close_curl(multi);
    (void)open_curl(multi); // else the next turn tries again
}

// libcurl's messages are all taken before the first handle is removed: each
// removal looks through those that are left.
static void
report_done(struct multi *multi)
{
    CURLMsg *msg;
    int left;

    multi->is_touched = false;
    while ((msg = curl_multi_info_read(multi->curl, &left))) {
        struct multi_gate *gate = multi_gate_of(msg->easy_handle);
        CURLcode code = msg->data.result;

        if (msg->msg == CURLMSG_DONE && !gated_add(&multi->ended, gate, code))
            report(gate, code);
    }
    for (size_t i = 0; i < multi->ended.len; i++) {
        struct gated ended = multi->ended.items[i];

        multi->ended.items[i].gate = NULL;
        if (ended.gate)
            report(ended.gate, ended.code);
    }
    multi->ended.len = 0;
}

// One round of what libcurl wants to do now.
static void
run_due(struct multi *multi)
{
    int running;

    multi->is_due = false;
    if (!multi->curl)
        return; // no memory
    multi_touch(multi);
    (void)curl_multi_socket_action(multi->curl, CURL_SOCKET_TIMEOUT, 0,
                                   &running);
}

static void
begin(struct multi_gate *gate)
{
    struct multi *multi = gate->multi;

    take_waiting(gate);
    if (curl_multi_add_handle(multi->curl, gate->easy) == CURLM_OK)
        multi->running++;
    else
        multi->done(multi->arg, gate, CURLE_OUT_OF_MEMORY);
}

// libcurl does all that it can for handles that are new in one call: a context
// of TLS and the first half of its handshake for each, a millisecond or two. So
// it gets some at a time, while there is time.
static void
begin_waiting(struct multi *multi)
{
    uint64_t until_ns = uv_hrtime() + UINT64_C(1000000) * BEGIN_MS;

    do {
        for (int i = 0; i < BEGIN_AT_ONCE && multi->waiting; i++)
            begin(multi->waiting);
        run_due(multi);
    } while (multi->waiting && uv_hrtime() < until_ns);
}

// When an address of a host does not answer in its share of the time, libcurl
// 7.88 goes on to the next one, but opens no socket for it until it is called
// again, and asks for no call. A handle that is paused and resumed is looked at
// soon; one that is not connected does not notice.
static void
go_on(struct multi *multi)
{
    for (size_t i = 0; i < multi->stuck.len; i++) {
        const struct multi_gate *gate = multi->stuck.items[i].gate;

        if (gate && curl_easy_pause(gate->easy, CURLPAUSE_SEND) == CURLE_OK &&
            curl_easy_pause(gate->easy, CURLPAUSE_CONT) == CURLE_OK)
            multi->is_due = true;
    }
    multi->stuck.len = 0;
}

void
multi_turn(struct multi *multi)
{
    multi->sockets->busy_until_ns = 0;
    if (!multi->curl || is_in_the_way(multi))
        open_anew(multi);
    multi->is_in_turn = true;
    go_on(multi);
    if (multi->waiting)
        begin_waiting(multi);
    for (int i = 0; i < ROUNDS_A_TURN && multi->is_due; i++)
        run_due(multi);
    multi->is_in_turn = false;
    multi_send_requests(multi);
    if (multi->is_touched)
        report_done(multi);
}

bool
multi_is_due(const struct multi *multi)
{
    return multi->is_due || multi->waiting || multi->stuck.len;
}
