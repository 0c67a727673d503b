#include "broker/refusals.h"

#include "common/log.h"

#include <string.h>

const char *
access_role_name(enum access_role role)
{
    static const char *const names[ACCESS_ROLES] = {
        [ACCESS_CLIENT] = "client",
        [ACCESS_FETCHER] = "fetcher",
        [ACCESS_HASHER] = "hasher",
    };

    return names[role];
}

const char *
refusal_name(enum refusal refusal)
{
    static const char *const names[REFUSALS] = {
        [REFUSAL_UNKNOWN_KEY] = "unknown_key",
        [REFUSAL_WRONG_ROLE] = "wrong_role",
        [REFUSAL_NO_KEY] = "no_key",
        [REFUSAL_WRONG_PROOF] = "wrong_broker_key",
        [REFUSAL_REMOVED_KEY] = "removed_key",
    };

    return names[refusal];
}

void
refusals_note(struct refusals *refusals, enum access_role role,
              enum refusal refusal, const char *address, const char *more)
{
    char shown[128];

    refusals->counts[role][refusal]++;
    log_outside(LOG_WARN, "peer.refused", "role=%s address=%s reason=%s %s",
                access_role_name(role),
                log_escape(address, strlen(address), shown, sizeof(shown)),
                refusal_name(refusal), more);
}
