#include "common/conf.h"
#include "common/http.h"
#include "common/limits.h"
#include "fetcher/fetcher.h"

#define DAY_MS (24 * 3600 * 1000)
#define AT(field) offsetof(struct fetcher_config, field)

// A fleet waits for a night's outage; a person or a script is told sooner.
#define DNS_OUTAGE(initial)                                                    \
    {                                                                          \
        "dns-outage", 0, CONF_SECONDS, AT(dns_outage_ms), initial, 0,          \
            30 * (int64_t)DAY_MS, "SECONDS",                                   \
            "While no DNS server can tell any name URLs wait, for so long; "   \
            "then they fail. 0 waits for ever."                                \
    }

const struct conf_option fetcher_transfer_options[] = {
    {"parallel-max", 0, CONF_INT, AT(parallel_max), "256", 1, WIRE_CAPACITY_MAX,
     "N", "How many transfers run at once."},
    {"cacert", 0, CONF_STRING, AT(cacert), NULL, 0, 0, "FILE",
     "Trust the CA certificates of this PEM file instead of the system's."},
    {"dns-servers", 0, CONF_STRING, AT(dns_servers), NULL, 0, 0,
     "ADDRESS[:PORT],...",
     "Ask these DNS servers, in turn, instead of those of /etc/resolv.conf."},
    {"dns-timeout", 0, CONF_SECONDS, AT(dns_timeout_ms), "3", 100, 60000,
     "SECONDS",
     "How long to wait for a DNS server's answer before another one is asked; "
     "twice as long the second time."},
    {"connect-timeout", 0, CONF_SECONDS, AT(connect_timeout_ms), "10", 1,
     DAY_MS, "SECONDS",
     "Give a connection up that is not made within this time."},
    {"max-redirs", 0, CONF_INT, AT(max_redirs), "10", 0, 1000, "N",
     "Follow at most so many redirects of a URL."},
    {"proto-redir", 0, CONF_STRING, AT(proto_redir), NULL, 0, 0, "PROTOCOLS",
     "Where redirects may lead: \"http,https\" anywhere, \"https\" only there; "
     "if not given, anywhere but from https to http."},
    {"speed-limit", 'Y', CONF_SIZE, AT(speed_limit), "1", 0, INT64_C(1) << 40,
     "BYTES",
     "Give a transfer up that is slower than so many bytes a second for "
     "--speed-time; 0 never does."},
    {"speed-time", 'y', CONF_SECONDS, AT(speed_time_ms), "30", 0, DAY_MS,
     "SECONDS", "For how long a transfer may be slower than --speed-limit."},
    {"max-time", 'm', CONF_SECONDS, AT(max_time_ms), "0", 0, INT64_C(1) << 40,
     "SECONDS",
     "Give a transfer up that takes longer, however fast it is; 0 never does."},
    {"max-filesize", 0, CONF_SIZE, AT(max_filesize), "0", 0, INT64_C(1) << 62,
     "BYTES", "Fail a URL whose body is larger; 0 takes any size."},
    {"limit-rate", 0, CONF_SIZE, AT(limit_rate), "0", 0, INT64_C(1) << 40,
     "BYTES",
     "Take at most so many bytes of bodies a second, all transfers together; 0 "
     "sets no limit."},
    {"no-resume", 0, CONF_BOOL, AT(no_resume), NULL, 0, 0, NULL,
     "Do not go on with a body whose connection broke: fetch it from its "
     "start, as another try."},
    {"user-agent", 'A', CONF_STRING, AT(user_agent), "urlsum/" URLSUM_VERSION,
     0, 0, "NAME", "What the User-Agent header says."},
    {0},
};

const struct conf_option fetcher_embedded_options[] = {
    DNS_OUTAGE("300"),
    {0},
};

const struct conf_option fetcher_options[] = {
    DNS_OUTAGE("86400"),
    {"broker", 0, CONF_STRING, AT(broker), "tcp://127.0.0.1", 0, 0, "ENDPOINT",
     "The broker to work for: tcp://HOST[:PORT], ipc://PATH."},
    {"name", 0, CONF_STRING, AT(name), NULL, 0, 0, "NAME",
     "What the broker calls this fetcher; the host's name and the process "
     "number if not given."},
    {"allow-net", 0, CONF_LIST, AT(allow_net), NULL, 0, 0, "CIDR",
     "Also connect to this network (10.0.0.0/8, fd00::/8) or address, which "
     "would be refused; may be given again. A cloud's metadata address must be "
     "named by itself."},
    {"proxy-enforces-policy", 0, CONF_BOOL, AT(proxy_enforces_policy), NULL, 0,
     0, NULL,
     "Use the proxy of the environment for all URLs: it keeps fetches out of "
     "private networks itself. Also take proxies that batches name, at "
     "addresses that --allow-net or the internet has."},
    {"grace", 0, CONF_SECONDS, AT(grace_ms), "25", 0, DAY_MS, "SECONDS",
     "How long a stop waits for transfers in hand."},
    HTTP_OPTION(AT(http)),
    {0},
};

static const struct conf_table tables[] = {
    {fetcher_options, 0},
    {curve_options, AT(keys)},
    {fetcher_transfer_options, 0},
    {log_options, offsetof(struct fetcher_config, log)},
    {NULL, 0},
};

const struct conf_program fetcher_program = {
    .name = "urlsum-fetcher",
    .doc = "Downloads URLs for a broker and streams their bodies to it."
           "\v"
           "It waits for a broker that is not there. SIGTERM lets transfers in "
           "hand finish (--grace) and hands the others back; a second one "
           "leaves at once.\n\n"
           "Exit codes: 0 stopped as it was told to; 1 something it cannot do "
           "without failed; 2 usage, or a setting that cannot be; 3 no "
           "ZeroMQ.",
    .tables = tables,
};
