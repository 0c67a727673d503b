// waiting.h - what a batch still waits for, as text and JSON: status --stuck
#ifndef CLIENT_WAITING_H
#define CLIENT_WAITING_H
#include <stdbool.h>
#include <stdint.h>
#include <urlsum.pb-c.h>

struct remote;
struct text;

// GetWaiting of at most max jobs. *out_waiting is valid until the next call of
// the remote. Errors are remote_call()'s, and -EPROTO.
int waiting_get(struct remote *remote, const char *batch, uint32_t max,
                const Urlsum__V1__Waiting **out_waiting);

// Appends a table for people.
void waiting_show(const Urlsum__V1__Waiting *waiting, struct text *out);

// Appends one JSON object a job and line.
void waiting_to_json(const Urlsum__V1__Waiting *waiting, struct text *out);

#endif
