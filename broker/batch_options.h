// batch_options.h - a batch's options, from the API and from the store
//
// Pure; any thread.
#ifndef BROKER_BATCH_OPTIONS_H
#define BROKER_BATCH_OPTIONS_H
#include "proto/wire.h"
#include "urlsum.pb-c.h"

#include <stdbool.h>

// How the batch's requests are made, as PROFILE tells it to fetchers.
struct batch_profile {
    struct wire_profile wire; // borrows from the rest
    struct wire_bytes headers[WIRE_PROFILE_ITEMS_MAX];
    struct wire_bytes resolve[WIRE_PROFILE_ITEMS_MAX];
    Urlsum__V1__BatchOptions *message;
    size_t bytes; // of memory, about
};

struct batch_options {
    struct wire_request request; // any_status: what the user wants
    uint64_t retry;
    bool retries_all;
    uint64_t weight;
    struct batch_profile *profile; // NULL: there is nothing to tell
};

// Why a client's options are refused, or NULL. A static clause that quotes
// nothing.
const char *batch_options_complaint(const Urlsum__V1__BatchOptions *options);

// Of packed options, the bytes that replies may have: all before the profile,
// which is packed last. So what is large, and may be secret, is not copied for
// everybody who asks how a batch is doing.
size_t batch_options_public_len(const void *data, size_t len);

// Reads what the store has. Options that no broker packed count as none.
// Returns 0 or -ENOMEM; the caller owns out_options->profile.
int batch_options_read(const void *data, size_t len,
                       struct batch_options *out_options);
void batch_profile_free(struct batch_profile **profile);

#endif
