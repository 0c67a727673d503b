// group_key.h - for whose limit an origin counts: --group-by
//
// origin: for its own. host: all origins of one host name do. domain: all hosts
// of one registrable domain, by the Public Suffix List. ip: all origins that
// answered from one address. The broker looks no name up: until a first answer
// tells, an origin counts by its host, and then for as long as it is remembered
// by the address of that answer. One thread's.
#ifndef BROKER_GROUP_KEY_H
#define BROKER_GROUP_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group_keys;

// The words of --group-by.
#define GROUP_BY "origin|host|domain|ip"

// Origins whose address is remembered, the last to be learnt: about 100 bytes
// each. Of the others the first answer tells it anew.
#define GROUP_ADDRESSES_MAX 65536

// by: a word of GROUP_BY. Returns 0, -ENOMEM, or -EINVAL for another word.
int group_keys_new(const char *by, struct group_keys **out_keys);
void group_keys_free(struct group_keys **keys);

// The key of an origin's group. number and text are origin_parse()'s.
uint64_t group_key(const struct group_keys *keys, uint64_t number,
                   const char *text);

// An origin answered from this address, "192.0.2.1:80" or "[2001:db8::1]:80".
// Returns true when that changed its key.
bool group_keys_learn(struct group_keys *keys, uint64_t number,
                      const char *remote, size_t len);

#endif
