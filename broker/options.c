#include "broker/broker.h"
#include "broker/group_key.h"
#include "common/conf.h"
#include "common/http.h"

#define AT(field) offsetof(struct broker_config, field)
#define MIB (INT64_C(1024) * 1024)
#define KEEP_MAX_MS (INT64_C(36500) * 24 * 60 * 60 * 1000) // a century

const struct conf_option broker_schedule_options[] = {
    {"parallel-max-host", 0, CONF_INT, AT(parallel_max_host), "8", 1, 65535,
     "N", "Transfers at once from one origin, of all fetchers together."},
    {"rate", 0, CONF_RATE, AT(rate), "0", 0, CONF_RATE_MAX, "N/UNIT",
     "Transfers begun at one origin, of all fetchers together: 2/s, 30/m or "
     "100/h (0: any number)."},
    {"group-by", 0, CONF_CHOICE, AT(group_by), "origin", 0, 0, GROUP_BY,
     "For whom the two limits above count: each origin, all origins of a host, "
     "all hosts of a registrable domain, or all that answered from an "
     "address."},
    {"give-up-host", 0, CONF_SECONDS, AT(give_up_ms), "60", 0,
     7 * 24 * 3600 * 1000, "SECONDS",
     "Fails the URLs of a host that nobody could connect to for so long (0: "
     "never)."},
    {"buffer-memory", 0, CONF_SIZE, AT(buffer_memory), "256M", 8 * MIB,
     1024 * 1024 * MIB, "SIZE",
     "Bytes of bodies that may be between fetchers and hashers."},
    {0},
};

const struct conf_option broker_options[] = {
    {"client-bind", 0, CONF_STRING, AT(client_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where clients connect (port 5550 unless given)."},
    {"fetcher-bind", 0, CONF_STRING, AT(fetcher_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where fetchers connect (port 5551 unless given)."},
    {"hasher-bind", 0, CONF_STRING, AT(hasher_bind), "tcp://127.0.0.1", 0, 0,
     "ENDPOINT", "Where hashers connect (port 5552 unless given)."},
    {"key-file", 0, CONF_STRING, AT(key_file), NULL, 0, 0, "FILE",
     "The broker's secret key, as urlsum keygen makes it: whoever connects "
     "must "
     "then show a key of --authorized, and everything is encrypted."},
    {"authorized", 0, CONF_STRING, AT(authorized), NULL, 0, 0, "DIR",
     "Whose keys may connect: public keys DIR/client/*.pub, DIR/fetcher/*.pub, "
     "DIR/hasher/*.pub; read again on SIGHUP and when they change."},
    {"insecure", 0, CONF_BOOL, AT(is_insecure), NULL, 0, 0, NULL,
     "Without keys, listen beyond this machine all the same: whoever reaches a "
     "port may use the broker."},
    {"store", 0, CONF_STRING, AT(store), NULL, 0, 0, "FILE",
     "The durable queue and results; made when missing. Without it: "
     "$XDG_STATE_HOME/urlsum/broker.db, or below ~/.local/state."},
    {"keep", 0, CONF_DAYS, AT(keep_ms), "0", 0, KEEP_MAX_MS, "DAYS",
     "Removes batches, with their results, so long after they finished (0: "
     "never)."},
    {"ttl", 0, CONF_SECONDS, AT(ttl_ms), "8", 200, 3600000, "SECONDS",
     "Silence after which a worker is lost and its jobs go to others."},
    {"grace", 0, CONF_SECONDS, AT(grace_ms), "25", 0, 3600000, "SECONDS",
     "How long SIGTERM lets transfers finish before they are handed back."},
    HTTP_OPTION(AT(http)),
    {0},
};

static const struct conf_table tables[] = {
    {broker_options, 0},
    {broker_schedule_options, 0},
    {log_options, offsetof(struct broker_config, log)},
    {NULL, 0},
};

const struct conf_program broker_program = {
    .name = "urlsum-broker",
    .doc = "The broker of urlsum: owns the durable queue, hands URLs to "
           "fetchers, bodies to hashers, and keeps the results.\v"
           "SIGTERM lets running transfers finish (--grace); a second one "
           "leaves at once. Killed at any moment, the broker goes on where it "
           "was when it is started again on the same --store.\n\n"
           "Exit codes: 0 stopped as it was told to; 2 usage, or a setting "
           "that cannot be; 3 the store could not be opened, an endpoint not "
           "be bound, or the last records not be stored (their URLs are "
           "fetched again).",
    .tables = tables,
};
