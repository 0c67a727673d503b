// embed.h - broker, fetcher and hashers as threads of this process
//
// What `urlsum get` runs without a broker: the same roles as the programs', met
// over inproc:// endpoints of a shared ZeroMQ context, with a private temporary
// store.
#ifndef CLIENT_EMBED_H
#define CLIENT_EMBED_H
#include "broker/broker.h"
#include "fetcher/fetcher.h"
#include "hasher/hasher.h"

// What --broker would say of it.
#define EMBED_BROKER "inproc://urlsum"

struct embed;

// As filled from the option rows; endpoints, times and the store are set by
// embed_start().
struct embed_config {
    struct broker_config broker;
    struct fetcher_config fetcher;
    struct hasher_config hasher;
};

// Starts the roles and returns when all serve: 0, a negative errno, or the exit
// code (> 0) of a role that could not start and has said why. The caller owns
// *out_embed; config is borrowed for its life.
int embed_start(void *zmq, struct embed_config *config,
                struct embed **out_embed);

// Stops what still runs, at once, and waits for it.
void embed_stop(struct embed **embed);

// Readable when a role ended though nobody asked it to.
int embed_fd(const struct embed *embed);

#endif
