// refusals.h - connections that were refused, for whoever watches: counted by
// role and reason, and said in the log with the peer's address
//
// Loop thread only.
#ifndef BROKER_REFUSALS_H
#define BROKER_REFUSALS_H
#include <stdint.h>

// Whose endpoint it is. Also the names of directories and of ZAP's domains.
enum access_role { ACCESS_CLIENT, ACCESS_FETCHER, ACCESS_HASHER, ACCESS_ROLES };

// "client", "fetcher", "hasher".
const char *access_role_name(enum access_role role);

enum refusal {
    REFUSAL_UNKNOWN_KEY, // in no list
    REFUSAL_WRONG_ROLE,  // in the list of another role only
    REFUSAL_NO_KEY,      // it left, or was let go, before it had shown one
    REFUSAL_WRONG_PROOF, // it wants a broker with another key
    REFUSAL_REMOVED_KEY, // let in once; the key is in the list no more
    REFUSALS
};

// "unknown_key" and so on: what stands in log lines.
const char *refusal_name(enum refusal refusal);

struct refusals {
    uint64_t counts[ACCESS_ROLES][REFUSALS]; // since the start
};

// Counts one, and logs peer.refused (rationed, for strangers cause it).
// address: of the peer, and the key that it showed: printable or not. name:
// whose key it is elsewhere, fit for the log. NULL: none.
void refusals_note(struct refusals *refusals, enum access_role role,
                   enum refusal refusal, const char *address, const char *key,
                   const char *name);

#endif
