// loop.h - one event loop a thread: ZeroMQ sockets, timers, signals, wake-ups
//
// libuv with ZeroMQ's edge-triggered descriptors made safe. A turn: read the
// clock once, hand out waiting messages (a bounded number a socket), run due
// timers and libuv's own sockets, then the flush hook, then sleep. Everything
// but loop_wake_send() and loop_wake's callback contract is for the loop's own
// thread.
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop;
struct loop_socket;
struct loop_wake;

// Returns 0 or a negative errno. The caller owns *out_loop.
int loop_new(struct loop **out_loop);

// Ends socket watches (not the ZeroMQ sockets themselves) and closes what the
// owner left on loop_uv() (uv_close without a callback: its memory is the
// owner's). Timers and wakes must have been freed before. *loop becomes NULL.
void loop_free(struct loop **loop);

// libuv's loop, for uv_poll_t of curl's sockets and the like.
uv_loop_t *loop_uv(struct loop *loop);

// Runs turns until loop_end().
void loop_run(struct loop *loop);
void loop_end(struct loop *loop);

// The clock of this turn, milliseconds, monotonic (same base as clock_now_ms).
uint64_t loop_now_ms(const struct loop *loop);

// Receives at most one whole message without waiting. Returns false when none
// was there (-EAGAIN): the loop comes again when one is.
typedef bool loop_message_fn(void *arg);

// Watches a ZeroMQ socket. The socket stays the caller's and must outlive the
// watch. Returns 0 or a negative errno.
int loop_add_socket(struct loop *loop, void *socket, loop_message_fn *fn,
                    void *arg, struct loop_socket **out_socket);
void loop_remove_socket(struct loop_socket **socket);

// Called at the end of every turn, before the loop sleeps. At most 4 hooks, run
// in the order they were added. A hook that itself made input or work calls
// loop_again() to have another turn without sleep.
void loop_add_flush(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_again(struct loop *loop);

// A timer. repeat_ms 0: once. Starting a running timer starts it anew.
struct loop_timer;
int loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg,
                   struct loop_timer **out_timer);
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms,
                      uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer **timer);

// A wake-up from other threads. Sends may be merged; fn runs on the loop.
int loop_wake_new(struct loop *loop, void (*fn)(void *arg), void *arg,
                  struct loop_wake **out_wake);
void loop_wake_send(struct loop_wake *wake); // any thread, signal-safe
void loop_wake_free(struct loop_wake **wake);

// Calls fn for every SIGTERM and SIGINT from now on, and unblocks them on this
// thread. One loop a process.
int loop_on_stop_signals(struct loop *loop, void (*fn)(void *arg), void *arg);

// Blocks them on this thread, and on those that it starts from now on: one that
// comes waits until a loop lets it in.
void loop_hold_stop_signals(void);

#endif
