// cmd_health.c - `urlsum health`: asks a daemon how it is, for probes
#include "client/commands.h"
#include "client/say.h"
#include "common/conf.h"
#include "common/endpoint.h"
#include "common/limits.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

// Bytes of an answer that are shown; ours are below 300.
#define ANSWER_MAX 4096

struct health {
    const char *http;
    bool is_live;
    int64_t timeout_ms;
    char answer[ANSWER_MAX];
    size_t answer_len;
};

static const struct conf_option health_options[] = {
    {.name = "http",
     .type = CONF_STRING,
     .offset = offsetof(struct health, http),
     .arg = "ADDRESS:PORT",
     .help = "Ask there (the daemon's --http) unless ADDRESS:PORT is given"},
    {.name = "live",
     .type = CONF_BOOL,
     .offset = offsetof(struct health, is_live),
     .help = "Ask whether the program hangs (/livez), not whether it does its "
             "work (/readyz)"},
    {.name = "timeout",
     .type = CONF_SECONDS,
     .offset = offsetof(struct health, timeout_ms),
     .initial = "5",
     .lowest = 1,
     .highest = 86400000,
     .arg = "SECONDS",
     .help = "Give up when there is no answer for so long"},
    {.name = NULL},
};

static const struct conf_table tables[] = {{health_options, 0}, {NULL, 0}};

const struct conf_program cmd_health_program = {
    .name = "urlsum health",
    .usage = "[ADDRESS:PORT]",
    .doc = "Ask a broker, fetcher or hasher that runs with --http whether it "
           "is ready, and print its answer: for probes of containers and "
           "services."
           "\v"
           "Without ADDRESS:PORT the variable URLSUM_HTTP says where, which "
           "the daemon reads too. No proxy is asked.\n\n"
           "Exit codes: 0 it is; 1 it is not, and its answer says why; 2 "
           "usage; 3 no answer.",
    .tables = tables,
    .takes_arguments = true,
};

static size_t
on_answer(char *data, size_t size, size_t len, void *arg)
{
    struct health *health = arg;
    size_t room = sizeof(health->answer) - health->answer_len;
    size_t part = len < room ? len : room;

    (void)size; // always 1
    memcpy(health->answer + health->answer_len, data, part);
    health->answer_len += part;
    return len;
}

// Returns the answer's status; 0: none came, which was said.
static long
ask(struct health *health, const char *host, const char *port)
{
    bool is_v6 = strchr(host, ':') != NULL;
    char url[ENDPOINT_MAX + 32], error[CURL_ERROR_SIZE] = "";
    CURL *easy = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;

    (void)snprintf(url, sizeof(url), "http://%s%s%s:%s/%s", is_v6 ? "[" : "",
                   host, is_v6 ? "]" : "", port,
                   health->is_live ? "livez" : "readyz");
    if (easy && !(code = curl_easy_setopt(easy, CURLOPT_URL, url)) &&
        !(code = curl_easy_setopt(easy, CURLOPT_PROXY, ""))) {
        (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                               (long)health->timeout_ms);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, health);
        code = curl_easy_perform(easy);
    }
    if (code)
        say("no answer from %s port %s: %s", host, port,
            error[0] ? error : curl_easy_strerror(code));
    else
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status;
}

static int
run(struct health *health, const char *address)
{
    char host[ENDPOINT_MAX], port[6];
    long status;

    if (!address) {
        say("whose health? Name ADDRESS:PORT, or set URLSUM_HTTP");
        return EXIT_USAGE;
    }
    if (endpoint_split(address, PORT_HTTP, host, port) != 0) {
        say("'%s' is not ADDRESS:PORT", address);
        return EXIT_USAGE;
    }
    status = ask(health, host, port);
    if (!status)
        return EXIT_INCOMPLETE;
    // 200 and 503 are what we answer; anything else is not one of ours.
    if (status != 200 && status != 503) {
        say("%s port %s answers %ld: no urlsum program", host, port, status);
        return EXIT_INCOMPLETE;
    }
    (void)fwrite(health->answer, 1, health->answer_len, stdout);
    (void)fflush(stdout); // who does not read looks at the exit code
    return status == 200 ? EXIT_GOOD : EXIT_FAILED_URL;
}

int
cmd_health(int argc, char **argv)
{
    struct health health = {0};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_health_program, argc, argv, &health, &first);
    if (argc - first > 1) {
        say("health takes one ADDRESS:PORT");
        exit_code = EXIT_USAGE;
    } else {
        exit_code = run(&health, first < argc ? argv[first] : health.http);
    }
    conf_fini(&cmd_health_program, &health);
    return exit_code;
}
