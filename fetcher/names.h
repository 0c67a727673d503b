// names.h - the fetcher's resolver on its loop: resolver.h wired to dns.h
//
// Loop thread only.
#ifndef FETCHER_NAMES_H
#define FETCHER_NAMES_H
#include "fetcher/resolver.h"

struct fetcher_config;
struct loop;
struct names;

// --dns-servers and so on of config. Returns 0 or a negative errno. The caller
// owns *out_names; loop and stats outlive it.
int names_new(struct loop *loop, const struct fetcher_config *config,
              struct resolver_stats *stats, struct names **out_names);
// Nobody may wait any more.
void names_free(struct names **names);

// As resolver_ask() and resolver_cancel().
int names_ask(struct names *names, struct resolver_wait *wait,
              const char *name);
void names_cancel(struct names *names, struct resolver_wait *wait);

// At the end of each turn: those who waited for an answer that has come are
// told from here.
void names_turn(struct names *names);

// True during an outage: nobody tells any name.
bool names_are_out(const struct names *names);

#endif
