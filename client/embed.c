#include "client/embed.h"

#include "common/program.h"
#include "common/role.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Silence after which the broker gives a worker up: threads of one process do
// not get lost, but a suspended laptop must not lose the run.
#define TTL_MS 120000
#define GRACE_MS 1000

enum { BROKER, FETCHER, HASHER, ROLES };

struct part {
    struct embed *embed;
    struct role role;
    pthread_t thread;
    bool is_started; // the thread exists
    bool is_ready, has_ended;
    int exit_code;
};

struct embed {
    struct embed_config *config;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fd;
    struct part parts[ROLES];
};

static int
run_role(const struct embed *embed, struct part *part)
{
    if (part == &embed->parts[BROKER])
        return broker_run(&embed->config->broker, &part->role);
    if (part == &embed->parts[FETCHER])
        return fetcher_run(&embed->config->fetcher, &part->role);
    return hasher_run(&embed->config->hasher, &part->role);
}

// For ps and perf.
static const char *const role_names[ROLES] = {
    [BROKER] = "broker", [FETCHER] = "fetcher", [HASHER] = "hashers"};

static void *
run_part(void *arg)
{
    struct part *part = arg;
    struct embed *embed = part->embed;
    uint64_t one = 1;
    int exit_code;

    (void)pthread_setname_np(pthread_self(), role_names[part - embed->parts]);
    exit_code = run_role(embed, part);

    (void)pthread_mutex_lock(&embed->lock);
    part->has_ended = true;
    part->exit_code = exit_code;
    (void)pthread_cond_signal(&embed->changed);
    (void)pthread_mutex_unlock(&embed->lock);
    if (write(embed->fd, &one, sizeof(one)) < 0)
        return NULL; // the counter is full: it is readable then
    return NULL;
}

static void
on_ready(void *arg)
{
    struct part *part = arg;
    struct embed *embed = part->embed;

    (void)pthread_mutex_lock(&embed->lock);
    part->is_ready = true;
    (void)pthread_cond_signal(&embed->changed);
    (void)pthread_mutex_unlock(&embed->lock);
}

// Starts one role and waits until it serves or has given up.
static int
start_part(struct embed *embed, struct part *part)
{
    int err = -pthread_create(&part->thread, NULL, run_part, part);

    if (err)
        return err;
    part->is_started = true;
    (void)pthread_mutex_lock(&embed->lock);
    while (!part->is_ready && !part->has_ended)
        (void)pthread_cond_wait(&embed->changed, &embed->lock);
    if (!part->is_ready)
        err = part->exit_code > 0 ? part->exit_code : -EIO;
    (void)pthread_mutex_unlock(&embed->lock);
    return err;
}

static void
complete(struct embed_config *config)
{
    config->broker.client_bind = EMBED_BROKER;
    config->broker.fetcher_bind = EMBED_BROKER;
    config->broker.hasher_bind = EMBED_BROKER;
    config->broker.store = NULL;
    config->broker.is_ephemeral = true;
    config->broker.ttl_ms = TTL_MS;
    config->broker.grace_ms = GRACE_MS;
    config->fetcher.broker = EMBED_BROKER;
    config->fetcher.name = "embedded";
    config->fetcher.allows_any_address = true; // as curl, it is the user's own
    config->fetcher.grace_ms = GRACE_MS;
    config->hasher.broker = EMBED_BROKER;
    config->hasher.name = "embedded";
    config->hasher.grace_ms = GRACE_MS;
}

int
embed_start(void *zmq, struct embed_config *config, struct embed **out_embed)
{
    struct embed *embed = calloc(1, sizeof(*embed));
    int err = 0;

    if (!embed)
        return -ENOMEM;
    program_keep_freed_memory();
    complete(config);
    embed->config = config;
    (void)pthread_mutex_init(&embed->lock, NULL); // cannot fail on Linux
    (void)pthread_cond_init(&embed->changed, NULL);
    for (int i = 0; i < ROLES; i++) {
        embed->parts[i].embed = embed;
        role_init(&embed->parts[i].role, zmq, false);
        embed->parts[i].role.on_ready = on_ready;
        embed->parts[i].role.arg = &embed->parts[i];
    }
    embed->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (embed->fd < 0)
        err = -errno;
    for (int i = 0; i < ROLES && !err; i++)
        err = start_part(embed, &embed->parts[i]);
    if (err)
        goto out;
    *out_embed = embed;
    embed = NULL; // the caller's now
out:
    embed_stop(&embed);
    return err;
}

void
embed_stop(struct embed **embed)
{
    struct embed *gone = *embed;

    if (!gone)
        return;
    // Workers before the broker: what they say last finds someone to read it.
    for (int i = ROLES - 1; i >= 0; i--) {
        struct part *part = &gone->parts[i];

        if (part->is_started) {
            role_stop(&part->role);
            role_stop(&part->role); // at once: nothing is left to drain
            (void)pthread_join(part->thread, NULL);
        }
        role_fini(&part->role);
    }
    if (gone->fd >= 0)
        (void)close(gone->fd); // only an eventfd
    (void)pthread_cond_destroy(&gone->changed);
    (void)pthread_mutex_destroy(&gone->lock);
    free(gone);
    *embed = NULL;
}

int
embed_fd(const struct embed *embed)
{
    return embed->fd;
}
