#include "broker/batch_message.h"

#include "broker/state.h"

#include <string.h>

// A batch without open URLs is in nobody's way but the store's.
static void
fill_hindrance(const struct broker *broker, const struct store_batch *row,
               const struct batch *live, Urlsum__V1__Batch *out)
{
    bool is_store = false;
    int64_t since_ms = 0;
    const char *why;
    struct wire_bytes suite;

    if (row->finished_wall_ms)
        return;
    why = broker_hindrance(broker, &since_ms, &is_store);
    if (!is_store && row->landed - row->replaced == row->submitted)
        return;
    if (!why && live) {
        suite = (struct wire_bytes){live->suite.text, strlen(live->suite.text)};
        if (!sessions_have_hasher(&broker->sessions, &suite, NULL))
            why = "no hasher offers all of its algorithms";
    }
    if (!why)
        return;
    out->hindrance = (char *)(uintptr_t)why; // packed, not changed
    out->hindered_ms = since_ms;
    out->store_refuses = is_store;
}

void
batch_message_fill(struct broker *broker, const struct store_batch *row,
                   struct batch_text *text, Urlsum__V1__Batch *out)
{
    const struct batch *live = batch_find(broker, row->id);
    char *save = NULL;

    memcpy(text->algorithms, row->algorithms, sizeof(text->algorithms));
    for (char *name = strtok_r(text->algorithms, ",", &save);
         name && out->n_algorithms < WIRE_ALGORITHMS_MAX;
         name = strtok_r(NULL, ",", &save))
        text->names[out->n_algorithms++] = name;
    out->algorithms = text->names;
    text->options =
        urlsum__v1__batch_options__unpack(NULL, row->options_len, row->options);
    // What may be secret is for fetchers alone.
    if (text->options && text->options->profile) {
        urlsum__v1__profile__free_unpacked(text->options->profile, NULL);
        text->options->profile = NULL;
    }
    out->options = text->options;
    out->id = (char *)row->id;
    out->number = row->batch;
    out->created_ms = row->created_wall_ms;
    out->finished_ms = row->finished_wall_ms;
    out->closed = row->is_closed;
    out->cancelled = row->is_cancelled;
    out->submitted = row->submitted;
    out->done = row->landed - row->replaced;
    out->failed = row->failed;
    out->cancelled_urls = row->cancelled;
    out->bytes = row->bytes;
    out->list_hash = row->list_hash;
    fill_hindrance(broker, row, live, out);
    if (live) {
        out->fetching = live->fetching;
        out->hashing = live->hashing;
        out->retrying = live->retrying;
    }
}

void
batch_message_fini(struct batch_text *text)
{
    if (text->options)
        urlsum__v1__batch_options__free_unpacked(text->options, NULL);
}
