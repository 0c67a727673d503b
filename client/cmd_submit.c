#include "client/batches.h"
#include "client/commands.h"
#include "client/feed.h"
#include "client/list.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/session.h"
#include "client/wishes.h"
#include "common/clock.h"
#include "common/log_conf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SLEEP_MS 60000

struct submit {
    const char *id;
    bool is_quiet, has_no_progress;
    struct connection_options connection;
    struct list_options list_options;
    struct batch_options batch_options;
    struct transfer_options transfer_options;
    struct wish_options wish_options;
    struct log_config log;
    struct given given;

    struct format format;
    struct wishes wishes;
    char batch[BATCH_ID_MAX + 1];
    struct feed_batch before; // this run
    struct session session;
    struct list *list;
    struct feed *feed;
    struct progress progress;
};

static const struct conf_option submit_options[] = {
    {.name = "id",
     .type = CONF_STRING,
     .offset = offsetof(struct submit, id),
     .arg = "BATCH",
     .help = "The batch's id, 1 to 64 of A-Z a-z 0-9 . _ - (default: a random "
             "one); of a batch that exists, its submission is continued: give "
             "the same list again"},
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct submit, is_quiet),
     .help = "No progress line"},
    {.name = "no-progress",
     .type = CONF_BOOL,
     .offset = offsetof(struct submit, has_no_progress),
     .help = "No progress line (there is one only on a terminal)"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {submit_options, 0},
    {list_options, offsetof(struct submit, list_options)},
    {batch_options, offsetof(struct submit, batch_options)},
    {transfer_options, offsetof(struct submit, transfer_options)},
    {wish_options, offsetof(struct submit, wish_options)},
    {connection_options, offsetof(struct submit, connection)},
    {curve_options, offsetof(struct submit, connection.keys)},
    {log_client_options, offsetof(struct submit, log)},
    {NULL, 0},
};

static void
on_given(void *config, const struct conf_option *row, bool by_flag)
{
    struct submit *submit = config;

    options_note_given(&submit->given, row, by_flag);
}

const struct conf_program cmd_submit_program = {
    .name = "urlsum submit",
    .usage = "[URL...]",
    .doc = "Hand a list of URLs to a broker and print the batch's id. The "
           "broker (default tcp://127.0.0.1:5550) has stored every URL when "
           "this ends with 0."
           "\v"
           "Exit codes: 0 all is submitted; 2 usage; 3 no broker, or the list "
           "is not complete: the same command with --id goes on; 130 "
           "interrupted.",
    .tables = tables,
    .takes_arguments = true,
    .on_given = on_given,
};

static int
prepare(struct submit *submit, int urls_len, char **urls)
{
    const struct conf_list *input = &submit->list_options.input;
    char why[256];
    const char *wrong;
    int err;

    log_configure(&submit->log);
    wrong = options_parse_algorithms(submit->list_options.algorithms,
                                     &submit->format, why, sizeof(why));
    if (!wrong && submit->id && !options_is_batch_id(submit->id))
        wrong = "--id wants 1 to 64 of A-Z a-z 0-9 . _ -";
    if (!wrong && !urls_len && !input->len)
        wrong = "no URL and no -i FILE; try 'urlsum submit --help'";
    if (wrong) {
        say("%s", wrong);
        return EXIT_USAGE;
    }
    err =
        wishes_read(&submit->wish_options, submit->transfer_options.user_agent,
                    submit->transfer_options.cacert, &submit->wishes);
    if (err)
        return err;
    wishes_warn(&submit->wishes, &submit->connection);
    if (list_open(input->items, input->len, (const char *const *)urls,
                  (size_t)urls_len, &submit->list)) {
        say("%s", submit->list ? list_error(submit->list) : "out of memory");
        return EXIT_USAGE;
    }
    err = submit->id ? 0 : batches_make_id(submit->batch);
    if (err) {
        say("no random numbers: %s", strerror(-err));
        return EXIT_INCOMPLETE;
    }
    if (submit->id)
        (void)strcpy(submit->batch, submit->id); // its length was checked
    return 0;
}

static void
fill_options(const struct submit *submit, Urlsum__V1__BatchOptions *out_options)
{
    options_to_batch(&submit->given, &submit->batch_options,
                     &submit->transfer_options, out_options);
    wishes_to_batch(&submit->given, &submit->wish_options, &submit->wishes,
                    out_options);
}

// True when the user asked for something that a batch of that id may
// contradict.
static bool
has_wishes(const struct submit *submit)
{
    Urlsum__V1__BatchOptions options, none = URLSUM__V1__BATCH_OPTIONS__INIT;

    fill_options(submit, &options);
    return options_is_given(&submit->given, "algorithms") ||
           memcmp(&options, &none, sizeof(none)) != 0;
}

// Finds or makes the batch; notes what it has already.
static int
find_batch(struct submit *submit)
{
    struct remote *remote = submit->session.remote;
    const Urlsum__V1__Batch *batch = NULL;
    Urlsum__V1__BatchOptions options;
    int err = -ENOENT;

    if (submit->id)
        err = batches_status(remote, submit->batch, 0, &batch);
    // Without wishes a batch goes on as it was made.
    if (err == -ENOENT || (!err && has_wishes(submit))) {
        fill_options(submit, &options);
        err = batches_create(remote, submit->batch, &submit->format, &options,
                             &batch);
    }
    if (err)
        return session_fail(&submit->session, err, submit->batch);
    if (batch->cancelled) {
        say("batch %s is cancelled and takes no more URLs; name another --id",
            submit->batch);
        return EXIT_USAGE;
    }
    submit->before = (struct feed_batch){
        .id = submit->batch,
        .number = batch->number,
        .submitted = batch->submitted,
        .list_hash = batch->list_hash,
        .is_closed = batch->closed,
    };
    if (batch->submitted && !batch->closed)
        say("batch %s has %" PRIu64 " URLs already; going on behind them",
            submit->batch, batch->submitted);
    return 0;
}

// The id is worth most when what follows fails: it leaves first.
static int
print_id(const struct submit *submit)
{
    struct output output;
    int err = output_open(&output, NULL);

    text_printf(&output.text, "%s\n", submit->batch);
    err = err ? err : output_close(&output);
    return err ? output_fail(&output, err) : 0;
}

static void
say_what_remains(const struct submit *submit)
{
    session_say_open(&submit->connection, submit->batch,
                     feed_submitted(submit->feed));
}

static int
turn(struct submit *submit)
{
    struct feed *feed = submit->feed;
    zmq_pollitem_t items[2] = {
        {NULL, submit->session.signal_fd, ZMQ_POLLIN, 0},
    };
    struct progress_numbers numbers;
    int64_t timeout_ms = submit->progress.fd >= 0 ? 200 : SLEEP_MS;
    size_t len = 1;
    int err;

    err = feed_step(feed);
    if (err) {
        say("%s", feed_error(feed));
        if (err == -ERANGE || (err == -EIO && !feed_has_sent(feed)))
            return EXIT_USAGE;
        say_what_remains(submit);
        return EXIT_INCOMPLETE;
    }
    if (feed_fd(feed) >= 0)
        items[len++] = (zmq_pollitem_t){NULL, feed_fd(feed), ZMQ_POLLIN, 0};
    if (feed_is_busy(feed))
        timeout_ms = 0;
    err = remote_wait(submit->session.remote, items, len, timeout_ms);
    if (items[0].revents) {
        say_what_remains(submit);
        return session_take_signal(&submit->session);
    }
    if (err) {
        (void)session_fail(&submit->session, err, submit->batch);
        say_what_remains(submit);
        return EXIT_INCOMPLETE;
    }
    numbers = (struct progress_numbers){
        .done = feed_submitted(feed),
        .total = feed_read(feed),
        .is_total_final = feed_is_list_read(feed),
    };
    progress_update(&submit->progress, &numbers, clock_now_ms());
    return 0;
}

static int
run(struct submit *submit)
{
    bool shows_progress =
        !submit->is_quiet && !submit->has_no_progress && isatty(STDERR_FILENO);
    int exit_code;

    exit_code = session_open(&submit->session, &submit->connection, NULL);
    if (!exit_code)
        exit_code = find_batch(submit);
    if (!exit_code)
        exit_code = print_id(submit);
    if (exit_code)
        return exit_code;
    if (feed_new(submit->session.remote, submit->list, &submit->before,
                 &submit->feed)) {
        say("out of memory");
        return EXIT_INCOMPLETE;
    }
    progress_init(&submit->progress, shows_progress ? STDERR_FILENO : -1,
                  clock_now_ms());
    say_set_progress(&submit->progress);
    while (!exit_code && !feed_is_done(submit->feed))
        exit_code = turn(submit);
    if (!exit_code && submit->before.is_closed)
        say("batch %s had this list already: %" PRIu64 " URLs", submit->batch,
            submit->before.submitted);
    return exit_code;
}

int
cmd_submit(int argc, char **argv)
{
    struct submit submit = {.session.signal_fd = -1, .progress.fd = -1};
    int first = argc;
    int exit_code;

    conf_parse(&cmd_submit_program, argc, argv, &submit, &first);
    exit_code = prepare(&submit, argc - first, argv + first);
    if (!exit_code)
        exit_code = run(&submit);
    progress_clear(&submit.progress);
    say_set_progress(NULL);
    feed_free(&submit.feed);
    list_free(&submit.list);
    wishes_fini(&submit.wishes);
    session_close(&submit.session);
    conf_fini(&cmd_submit_program, &submit);
    return exit_code;
}
