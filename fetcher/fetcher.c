#include "fetcher/fetcher.h"

#include "common/http.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"
#include "fetcher/apart.h"
#include "fetcher/chunk.h"
#include "fetcher/downloads.h"
#include "fetcher/fetch_stats.h"
#include "fetcher/multis.h"
#include "fetcher/names.h"
#include "fetcher/outbox.h"
#include "fetcher/pause.h"
#include "fetcher/pilot.h"
#include "fetcher/profile.h"
#include "fetcher/settings.h"
#include "fetcher/sharing.h"
#include "fetcher/tls_sessions.h"
#include "fetcher/transfer.h"
#include "proto/worker_link.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Messages of the broker that may wait here: many more than it has reason to
// send, for one that is lost would be a job or credit lost.
#define RECV_MESSAGES_MAX 100000
// Chunks kept for reuse: 8 MiB.
#define CHUNKS_KEPT 32

// One recv(2): libcurl allocates so much for every running transfer. More than
// 64 KiB measured no faster, neither at 10 KiB nor at 300 MB a body.
#define BUFFER_BYTES_FEW (64 * 1024)
#define BUFFER_BYTES_MANY (16 * 1024)
#define PARALLEL_FEW 512

struct fetcher {
    const struct fetcher_config *config;
    struct settings settings;
    struct role *role;
    struct loop *loop;
    struct worker_link *link;
    struct curve curve;
    struct multis multis;
    struct multi_sockets sockets; // of these and the profiles'
    struct profiles profiles;
    struct names *names;
    struct convoys convoys;
    struct pilots pilots;
    struct apart apart, untidy, plain;
    struct chunk_pool *pool;
    struct outbox *outbox;
    struct body_sink sink;
    struct downloads *downloads;
    struct transfer_env env;
    struct loop_timer *grace;
    struct http *http;
    struct fetch_stats stats;
    struct pause pause;
    bool is_draining;
    bool is_leaving; // loop_end() was called
    int err;         // why it leaves early; 0: it does not
};

// --- Leaving ---

static void
leave(struct fetcher *fetcher)
{
    if (fetcher->is_leaving)
        return;
    fetcher->is_leaving = true;
    worker_link_bye(fetcher->link, true);
    loop_end(fetcher->loop);
}

// Out of memory, or the link cannot send: the broker gives our jobs to others.
static void
give_up(void *arg, int err)
{
    struct fetcher *fetcher = arg;

    if (!err || fetcher->err)
        return;
    fetcher->err = err;
    log_error("fetcher.gave_up", "jobs=%zu reason=\"%s\"",
              downloads_len(fetcher->downloads), strerror(-err));
    leave(fetcher);
}

static void
on_grace_over(void *arg)
{
    struct fetcher *fetcher = arg;

    log_warn("fetcher.grace_over", "jobs=%zu",
             downloads_len(fetcher->downloads));
    leave(fetcher);
}

static void
on_stop(void *arg, int stops)
{
    struct fetcher *fetcher = arg;

    if (stops > 1) {
        leave(fetcher);
        return;
    }
    if (fetcher->is_draining)
        return;
    fetcher->stats.is_draining = true;
    log_info("fetcher.draining", "jobs=%zu", downloads_len(fetcher->downloads));
    if (!worker_link_is_live(fetcher->link)) {
        leave(fetcher); // nobody has given us anything
        return;
    }
    // The broker lets us go when it has everything back: on_lost().
    fetcher->is_draining = true;
    worker_link_bye(fetcher->link, false);
    loop_timer_start(fetcher->grace, (uint64_t)fetcher->config->grace_ms, 0);
}

// --- The session ---

static void
on_welcome(void *arg, const struct wire_welcome *welcome)
{
    struct fetcher *fetcher = arg;

    // Nothing is in hand: on_lost() came before.
    downloads_begin(fetcher->downloads, welcome->window, welcome->job_window);
    pause_reset(&fetcher->pause);
}

static void
on_lost(void *arg)
{
    struct fetcher *fetcher = arg;

    if (downloads_len(fetcher->downloads))
        log_warn("fetcher.jobs_dropped", "jobs=%zu",
                 downloads_len(fetcher->downloads));
    downloads_drop_all(fetcher->downloads);
    profiles_clear(&fetcher->profiles);
    if (fetcher->is_draining)
        leave(fetcher); // let go, or the broker is gone: nothing to wait for
}

static void
on_profile(struct fetcher *fetcher, const struct wire_message *message)
{
    int err = profiles_put(&fetcher->profiles, message->profile.place,
                           message->profile.profile);

    if (err) // its jobs fail, and come again
        log_warn("fetcher.no_profile", "place=%" PRIu64 " reason=\"%s\"",
                 message->profile.place, strerror(-err));
}

static void
on_message(void *arg, const struct wire_message *message, zmq_msg_t *body)
{
    struct fetcher *fetcher = arg;

    (void)body; // none comes to a fetcher
    if (message->kind == WIRE_JOBS) {
        for (size_t i = 0; i < message->jobs.len; i++)
            downloads_add(fetcher->downloads, &message->jobs.jobs[i],
                          &message->jobs.request);
    } else if (message->kind == WIRE_CREDIT) {
        downloads_credit(fetcher->downloads, message->credit.bytes,
                         message->credit.items, message->credit.len);
    } else if (message->kind == WIRE_ABORT) {
        for (size_t i = 0; i < message->abort.len; i++)
            downloads_abort(fetcher->downloads, &message->abort.items[i]);
    } else if (message->kind == WIRE_PROFILE) {
        on_profile(fetcher, message);
    } else {
        log_warn("fetcher.stray_message", "kind=%s",
                 wire_kind_name(message->kind));
    }
}

static void
on_ping(void *arg, bool is_list_due, struct worker_pong *out_pong)
{
    struct fetcher *fetcher = arg;

    out_pong->load = downloads_len(fetcher->downloads);
    if (is_list_due)
        out_pong->len =
            downloads_list_vouched(fetcher->downloads, &out_pong->items);
}

static int
send_message(void *arg, const struct wire_buf *buf, zmq_msg_t *body)
{
    struct fetcher *fetcher = arg;

    return worker_link_send(fetcher->link, buf, body);
}

// End of the turn: what came of it goes out.
static void
on_flush(void *arg)
{
    struct fetcher *fetcher = arg;

    downloads_run_credit(fetcher->downloads);
    names_turn(fetcher->names);
    pause_turn(&fetcher->pause, names_are_out(fetcher->names), fetcher->link,
               fetcher->downloads, loop_now_ms(fetcher->loop));
    multis_turn(&fetcher->multis);
    profiles_turn(&fetcher->profiles);
    downloads_run_rate(fetcher->downloads);
    convoys_turn(&fetcher->convoys);
    give_up(fetcher, body_flush_streams(&fetcher->sink));
    give_up(fetcher, outbox_flush(fetcher->outbox));
    if (multis_are_due(&fetcher->multis) ||
        profiles_is_due(&fetcher->profiles) || convoys_next(&fetcher->convoys))
        loop_again(fetcher->loop);
}

// --- Start and end ---

static void
set_env(struct fetcher *fetcher)
{
    const struct fetcher_config *config = fetcher->config;
    bool is_few = config->parallel_max <= PARALLEL_FEW;

    fetcher->sink.outbox = fetcher->outbox;
    fetcher->sink.pool = fetcher->pool;
    fetcher->env.multis = &fetcher->multis;
    fetcher->env.sink = &fetcher->sink;
    fetcher->env.stats = &fetcher->stats;
    fetcher->stats.slots = (size_t)config->parallel_max;
    fetcher->env.defaults = (struct wire_request){
        .max_redirs = (uint64_t)config->max_redirs,
        .connect_timeout_ms = (uint64_t)config->connect_timeout_ms,
        .speed_limit = (uint64_t)config->speed_limit,
        .speed_time_s = ((uint64_t)config->speed_time_ms + 999) / 1000,
        .max_time_ms = (uint64_t)config->max_time_ms,
        .max_filesize = (uint64_t)config->max_filesize,
        .no_resume = config->no_resume,
    };
    fetcher->env.cacert = config->cacert;
    fetcher->env.user_agent = config->user_agent;
    fetcher->env.settings = &fetcher->settings;
    fetcher->env.buffer_bytes = is_few ? BUFFER_BYTES_FEW : BUFFER_BYTES_MANY;
    fetcher->env.names = fetcher->names;
    fetcher->convoys.hold = sharing_hold;
    fetcher->env.convoys = &fetcher->convoys;
    fetcher->env.apart = apart_is_needed() ? &fetcher->apart : NULL;
    fetcher->env.untidy = &fetcher->untidy;
    fetcher->pilots.go = sharing_go;
    fetcher->env.pilots = &fetcher->pilots;
    fetcher->env.plain = &fetcher->plain;
}

static int
make_downloads(struct fetcher *fetcher)
{
    const struct fetcher_config *config = fetcher->config;

    return downloads_new(
        &(struct downloads_config){
            .jobs_max = (size_t)config->parallel_max,
            .limit_rate = (uint64_t)config->limit_rate,
            .loop = fetcher->loop,
            .env = &fetcher->env,
            .profiles = &fetcher->profiles,
            .outbox = fetcher->outbox,
            .stats = &fetcher->stats,
            .on_error = give_up,
            .arg = fetcher,
        },
        &fetcher->downloads);
}

static void
init_multis(struct fetcher *fetcher)
{
    size_t transfers = (size_t)fetcher->config->parallel_max;
    size_t kept = (size_t)fetcher->settings.apart_connections_max;
    struct multis_config config = {
        .loop = fetcher->loop,
        .sockets = &fetcher->sockets,
        .done = downloads_on_done,
        .arg = fetcher->downloads,
        .len = multis_len_for(transfers),
        .kept_each = 1,
    };

    // As many more can be open as transfers run.
    fetcher->sockets.connections_max =
        fetcher->settings.connections_max - (long)transfers;
    multis_init(&fetcher->multis, &config);
    // A profile has fewer where open files are few: each of its multis may keep
    // one connection at least.
    while (config.len > 1 && kept / config.len <= MULTI_FILES)
        config.len--;
    config.kept_each = (long)(kept / config.len) - MULTI_FILES;
    profiles_init(&fetcher->profiles, &config);
}

static int
open_link(struct fetcher *fetcher)
{
    const struct fetcher_config *config = fetcher->config;
    const struct worker_link_owner owner = {
        .arg = fetcher,
        .on_welcome = on_welcome,
        .on_lost = on_lost,
        .on_message = on_message,
        .on_ping = on_ping,
    };
    char name[WIRE_NAME_MAX + 1];
    char host[64] = "?";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(name, sizeof(name), "%s/%ld", host, (long)getpid());
    return worker_link_new(fetcher->loop, fetcher->role->zmq,
                           &(struct worker_link_config){
                               .endpoint = fetcher->settings.endpoint,
                               .role = WIRE_FETCHER,
                               .name = config->name ? config->name : name,
                               .capacity = (uint64_t)config->parallel_max,
                               .curve = &fetcher->curve,
                               .recv_messages_max = RECV_MESSAGES_MAX,
                               .stats = &fetcher->stats.link,
                           },
                           &owner, &fetcher->link);
}

static int
start(struct fetcher *fetcher)
{
    int err = tls_sessions_new(TLS_SHARES_MAX, &fetcher->env.tls_sessions);

    if (!err)
        err = chunk_pool_new(CHUNKS_KEPT, &fetcher->pool);
    if (!err)
        err = outbox_new(send_message, fetcher, &fetcher->outbox);
    if (!err)
        err = loop_new(&fetcher->loop);
    if (!err)
        err = make_downloads(fetcher);
    if (!err)
        err = names_new(fetcher->loop, fetcher->config, &fetcher->stats.names,
                        &fetcher->names);
    if (!err)
        err = loop_timer_new(fetcher->loop, on_grace_over, fetcher,
                             &fetcher->grace);
    if (!err && fetcher->config->http)
        err = fetch_stats_serve(&fetcher->stats, fetcher->loop,
                                fetcher->config->http, &fetcher->http);
    if (err)
        return err;
    set_env(fetcher);
    init_multis(fetcher);
    err = open_link(fetcher);
    if (err)
        return err;
    loop_add_flush(fetcher->loop, on_flush, fetcher);
    return role_attach(fetcher->role, fetcher->loop, on_stop, fetcher);
}

static void
finish(struct fetcher *fetcher)
{
    downloads_free(&fetcher->downloads);
    role_detach(fetcher->role);
    http_free(&fetcher->http);
    worker_link_free(&fetcher->link);
    profiles_fini(&fetcher->profiles);
    multis_fini(&fetcher->multis);
    multi_sockets_fini(&fetcher->sockets);
    names_free(&fetcher->names);
    convoys_fini(&fetcher->convoys);
    pilots_fini(&fetcher->pilots);
    if (fetcher->loop) {
        loop_timer_free(&fetcher->grace);
        loop_free(&fetcher->loop);
    }
    tls_sessions_free(&fetcher->env.tls_sessions);
    outbox_free(&fetcher->outbox);
    chunk_pool_free(&fetcher->pool);
    curve_fini(&fetcher->curve);
}

int
fetcher_run(const struct fetcher_config *config, struct role *role)
{
    struct fetcher fetcher = {.config = config, .role = role};
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    char why[512];
    sigset_t pipe;
    int code;
    int err;

    // Lists of URLs are UTF-8, whatever the user's locale: libcurl reads names
    // with other letters than ASCII's by this thread's.
    if (utf8)
        (void)uselocale(utf8);
    // A server that hangs up is an error code here. Blocking is for this thread
    // (and libcurl's resolvers) alone: the rest of the process may want it.
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);

    code = settings_read(config, &fetcher.settings);
    if (code)
        goto out;
    if (curve_load(&config->keys, &fetcher.curve, why, sizeof(why))) {
        (void)fprintf(stderr, "urlsum-fetcher: %s\n", why);
        code = 2;
        goto out;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        code = 1;
        goto out;
    }
    err = start(&fetcher);
    if (!err) {
        log_info("fetcher.started", "broker=\"%s\" parallel_max=%" PRId64,
                 fetcher.settings.endpoint, config->parallel_max);
        role_ready(role);
        loop_run(fetcher.loop);
        err = fetcher.err;
    } else {
        log_error("fetcher.not_started", "reason=\"%s\"", strerror(-err));
    }
    finish(&fetcher);
    curl_global_cleanup();
    code = err ? 1 : 0;
out:
    settings_fini(&fetcher.settings);
    if (utf8) {
        (void)uselocale(LC_GLOBAL_LOCALE);
        freelocale(utf8);
    }
    return code;
}
