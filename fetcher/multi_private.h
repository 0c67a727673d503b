// multi_private.h - for multi.c (transfers) and multi_sockets.c alone
#ifndef FETCHER_MULTI_PRIVATE_H
#define FETCHER_MULTI_PRIVATE_H
#include "fetcher/multi.h"

struct handle {
    CURL *easy;    // NULL: it was removed meanwhile
    CURLcode code; // of one that has ended
};

struct handles {
    struct handle *items;
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
    struct handles stuck;       // between two addresses (go_on)
    struct handles ended;       // and not reported yet
    struct watch *by_easy;
};

// False: no memory.
bool handles_add(struct handles *handles, CURL *easy, CURLcode code);

// Comes before libcurl is called in ways that may end transfers.
void multi_touch(struct multi *multi);

// libcurl's CURLMOPT_SOCKETFUNCTION; arg is the multi.
int multi_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
                    void *socket_arg);

// A transfer has ended, and its connection waits for the next one's request.
void multi_look_at_rest(struct multi *multi, CURL *easy);

// Forgets the watches that libcurl has left.
void multi_close_watches(struct multi *multi);

#endif
