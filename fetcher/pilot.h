// pilot.h - to an origin one request goes ahead, and others wait for it
//
// Whether requests to an https origin can share a connection is not known until
// there is one. So the first request, the pilot, goes ahead, and those that
// come meanwhile wait until it has a connection or has failed; then all of them
// go. They wait for one request only, and that has limits of its own: for its
// host's addresses and for connecting. libcurl's own line for this
// (CURLOPT_PIPEWAIT) is one for all origins of a multi: those whose origin is
// silent keep the others back, they try one after another, and no limit of time
// counts for them. Loop thread only.
#ifndef FETCHER_PILOT_H
#define FETCHER_PILOT_H
#include <stdbool.h>
#include <stdint.h>

struct pilot_line;
struct pilot_member;

// One that waited may go: is_shared says that it will find a connection which
// it can share. May be called within libcurl's callbacks.
typedef void pilot_go_fn(struct pilot_member *member, bool is_shared);

struct pilots {
    pilot_go_fn *go;
    struct pilot_line *lines;
};

enum pilot_state {
    PILOT_OUT,
    PILOT_AHEAD,
    PILOT_WAITS,
};

// Embedded in a transfer; all zeroes at first.
struct pilot_member {
    enum pilot_state state;
    struct pilot_line *line;
    struct pilot_member *prev, *next;
};

// Members must have left.
void pilots_fini(struct pilots *pilots);

// A request to this origin is about to be made on connections of this owner.
// Returns whether it waits for go(); if not, it goes ahead, or there is no
// memory to wait. The member must be out.
bool pilot_join(struct pilots *pilots, struct pilot_member *member,
                uint64_t origin, const void *owner);

// The member has a connection. Fine for one that is no pilot.
void pilot_arrive(struct pilots *pilots, struct pilot_member *member,
                  bool is_shared);

// The request is over, or dropped: nobody waits for it any more. Fine for any.
void pilot_leave(struct pilots *pilots, struct pilot_member *member);

// The pilot that it waits for; itself if it waits for none.
const struct pilot_member *pilot_of(const struct pilot_member *member);

#endif
