#include "fetcher/names.h"

#include "common/loop.h"
#include "fetcher/fetcher.h"

#include <errno.h>
#include <stdlib.h>

// Between looks at what is due while a question is under way or waits.
#define TICK_MS 100

struct names {
    struct loop *loop;
    struct dns *dns;
    struct resolver *resolver;
    struct loop_timer *tick;
    bool is_ticking;
};

static int
ask_dns(void *arg, const char *name, void *token)
{
    struct names *names = arg;

    return dns_ask(names->dns, name, token);
}

static const char *
describe_dns(void *arg, char *text, size_t room)
{
    const struct names *names = arg;

    return dns_servers(names->dns, text, room);
}

static void
on_answer(void *arg, void *token, const struct dns_answer *answer)
{
    struct names *names = arg;

    resolver_on_answer(names->resolver, token, answer,
                       loop_now_ms(names->loop));
}

// names_turn() follows before the loop sleeps.
static void
on_tick(void *arg)
{
    struct names *names = arg;

    dns_tick(names->dns);
}

int
names_new(struct loop *loop, const struct fetcher_config *config,
          struct resolver_stats *stats, struct names **out_names)
{
    struct names *names = calloc(1, sizeof(*names));
    const struct resolver_source source = {
        .arg = names, .ask = ask_dns, .describe = describe_dns};
    const struct resolver_config limits = {.outage_ms_max =
                                               (uint64_t)config->dns_outage_ms};
    int err;

    if (!names)
        return -ENOMEM;
    names->loop = loop;
    err = dns_new(loop, config->dns_servers, (uint64_t)config->dns_timeout_ms,
                  on_answer, names, &names->dns);
    if (!err)
        err = resolver_new(&limits, &source, stats, &names->resolver);
    if (!err)
        err = loop_timer_new(loop, on_tick, names, &names->tick);
    if (err)
        goto out;

    *out_names = names;
    names = NULL;
out:
    names_free(&names);
    return err;
}

void
names_free(struct names **names)
{
    if (!*names)
        return;
    loop_timer_free(&(*names)->tick);
    dns_free(&(*names)->dns); // no answers come any more
    resolver_free(&(*names)->resolver);
    free(*names);
    *names = NULL;
}

int
names_ask(struct names *names, struct resolver_wait *wait, const char *name)
{
    int err =
        resolver_ask(names->resolver, wait, name, loop_now_ms(names->loop));

    // This turn's names_turn() is over when a request ends for want of
    // addresses, and nothing else may happen for seconds.
    if (!err)
        loop_again(names->loop);
    return err;
}

void
names_cancel(struct names *names, struct resolver_wait *wait)
{
    resolver_cancel(names->resolver, wait);
}

bool
names_are_out(const struct names *names)
{
    return resolver_is_out(names->resolver);
}

void
names_turn(struct names *names)
{
    bool is_busy;

    resolver_turn(names->resolver, loop_now_ms(names->loop));
    is_busy = resolver_is_busy(names->resolver);
    if (is_busy && !names->is_ticking)
        loop_timer_start(names->tick, TICK_MS, TICK_MS);
    else if (!is_busy && names->is_ticking)
        loop_timer_stop(names->tick);
    names->is_ticking = is_busy;
    if (resolver_is_due(names->resolver))
        loop_again(names->loop);
}
