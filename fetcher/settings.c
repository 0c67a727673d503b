#include "fetcher/settings.h"

#include "common/endpoint.h"
#include "common/http.h"
#include "common/limits.h"
#include "fetcher/address_policy.h"
#include "fetcher/dns.h"
#include "fetcher/fetcher.h"
#include "fetcher/multis.h"
#include "fetcher/profile.h"
#include "proto/profile.h"
#include "proto/wire.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// Descriptors of this process that are not connections, nor for --http, nor for
// more multis than one.
#define FDS_OTHER 64

static int
check_files(const struct fetcher_config *config, struct settings *settings)
{
    size_t transfers = (size_t)config->parallel_max;
    rlim_t need = transfers + FDS_OTHER +
                  (multis_len_for(transfers) - 1) * MULTI_FILES +
                  (config->http ? HTTP_FILES_MAX : 0);
    rlim_t spare;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // looked at below
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = need;
    if (limit.rlim_cur < need) {
        warnx("--parallel-max %" PRId64 " needs %ju open files, but "
              "the limit is %ju: raise it (ulimit -Hn) or lower "
              "--parallel-max",
              config->parallel_max, (uintmax_t)need, (uintmax_t)limit.rlim_cur);
        return 2;
    }
    if (config->cacert && access(config->cacert, R_OK) != 0) {
        warnx("--cacert %s: %s", config->cacert, strerror(errno));
        return 2;
    }
    // Idle connections as many as busy ones, as far as descriptors go.
    spare = limit.rlim_cur - need;
    if (spare > (rlim_t)config->parallel_max)
        spare = (rlim_t)config->parallel_max;
    settings->connections_max = (long)config->parallel_max + (long)spare;
    // What is left beyond those is for profiles, each of which has its own.
    spare = (limit.rlim_cur - need - spare) / (WIRE_PROFILES_MAX + 1);
    if (spare > (rlim_t)config->parallel_max)
        spare = (rlim_t)config->parallel_max;
    settings->apart_connections_max = spare ? (long)spare : 1;
    return 0;
}

// The environment's proxies, as libcurl reads them: the first that is set, of
// those up to NULL. It takes no HTTP_PROXY, which a web server would set from a
// header.
static const char *const http_names[] = {"http_proxy", "all_proxy", "ALL_PROXY",
                                         NULL};
static const char *const https_names[] = {"https_proxy", "HTTPS_PROXY",
                                          "all_proxy", "ALL_PROXY", NULL};

// The name of the first that is set, or NULL.
static const char *
find_proxy(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);

        if (value && *value)
            return *names;
    }
    return NULL;
}

// For each URL libcurl would quote one that it cannot take, with its password.
static int
check_proxy_url(const char *name)
{
    const char *proxy = name ? getenv(name) : NULL;
    const char *why = NULL;

    if (proxy)
        why =
            profile_proxy_complaint((struct wire_bytes){proxy, strlen(proxy)});
    if (!why && proxy && !profile_is_proxy(proxy))
        why = "not [http://][USER:PASSWORD@]HOST[:PORT]";
    if (!why)
        return 0;
    warnx("%s: %s", name, why);
    return 2;
}

static int
check_proxies(const struct fetcher_config *config, struct settings *settings)
{
    const char *http = find_proxy(http_names), *https = find_proxy(https_names);

    settings->takes_proxies =
        config->allows_any_address || config->proxy_enforces_policy;
    settings->has_http_proxy = http != NULL;
    settings->has_https_proxy = https != NULL;
    if (!settings->takes_proxies && (http || https)) {
        warnx("%s is set: where a proxy connects, private addresses "
              "cannot be refused here; unset it, or say "
              "--proxy-enforces-policy if the proxy refuses them",
              http ? http : https);
        return 2;
    }
    // An embedded run uses them as curl does, no_proxy included.
    if (config->proxy_enforces_policy && !config->allows_any_address) {
        settings->is_http_proxied = http != NULL;
        settings->is_https_proxied = https != NULL;
    }
    return check_proxy_url(http) ? 2 : check_proxy_url(https);
}

static int
read_policy(const struct fetcher_config *config, struct settings *settings)
{
    const char *bad = "", *why = "";
    int err;

    if (config->allows_any_address)
        return 0;
    err = address_policy_new(&config->allow_net, &settings->policy, &bad, &why);
    if (!err)
        return 0;
    if (err != -EINVAL) {
        warnx("%s", strerror(-err));
        return 1;
    }
    warnx("--allow-net %s: %s", bad, why);
    return 2;
}

int
settings_read(const struct fetcher_config *config,
              struct settings *out_settings)
{
    struct settings settings = {0};
    int code;

    if (endpoint_resolve(config->broker, PORT_FETCHER, settings.endpoint) !=
        0) {
        warnx("--broker %s: " ENDPOINT_FORMS, config->broker);
        return 2;
    }
    if (config->name && !wire_name_is_valid((struct wire_bytes){
                            config->name, strlen(config->name)})) {
        warnx("--name: 1 to %d printable characters", WIRE_NAME_MAX);
        return 2;
    }
    if (config->http && !http_is_address(config->http)) {
        warnx("--http %s: not ADDRESS:PORT", config->http);
        return 2;
    }
    if (redirect_rule_parse(config->proto_redir, &settings.redirect_rule) !=
        0) {
        warnx("--proto-redir %s: say \"https\" or \"http,https\"",
              config->proto_redir);
        return 2;
    }
    if (config->dns_servers && !dns_servers_are_valid(config->dns_servers)) {
        warnx("--dns-servers %s: not ADDRESS[:PORT],... "
              "(192.0.2.53,[2001:db8::53]:5353)",
              config->dns_servers);
        return 2;
    }
    code = check_proxies(config, &settings);
    if (!code)
        code = check_files(config, &settings);
    if (!code)
        code = read_policy(config, &settings);
    if (!code)
        *out_settings = settings;
    return code;
}

void
settings_fini(struct settings *settings)
{
    address_policy_free(&settings->policy);
}
