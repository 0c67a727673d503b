#include "broker/refusals.h"

#include "common/key.h"
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
              enum refusal refusal, const char *address, const char *key,
              const char *name)
{
    char shown[128], shown_key[KEY_CHARS * 4 + 3];

    refusals->counts[role][refusal]++;
    log_outside(LOG_WARN, "peer.refused",
                "role=%s address=%s reason=%s key=%s name=%s",
                access_role_name(role),
                log_escape(address, strlen(address), shown, sizeof(shown)),
                refusal_name(refusal),
                log_escape(key ? key : "", key ? strlen(key) : 0, shown_key,
                           sizeof(shown_key)),
                name ? name : "\"\"");
}
