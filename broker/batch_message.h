// batch_message.h - a batch's row as urlsum.v1.Batch
//
// Loop thread only.
#ifndef BROKER_BATCH_MESSAGE_H
#define BROKER_BATCH_MESSAGE_H
#include "broker/store.h"
#include "urlsum.pb-c.h"

struct broker;

// Algorithms and options of a Batch message borrow from here.
struct batch_text {
    char algorithms[256];
    char *names[WIRE_ALGORITHMS_MAX];
    Urlsum__V1__BatchOptions *options;
};

// Fills *out, which must be initialised, from a committed row and, while the
// batch is unfinished, with what is in workers' hands. *out borrows from row
// and text; batch_message_fini(text) afterwards.
void batch_message_fill(struct broker *broker, const struct store_batch *row,
                        struct batch_text *text, Urlsum__V1__Batch *out);
void batch_message_fini(struct batch_text *text);

#endif
