#include "client/batches.h"
#include "client/commands.h"
#include "client/embed.h"
#include "client/feed.h"
#include "client/list.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/pull.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"
#include "client/watch.h"
#include "client/wishes.h"
#include "common/clock.h"
#include "common/log_conf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SLEEP_MS 60000
// With a progress line its numbers are asked for each second.
#define PROGRESS_WAIT_MS 1000

struct get {
    struct connection_options connection;
    struct output_options output_options;
    struct list_options list_options;
    struct batch_options batch_options;
    struct wish_options wish_options;
    struct embed_config embed;
    struct log_config log;
    struct given given;

    struct wishes wishes;
    struct format format;
    char batch[BATCH_ID_MAX + 1];
    bool is_embedded;
    struct session session;
    struct list *list;
    struct feed *feed;
    struct pull pull;
    struct output output;
    struct progress progress;
    struct watch watch;
};

static const struct conf_table tables[] = {
    {list_options, offsetof(struct get, list_options)},
    {output_options, offsetof(struct get, output_options)},
    {connection_options, offsetof(struct get, connection)},
    {curve_options, offsetof(struct get, connection.keys)},
    {batch_options, offsetof(struct get, batch_options)},
    {wish_options, offsetof(struct get, wish_options)},
    {fetcher_transfer_options, offsetof(struct get, embed.fetcher)},
    {fetcher_embedded_options, offsetof(struct get, embed.fetcher)},
    {broker_schedule_options, offsetof(struct get, embed.broker)},
    {hasher_work_options, offsetof(struct get, embed.hasher)},
    {log_client_options, offsetof(struct get, log)},
    {NULL, 0},
};

static void
on_given(void *config, const struct conf_option *row, bool by_flag)
{
    struct get *get = config;

    options_note_given(&get->given, row, by_flag);
}

const struct conf_program cmd_get_program = {
    .name = "urlsum get",
    .usage = "[URL...]",
    .doc = "Fetch URLs and print the digests of their bodies, as they are "
           "ready."
           "\v"
           "URLs come from the -i files and then from the command line. With "
           "--broker the work is done by that broker's fleet; without, by this "
           "process alone. Failed URLs get a line each on stderr. robots.txt "
           "is not consulted: the list is explicit.\n\n"
           "Exit codes: 0 all good; 1 a URL failed, or results could not be "
           "written; 2 usage; 3 no broker, or the batch is not complete; 130 "
           "interrupted.",
    .tables = tables,
    .takes_arguments = true,
    .on_given = on_given,
};

// --- Before anything starts ---

static bool
is_named_in(const struct conf_option *rows, const char *name)
{
    for (; rows->name; rows++) {
        if (strcmp(rows->name, name) == 0)
            return true;
    }
    return false;
}

// Refuses flags that mean this process's own workers together with --broker.
static int
check_broker_flags(const struct get *get)
{
    const struct {
        const struct conf_option *rows;
        const char *where;
    } own[] = {
        {broker_schedule_options, "urlsum-broker"},
        {fetcher_transfer_options, "urlsum-fetcher"},
        {fetcher_embedded_options, "urlsum-fetcher"},
        {hasher_work_options, "urlsum-hasher"},
    };

    for (size_t i = 0; i < get->given.len; i++) {
        const char *name = get->given.names[i];

        // What travels with the batch is fine.
        if (!get->given.by_flag[i] || is_named_in(transfer_options, name))
            continue;
        for (size_t k = 0; k < sizeof(own) / sizeof(*own); k++) {
            if (!is_named_in(own[k].rows, name))
                continue;
            say("--%s is not a batch's setting but a program's: give it to "
                "%s, or leave out --broker",
                name, own[k].where);
            return EXIT_USAGE;
        }
    }
    return 0;
}

// Refuses keys that nobody would be shown; in the environment they are fine,
// for it may serve other programs too.
static int
check_embedded_flags(const struct get *get)
{
    for (size_t i = 0; i < get->given.len; i++) {
        if (get->given.by_flag[i] &&
            is_named_in(curve_options, get->given.names[i])) {
            say("--%s is for a broker: say which, by --broker",
                get->given.names[i]);
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int
open_list(struct get *get, int urls_len, char **urls)
{
    if (!urls_len && !get->list_options.input.len) {
        say("no URL and no -i FILE; try 'urlsum --help'");
        return EXIT_USAGE;
    }
    if (list_open(get->list_options.input.items, get->list_options.input.len,
                  (const char *const *)urls, (size_t)urls_len, &get->list)) {
        say("%s", get->list ? list_error(get->list) : "out of memory");
        return EXIT_USAGE;
    }
    return 0;
}

// This process's own fetcher has its User-Agent and CA certificates as any
// fetcher; a broker's are told the batch's.
static int
read_wishes(struct get *get)
{
    bool is_remote = !get->is_embedded;
    bool has_agent = is_remote && options_is_given(&get->given, "user-agent");
    int code = wishes_read(
        &get->wish_options, has_agent ? get->embed.fetcher.user_agent : NULL,
        is_remote ? get->embed.fetcher.cacert : NULL, &get->wishes);

    if (!code && is_remote)
        wishes_warn(&get->wishes, &get->connection);
    if (!code && !is_remote && get->embed.fetcher.cacert)
        code = wishes_check_cacert(get->embed.fetcher.cacert, &get->wishes.pem);
    return code;
}

// Everything that can be wrong is found before a broker hears of it.
static int
prepare(struct get *get, int urls_len, char **urls)
{
    char why[256];
    const char *wrong;
    int err;

    get->is_embedded = !get->connection.broker || !*get->connection.broker;
    log_configure(&get->log);
    options_parse_format(&get->output_options, &get->format);
    wrong = options_parse_algorithms(get->list_options.algorithms, &get->format,
                                     why, sizeof(why));
    if (!wrong)
        wrong = format_check(&get->format);
    if (wrong) {
        say("%s", wrong);
        return EXIT_USAGE;
    }
    err =
        get->is_embedded ? check_embedded_flags(get) : check_broker_flags(get);
    if (err)
        return err;
    err = read_wishes(get);
    if (!err)
        err = open_list(get, urls_len, urls);
    if (err)
        return err;
    err = output_open(&get->output, get->output_options.output);
    if (err) {
        say("%s: %s", get->output.name, strerror(-err));
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < get->list_options.input.len; i++) {
        if (output_is_file(&get->output, get->list_options.input.items[i])) {
            say("%s is the list itself; name another file for the results",
                get->output.name);
            return EXIT_USAGE;
        }
    }
    return 0;
}

// --- The run ---

static int
create_batch(struct get *get, struct feed_batch *out_batch)
{
    struct transfer_options transfer = {
        .max_redirs = get->embed.fetcher.max_redirs,
        .connect_timeout_ms = get->embed.fetcher.connect_timeout_ms,
        .speed_limit = get->embed.fetcher.speed_limit,
        .speed_time_ms = get->embed.fetcher.speed_time_ms,
        .max_time_ms = get->embed.fetcher.max_time_ms,
        .max_filesize = get->embed.fetcher.max_filesize,
        .no_resume = get->embed.fetcher.no_resume,
    };
    Urlsum__V1__BatchOptions options;
    const Urlsum__V1__Batch *batch = NULL;
    int err;

    err = batches_make_id(get->batch);
    if (err) {
        say("no random numbers: %s", strerror(-err));
        return EXIT_INCOMPLETE;
    }
    options_to_batch(&get->given, &get->batch_options, &transfer, &options);
    wishes_to_batch(&get->given, &get->wish_options, &get->wishes, &options);
    err = batches_create(get->session.remote, get->batch, &get->format,
                         &options, &batch);
    if (err)
        return session_fail(&get->session, err, NULL);
    *out_batch = (struct feed_batch){.id = get->batch, .number = batch->number};
    return 0;
}

static int
start(struct get *get)
{
    bool shows_progress = !get->output_options.is_quiet &&
                          !get->output_options.has_no_progress &&
                          isatty(STDERR_FILENO);
    struct pull_config config = {
        .batch = get->batch,
        .format = &get->format,
        .output = &get->output,
        .by_seq = get->output_options.is_ordered,
        .is_quiet = get->output_options.is_quiet,
        .follows = true,
        .wait_ms = shows_progress ? PROGRESS_WAIT_MS : WATCH_WAIT_MS,
        .watch = &get->watch,
    };
    struct feed_batch batch;
    int err;

    err = session_open(&get->session, &get->connection,
                       get->is_embedded ? &get->embed : NULL);
    if (err)
        return err;
    err = create_batch(get, &batch);
    if (err)
        return err;
    err = feed_new(get->session.remote, get->list, &batch, &get->feed);
    if (err) {
        say("out of memory");
        return EXIT_INCOMPLETE;
    }
    progress_init(&get->progress, shows_progress ? STDERR_FILENO : -1,
                  clock_now_ms());
    say_set_progress(&get->progress);
    format_header(&get->format, &get->output.text);
    watch_init(&get->watch, &get->session, get->batch, true, clock_now_ms());
    pull_init(&get->pull, get->session.remote, &config);
    pull_start(&get->pull);
    return 0;
}

// What a person does next with the batch that this process leaves.
static void
say_what_remains(const struct get *get)
{
    if (get->is_embedded || !get->feed)
        return;
    if (feed_is_done(get->feed))
        say("batch %s goes on; urlsum results --broker %s %s --follow shows "
            "it from its beginning",
            get->batch, get->connection.broker, get->batch);
    else
        session_say_open(&get->connection, get->batch,
                         feed_submitted(get->feed));
}

static int
fail_feed(struct get *get, int err)
{
    say("%s", feed_error(get->feed));
    if (err == -EIO && !feed_has_sent(get->feed))
        return EXIT_USAGE; // nothing of this list has gone anywhere
    say_what_remains(get);
    return EXIT_INCOMPLETE;
}

static int
fail_pull(struct get *get)
{
    int exit_code = EXIT_INCOMPLETE;

    if (get->pull.is_write_error) {
        exit_code = output_fail(&get->output, get->pull.err);
        if (exit_code == EXIT_PIPE)
            return exit_code;
    } else {
        say("batch %s: %s", get->batch,
            get->pull.err == -ENOMEM ? "out of memory" : get->pull.why);
    }
    say_what_remains(get);
    return exit_code;
}

static void
update_progress(struct get *get)
{
    struct progress_numbers numbers = {
        .done = get->pull.counts.done,
        .total = feed_read(get->feed),
        .is_total_final = feed_is_list_read(get->feed),
        .failed = get->pull.counts.failed,
        .bytes = get->pull.counts.bytes,
    };

    progress_update(&get->progress, &numbers, clock_now_ms());
}

// One turn: feeds, sleeps, handles. Returns 0 or the exit code.
static int
turn(struct get *get)
{
    zmq_pollitem_t items[3] = {
        {NULL, get->session.signal_fd, ZMQ_POLLIN, 0},
    };
    size_t len = 1;
    int64_t timeout_ms = get->progress.fd >= 0 ? 200 : SLEEP_MS;
    int err;

    err = feed_step(get->feed);
    if (err)
        return fail_feed(get, err);
    if (feed_fd(get->feed) >= 0)
        items[len++] =
            (zmq_pollitem_t){NULL, feed_fd(get->feed), ZMQ_POLLIN, 0};
    if (get->session.embed)
        items[len++] =
            (zmq_pollitem_t){NULL, embed_fd(get->session.embed), ZMQ_POLLIN, 0};
    if (feed_is_busy(get->feed))
        timeout_ms = 0;
    err = remote_wait(get->session.remote, items, len, timeout_ms);
    if (items[0].revents) {
        say_what_remains(get);
        return session_take_signal(&get->session);
    }
    if (err) {
        (void)session_fail(&get->session, err, get->batch);
        say_what_remains(get);
        return EXIT_INCOMPLETE;
    }
    if (get->pull.err)
        return fail_pull(get);
    if (get->session.embed && items[len - 1].revents) {
        say("a part of this program stopped; its reason is above");
        return EXIT_INCOMPLETE;
    }
    update_progress(get);
    err = watch_check(&get->watch, clock_now_ms());
    if (err)
        say_what_remains(get);
    return err;
}

static int
run(struct get *get)
{
    int exit_code = start(get);
    int err;

    while (!exit_code && !get->pull.is_ended)
        exit_code = turn(get);
    if (exit_code)
        return exit_code;
    progress_end(&get->progress, clock_now_ms());
    err = output_close(&get->output);
    if (err)
        return output_fail(&get->output, err);
    if (get->pull.cancelled || !feed_is_done(get->feed)) {
        say("batch %s was cancelled: %" PRIu64 " URLs have no digest",
            get->batch, get->pull.cancelled);
        return EXIT_INCOMPLETE;
    }
    return get->pull.failed || get->pull.differing ? EXIT_FAILED_URL
                                                   : EXIT_GOOD;
}

int
cmd_get(int argc, char **argv)
{
    // Too large for some stacks, and the process has one of it.
    static struct get get = {.session.signal_fd = -1, .output.fd = -1};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_get_program, argc, argv, &get, &first);
    exit_code = prepare(&get, argc - first, argv + first);
    if (!exit_code)
        exit_code = run(&get);
    progress_clear(&get.progress);
    say_set_progress(NULL);
    if (output_leave(&get.output) && !exit_code)
        exit_code = EXIT_FAILED_URL;
    feed_free(&get.feed);
    list_free(&get.list);
    wishes_fini(&get.wishes);
    session_close(&get.session);
    conf_fini(&cmd_get_program, &get);
    return exit_code;
}
