// notify.h - telling the service manager that started us how we are
//
// The datagrams of sd_notify(3), without its library: "READY=1", "STOPPING=1",
// "STATUS=...", "WATCHDOG=1" to the socket that $NOTIFY_SOCKET names. systemd
// sets it for Type=notify, podman and others do the same.
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H
#include <stdint.h>

// Bytes of one message that programs make up, its end included.
#define NOTIFY_BYTES_MAX 512

// How often a service manager that watches this process wants "WATCHDOG=1" to
// be sent, in milliseconds: half of the silence after which it ends it
// (sd_watchdog_enabled(3)). 0: nobody watches.
uint64_t notify_watchdog_ms(void);

// Sends lines of NAME=VALUE (any number of them, separated by line feeds). Does
// nothing when nobody asked to be told, that is without $NOTIFY_SOCKET; a
// message that cannot be delivered within a second is dropped, for no service
// fails because nobody listens. Any thread.
void notify_send(const char *lines);

#endif
