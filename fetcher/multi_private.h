// multi_private.h - for multi.c (transfers) and multi_sockets.c alone
#ifndef FETCHER_MULTI_PRIVATE_H
#define FETCHER_MULTI_PRIVATE_H
#include "fetcher/multi.h"

struct gated {
    struct multi_gate *gate; // NULL: it was removed meanwhile
    CURLcode code;           // of one that has ended
};

struct gated_list {
    struct gated *items;
    size_t len, room;
};

struct multi {
    CURLM *curl;
    struct loop *loop;
    struct loop_timer *timer;
    multi_done_fn *done;
    void *arg;
    bool is_due;
    bool is_touched; // libcurl was called since the last report
    struct multi_sockets *sockets;
    long told_max;              // connections: libcurl's own limit
    long open;                  // sockets of its own
    long kept;                  // ... that it may keep in any case
    size_t running;             // transfers that libcurl has
    struct multi_gate *waiting; // to be begun, first come first served
    struct gated_list stuck;    // between two addresses (go_on)
    struct gated_list ended;    // and not reported yet
    bool is_in_turn;
    struct watch *asked; // in this turn, over sockets that are shared
};

// False: no memory.
bool gated_add(struct gated_list *list, struct multi_gate *gate, CURLcode code);

// The handle's; NULL: it is libcurl's own.
struct multi_gate *multi_gate_of(CURL *easy);

// A transfer is libcurl's no more: no socket is its any more.
void multi_leave_socket(struct multi_gate *gate);

// Comes before libcurl is called in ways that may end transfers.
void multi_touch(struct multi *multi);

// libcurl's CURLMOPT_SOCKETFUNCTION; arg is the multi.
int multi_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                    void *socket_arg);

// A transfer has ended, and its connection waits for the next one's request.
void multi_look_at_rest(struct multi_gate *gate);

// What multi_expect_request() kept back leaves.
void multi_send_requests(struct multi *multi);

// Forgets the watches that libcurl has left.
void multi_close_watches(struct multi *multi);

#endif
