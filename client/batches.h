// batches.h - requests about one batch, and its row for people and programs
#ifndef CLIENT_BATCHES_H
#define CLIENT_BATCHES_H
#include "common/limits.h"

#include <stdint.h>
#include <urlsum.pb-c.h>

struct remote;
struct format;
struct json;
struct text;

// Makes a random id: 32 hex digits. Returns 0 or a negative errno.
int batches_make_id(char out_id[BATCH_ID_MAX + 1]);

// Sends a request whose reply is a batch, as all of these are. Errors are
// remote_call()'s.
int batches_call(struct remote *remote, Urlsum__V1__Request *request,
                 const Urlsum__V1__Batch **out_batch);

// CreateBatch, GetStatus (waiting up to wait_ms for the end) and CancelBatch.
// *out_batch is valid until the next call of the remote. Errors are
// remote_call()'s.
int batches_create(struct remote *remote, const char *id,
                   const struct format *format,
                   const Urlsum__V1__BatchOptions *options,
                   const Urlsum__V1__Batch **out_batch);
int batches_status(struct remote *remote, const char *id, uint32_t wait_ms,
                   const Urlsum__V1__Batch **out_batch);
int batches_cancel(struct remote *remote, const char *id,
                   const Urlsum__V1__Batch **out_batch);

// Takes the batch's algorithms over into format. Returns 0 or -EPROTO.
int batches_take_algorithms(const Urlsum__V1__Batch *batch,
                            struct format *format);

// 0, 1 or 3 by what became of a finished batch.
int batches_exit_code(const Urlsum__V1__Batch *batch);

// "open" (its list is not complete), "running", "finished", "cancelled" (which
// may still have URLs in workers' hands). Static.
const char *batches_state(const Urlsum__V1__Batch *batch);

// Lines for people; an object for programs.
void batches_show(const Urlsum__V1__Batch *batch, struct text *out);
void batches_to_json(const Urlsum__V1__Batch *batch, struct json *json);

// "2026-11-22T18:00:00Z" of Unix milliseconds.
void batches_show_time(int64_t ms, struct text *out);

#endif
