// convoy.h - requests that may share a connection, and so wait together
//
// Streams of HTTP/2 share a socket. libcurl can pause one of them, but goes on
// reading the socket for the others; what comes for the paused one it keeps in
// memory, up to 32 MiB, and copies at each attempt to go on. So while one
// stream waits for credit the others of its convoy are held as well: nobody
// reads the socket, the kernel's window fills, and the origin waits. A convoy
// is all requests to one https origin that are sent and not over; one of
// HTTP/1.1, which has its socket to itself, neither holds others nor is held
// once that is known. Loop thread only.
#ifndef FETCHER_CONVOY_H
#define FETCHER_CONVOY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct convoy;
struct convoy_member;

// Pauses a member that is held: it waits for no credit of its own. Returns
// whether it could be; if not, it has no connection now.
typedef bool convoy_hold_fn(struct convoy_member *member);

struct convoys {
    convoy_hold_fn *hold;
    struct convoy *by_origin;
    struct convoy *ready; // have held members and nobody who waits
    bool has_late;        // somebody came into one where somebody waits
};

enum convoy_state {
    CONVOY_OUT,
    CONVOY_RUNS,
    CONVOY_WAITS, // for credit or its rate: the reason why others are held
    CONVOY_HELD,
};

// Embedded in a transfer; all zeroes at first.
struct convoy_member {
    struct convoy *convoy;
    enum convoy_state state;
    bool is_alone;      // has its connection to itself for sure
    bool met_others;    // when it came
    uint64_t joined_as; // the how manieth of its convoy
    struct convoy_member *prev, *next;
};

// Members must have left.
void convoys_fini(struct convoys *convoys);

// A request to this origin is about to be sent. One that is in a convoy leaves
// it first. Returns 0 or -ENOMEM.
int convoy_join(struct convoys *convoys, struct convoy_member *member,
                uint64_t origin);

// The request is over. Fine for one that is in no convoy.
void convoy_leave(struct convoys *convoys, struct convoy_member *member);

// Whether others were in the convoy at some time since the member came.
bool convoy_is_shared(const struct convoy_member *member);

// Has run out of credit, or of --limit-rate: the others of its convoy are held.
// The member pauses itself.
void convoy_wait(struct convoys *convoys, struct convoy_member *member);

// There is credit for one that waits, or it is held and has come from
// convoys_next(): call it before the member is resumed.
void convoy_go_on(struct convoys *convoys, struct convoy_member *member);

// A member that is held and may go on, since nobody in its convoy waits any
// more; NULL: there is none.
struct convoy_member *convoys_next(struct convoys *convoys);

// Holds those who came meanwhile: once a turn.
void convoys_turn(struct convoys *convoys);

#endif
