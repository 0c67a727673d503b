#include "fetcher/settings.h"

#include "common/http.h"
#include "fetcher/fetcher.h"
#include "fetcher/redirect.h"
#include "proto/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// Descriptors of this process that are not connections.
#define FDS_OTHER 64

static int
check_files(const struct fetcher_config *config, long *out_connections_max)
{
    rlim_t need = (rlim_t)config->parallel_max + FDS_OTHER;
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
        fprintf(stderr,
                "urlsum: --parallel-max %" PRId64 " needs %ju open files, but "
                "the limit is %ju: raise it (ulimit -Hn) or lower "
                "--parallel-max\n",
                config->parallel_max, (uintmax_t)need,
                (uintmax_t)limit.rlim_cur);
        return 2;
    }
    if (config->cacert && access(config->cacert, R_OK) != 0) {
        fprintf(stderr, "urlsum: --cacert %s: %s\n", config->cacert,
                strerror(errno));
        return 2;
    }
    // Idle connections as many as busy ones, as far as descriptors go.
    spare = limit.rlim_cur - need;
    if (spare > (rlim_t)config->parallel_max)
        spare = (rlim_t)config->parallel_max;
    *out_connections_max = (long)config->parallel_max + (long)spare;
    return 0;
}

int
settings_check(const struct fetcher_config *config,
               char out_endpoint[ENDPOINT_MAX], long *out_connections_max)
{
    enum redirect_rule rule;

    if (endpoint_resolve(config->broker, PORT_FETCHER, out_endpoint) != 0) {
        fprintf(stderr, "urlsum: --broker %s: not an endpoint\n",
                config->broker);
        return 2;
    }
    if (config->name && !wire_name_is_valid((struct wire_bytes){
                            config->name, strlen(config->name)})) {
        fprintf(stderr, "urlsum: --name: 1 to %d printable characters\n",
                WIRE_NAME_MAX);
        return 2;
    }
    if (config->http && !http_is_address(config->http)) {
        fprintf(stderr, "urlsum: --http %s: not ADDRESS:PORT\n", config->http);
        return 2;
    }
    if (redirect_rule_parse(config->proto_redir, &rule) != 0) {
        fprintf(stderr,
                "urlsum: --proto-redir %s: say \"https\" or \"http,https\"\n",
                config->proto_redir);
        return 2;
    }
    return check_files(config, out_connections_max);
}
