// receive.h - what comes of a transfer's request: header lines, body bytes
//
// The callbacks that libcurl calls, and what they mean for the body: whether an
// answer begins it, goes on with it, begins it anew, or is thrown away. Loop
// thread only.
#ifndef FETCHER_RECEIVE_H
#define FETCHER_RECEIVE_H
#include "proto/fail.h"

#include <stddef.h>

struct transfer;

// Forgets the last answer: a request begins.
void receive_reset(struct transfer *transfer);

// For CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION; arg is the transfer.
size_t receive_header(char *line, size_t size, size_t len, void *arg);
size_t receive_body(char *data, size_t size, size_t len, void *arg);

// The request has ended: looks at an answer without a body, leaves one alone
// that never came, and doubts ends that libcurl has believed.
void receive_end(struct transfer *transfer);

// Whether it would not be certain where a body of this length (UINT64_MAX: not
// told) ends, since its connection is shared (apart.h). Its origin is known as
// such from then on.
bool receive_is_doubtful(struct transfer *transfer, uint64_t length);

// The body begins anew with the next bytes; nothing of it counts any more.
// Returns 0 or a negative errno.
int receive_restart(struct transfer *transfer);

// Ends the transfer with this outcome and message.
void receive_stop(struct transfer *transfer, enum fail fail, const char *why);

#endif
