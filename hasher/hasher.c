#include "hasher/hasher.h"

#include "common/clock.h"
#include "common/conf.h"
#include "common/cpus.h"
#include "common/endpoint.h"
#include "common/http.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"
#include "hasher/digest.h"
#include "hasher/hash_stats.h"
#include "hasher/lane.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The supervisor: waits on the role's own thread for a stop or for its lanes.
struct hasher {
    struct loop *loop;
    struct loop_wake *wake; // a lane has ended
    struct http *http;
    struct hash_stats stats;
    char **algorithms;
    char endpoint[ENDPOINT_MAX];
    struct curve curve;
    struct lane **lanes;
    size_t lanes_len; // started
    int stops;        // passed on to the lanes
    atomic_size_t ended;
    atomic_bool has_failed;
    uint64_t hung_ms; // silence of a lane that a service manager is not to miss
};

// Called on a lane's thread.
static void
on_lane_end(void *arg, int failed)
{
    struct hasher *hasher = arg;

    if (failed)
        atomic_store(&hasher->has_failed, true);
    atomic_fetch_add(&hasher->ended, 1);
    loop_wake_send(hasher->wake);
}

static void
stop_lanes(struct hasher *hasher, int stops)
{
    hasher->stats.is_draining = true;
    for (; hasher->stops < stops && hasher->stops < 2; hasher->stops++) {
        for (size_t i = 0; i < hasher->lanes_len; i++)
            lane_stop(hasher->lanes[i]);
    }
}

static void
on_stop(void *arg, int stops)
{
    stop_lanes(arg, stops);
}

static void
on_wake(void *arg)
{
    struct hasher *hasher = arg;

    // A hasher with fewer threads than asked for would hide its trouble:
    // whoever started it starts it again.
    if (atomic_load(&hasher->has_failed))
        stop_lanes(hasher, 1);
    if (atomic_load(&hasher->ended) == hasher->lanes_len)
        loop_end(hasher->loop);
}

// Also a lane that hangs makes the service one that hangs.
static bool
is_alive(void *arg)
{
    const struct hasher *hasher = arg;
    char why[HTTP_WHY_MAX];

    return hash_stats_is_live(&hasher->stats, clock_now_ms(), hasher->hung_ms,
                              why);
}

// The workers' common name. Returns 0 or -EINVAL.
static int
make_name(const struct hasher_config *config, char *buf, size_t size)
{
    // Room for the lane's number behind it.
    const size_t len_max = WIRE_NAME_MAX - strlen("/1023");
    char host[65] = "host";
    struct wire_bytes name;

    if (config->name) {
        if (snprintf(buf, size, "%s", config->name) >= (int)size)
            return -EINVAL;
    } else {
        (void)gethostname(host, sizeof(host) - 1); // else "host" will do
        (void)snprintf(buf, size, "%s/%ld", host, (long)getpid());
    }
    name = (struct wire_bytes){buf, strlen(buf)};
    return wire_name_is_valid(name) && name.len <= len_max ? 0 : -EINVAL;
}

// Starts all lanes. Those that started are in lanes_len, whatever is returned.
static int
start_lanes(struct hasher *hasher, const struct hasher_config *config,
            void *zmq, const char *name)
{
    size_t threads = hasher->stats.lanes_len;
    char lane_name[WIRE_NAME_MAX + 1];
    struct lane_config lane = {
        .zmq = zmq,
        .endpoint = hasher->endpoint,
        .name = lane_name,
        .algorithms = (const char *const *)hasher->algorithms,
        .curve = &hasher->curve,
        .grace_ms = (uint64_t)config->grace_ms,
        .on_end = on_lane_end,
        .arg = hasher,
    };

    hasher->lanes = calloc(threads, sizeof(struct lane *));
    if (!hasher->lanes)
        return -ENOMEM;
    for (size_t i = 0; i < threads; i++) {
        int err;

        (void)snprintf(lane_name, sizeof(lane_name), "%s/%zu", name, i);
        lane.stats = &hasher->stats.lanes[i];
        err = lane_start(&lane, &hasher->lanes[i]);
        if (err)
            return err;
        hasher->lanes_len++;
    }
    return 0;
}

static void
finish(struct hasher *hasher, struct role *role)
{
    for (size_t i = 0; i < hasher->lanes_len; i++)
        lane_join(&hasher->lanes[i]);
    free(hasher->lanes);
    if (hasher->loop) {
        role_detach(role);
        http_free(&hasher->http);
        loop_wake_free(&hasher->wake);
        loop_free(&hasher->loop);
    }
    digest_names_free(&hasher->algorithms);
    hash_stats_fini(&hasher->stats);
    curve_fini(&hasher->curve);
}

int
hasher_run(const struct hasher_config *config, struct role *role)
{
    struct hasher hasher = {0};
    char name[WIRE_NAME_MAX + 1];
    char why[512];
    int err;

    if (endpoint_resolve(config->broker, PORT_HASHER, hasher.endpoint)) {
        log_error("hasher.setting", "what=broker "
                                    "why=\"" ENDPOINT_FORMS "\"");
        return 2;
    }
    if (make_name(config, name, sizeof(name))) {
        log_error("hasher.setting",
                  "what=name why=\"1 to 122 printable ASCII characters\"");
        return 2;
    }
    if (config->http && !http_is_address(config->http)) {
        log_error("hasher.setting", "what=http why=\"not ADDRESS:PORT\"");
        return 2;
    }
    if (curve_load(&config->keys, &hasher.curve, why, sizeof(why))) {
        (void)fprintf(stderr, "urlsum-hasher: %s\n", why);
        return 2;
    }
    // OpenSSL is initialised here, before any lane could race for it.
    if ((err = digest_names_new(&hasher.algorithms)) ||
        (err = loop_new(&hasher.loop)) ||
        (err = loop_wake_new(hasher.loop, on_wake, &hasher, &hasher.wake)) ||
        (err = hash_stats_init(
             &hasher.stats,
             (size_t)(config->threads ? config->threads : cpus_usable()))) ||
        (config->http && (err = hash_stats_serve(&hasher.stats, hasher.loop,
                                                 config->http, &hasher.http))))
        goto out;
    // No longer than the manager itself would wait for a word.
    hasher.hung_ms = 2 * role->alive_ms < HASH_STATS_HUNG_MS
                         ? 2 * role->alive_ms
                         : HASH_STATS_HUNG_MS;
    role_watch(role, is_alive, &hasher);
    err = start_lanes(&hasher, config, role->zmq, name);
    if (!err)
        err = role_attach(role, hasher.loop, on_stop, &hasher);
    if (err)
        stop_lanes(&hasher, 2);
    else
        role_ready(role);
    if (hasher.lanes_len)
        loop_run(hasher.loop); // until the last lane has ended
out:
    finish(&hasher, role);
    if (err)
        log_error("hasher.failed", "what=start error=\"%s\"", strerror(-err));
    return err || atomic_load(&hasher.has_failed) ? 1 : 0;
}
