#include "client/commands.h"
#include "client/json.h"
#include "client/output.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PAGE 500
#define SHOWN_BYTES_MAX 300

struct hosts {
    bool is_json;
    int64_t max;
    struct connection_options connection;
    struct session session;
    struct output output;
};

static const struct conf_option hosts_options[] = {
    {.name = "json",
     .type = CONF_BOOL,
     .offset = offsetof(struct hosts, is_json),
     .help = "One JSON object a host and line"},
    {.name = "max",
     .short_flag = 'n',
     .type = CONF_INT,
     .offset = offsetof(struct hosts, max),
     .initial = "100",
     .lowest = 1,
     .highest = INT64_C(1) << 40,
     .arg = "N",
     .help = "At most N hosts"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {hosts_options, 0},
    {connection_options, offsetof(struct hosts, connection)},
    {curve_options, offsetof(struct hosts, connection.keys)},
    {NULL, 0},
};

const struct conf_program cmd_hosts_program = {
    .name = "urlsum hosts",
    .usage = "[BATCH]",
    .doc = "List the hosts that the broker has work for, or that are closed: "
           "how each is treated, and why."
           "\v"
           "Those that are closed (429, 503), given up or parked (nobody could "
           "connect) come first, then those whose limit is reached, then the "
           "others. WAITING URLs are in the broker's memory; a '+' says that "
           "there are more in its store. OK and FAILED are transfers since the "
           "broker has the host in memory, LOST s the seconds that the latter "
           "took of a slot, all together. With a BATCH, which must not be "
           "finished, only its hosts and what waits of it.\n\n"
           "Exit codes: 0; 2 usage, or no such batch; 3 no broker.",
    .tables = tables,
    .takes_arguments = true,
};

static void
put_json(const Urlsum__V1__Host *host, struct text *out)
{
    struct json json = {out, false};

    json_open_object(&json, NULL);
    json_puts(&json, "origin", host->origin);
    json_puts(&json, "state", host->state);
    if (host->why[0])
        json_puts(&json, "why", host->why);
    json_u64(&json, "running", host->running);
    json_u64(&json, "waiting", host->waiting);
    json_bool(&json, "more", host->more);
    json_u64(&json, "retrying", host->retrying);
    json_u64(&json, "ok", host->done);
    json_u64(&json, "failed", host->failed);
    json_u64(&json, "failed_ms", host->failed_ms);
    if (host->until_ms)
        json_u64(&json, "until_ms", host->until_ms);
    if (host->status)
        json_u64(&json, "status", host->status);
    json_u64(&json, "incidents", host->incidents);
    json_u64(&json, "failures", host->failures);
    if (host->last_error[0])
        json_puts(&json, "last_error", host->last_error);
    json_u64(&json, "group_origins", host->group_origins);
    json_u64(&json, "group_running", host->group_running);
    json_close_object(&json);
    text_putc(out, '\n');
}

static void
put_row(const Urlsum__V1__Host *host, struct text *out)
{
    text_printf(out,
                "%-8s  %7" PRIu64 "  %8" PRIu64 "%c  %8" PRIu64 "  %8" PRIu64
                "  %8" PRIu64 "  %8" PRIu64 "  ",
                host->state, host->running, host->waiting,
                host->more ? '+' : ' ', host->retrying, host->done,
                host->failed, (host->failed_ms + 999) / 1000);
    text_printable(out, host->origin, strlen(host->origin), SHOWN_BYTES_MAX);
    if (host->why[0]) {
        text_puts(out, "  ");
        text_printable(out, host->why, strlen(host->why), SHOWN_BYTES_MAX);
    }
    text_putc(out, '\n');
}

static int
put_page(struct hosts *hosts, const Urlsum__V1__Hosts *page, bool is_first)
{
    struct text *out = &hosts->output.text;

    if (is_first && !hosts->is_json) {
        text_printf(out,
                    "%" PRIu64 " hosts: %" PRIu64 " closed, %" PRIu64
                    " parked, %" PRIu64 " given up\n",
                    page->in_memory, page->closed, page->parked,
                    page->given_up);
        text_printf(out, "%-8s  %7s  %8s   %8s  %8s  %8s  %8s  %s\n", "STATE",
                    "RUNNING", "WAITING", "RETRYING", "OK", "FAILED", "LOST s",
                    "HOST");
    }
    for (size_t i = 0; i < page->n_hosts; i++) {
        if (hosts->is_json)
            put_json(page->hosts[i], out);
        else
            put_row(page->hosts[i], out);
    }
    return output_flush_if_large(&hosts->output);
}

static int
list_hosts(struct hosts *hosts, const char *batch)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetHosts get = URLSUM__V1__GET_HOSTS__INIT;
    const Urlsum__V1__Reply *reply = NULL;
    unsigned char cursor[64];
    uint64_t left = (uint64_t)hosts->max;
    bool is_first = true;
    int err;

    if (batch)
        get.batch = (char *)(uintptr_t)batch; // only packed
    request.what_case = URLSUM__V1__REQUEST__WHAT_HOSTS;
    request.hosts = &get;
    for (;;) {
        get.max = left < PAGE ? (uint32_t)left : PAGE;
        err = remote_call(hosts->session.remote, &request, &reply);
        if (err)
            return err;
        if (reply->what_case != URLSUM__V1__REPLY__WHAT_HOSTS ||
            reply->hosts->n_hosts > get.max ||
            reply->hosts->cursor.len > sizeof(cursor))
            return -EPROTO;
        if (put_page(hosts, reply->hosts, is_first))
            return 0; // told when the output is closed
        is_first = false;
        left -= reply->hosts->n_hosts;
        if (!left || !reply->hosts->cursor.len || !reply->hosts->n_hosts)
            return 0;
        memcpy(cursor, reply->hosts->cursor.data, reply->hosts->cursor.len);
        get.after = (ProtobufCBinaryData){reply->hosts->cursor.len, cursor};
    }
}

static int
run(struct hosts *hosts, const char *batch)
{
    int err = session_open(&hosts->session, &hosts->connection, NULL);

    if (err)
        return err;
    err = list_hosts(hosts, batch);
    return err ? session_fail(&hosts->session, err, batch) : 0;
}

int
cmd_hosts(int argc, char **argv)
{
    struct hosts hosts = {.session.signal_fd = -1};
    int first = argc;
    int exit_code;
    int err;

    conf_parse(&cmd_hosts_program, argc, argv, &hosts, &first);
    if (argc - first > 1 ||
        (first < argc && !options_is_batch_id(argv[first]))) {
        say("hosts takes one BATCH, or none for all hosts");
        return EXIT_USAGE;
    }
    (void)output_open(&hosts.output, NULL); // stdout is open already
    exit_code = run(&hosts, first < argc ? argv[first] : NULL);
    err = output_close(&hosts.output);
    if (err && !exit_code)
        exit_code = output_fail(&hosts.output, err);
    session_close(&hosts.session);
    conf_fini(&cmd_hosts_program, &hosts);
    return exit_code;
}
