#include "fetcher/multis.h"

size_t
multis_len_for(size_t transfers)
{
    size_t len = 1 + (transfers - 1) / MULTI_TRANSFERS;

    return len < MULTIS_MAX ? len : MULTIS_MAX;
}

void
multis_init(struct multis *multis, const struct multis_config *config)
{
    *multis = (struct multis){.config = *config};
}

void
multis_fini(struct multis *multis)
{
    for (size_t i = 0; i < multis->config.len; i++)
        multi_free(&multis->items[i]);
}

struct multi *
multis_get(struct multis *multis, uint64_t origin)
{
    const struct multis_config *config = &multis->config;
    struct multi **multi = &multis->items[origin % config->len];

    if (!*multi) // stays NULL without memory
        (void)multi_new(config->loop, config->sockets, config->kept_each,
                        config->done, config->arg, multi);
    return *multi;
}

void
multis_turn(struct multis *multis)
{
    for (size_t i = 0; i < multis->config.len; i++) {
        if (multis->items[i])
            multi_turn(multis->items[i]);
    }
}

bool
multis_are_due(const struct multis *multis)
{
    for (size_t i = 0; i < multis->config.len; i++) {
        if (multis->items[i] && multi_is_due(multis->items[i]))
            return true;
    }
    return false;
}
