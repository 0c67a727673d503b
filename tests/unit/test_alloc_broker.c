// A broker that finds no memory for one allocation, whichever it is: it ends
// with code 3 if it could not start; else it goes on, answers every request,
// loses no URL and writes no record twice.
#include "alloc_hook.h"
#include "alloc_worker.h"
#include "scratch.h"
#include "sql_number.h"

#include "broker/broker.h"
#include "common/clock.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/role.h"
#include "proto/wire.h"
#include "urlsum.pb-c.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

// Within this each run must have come to its end.
#define GIVE_UP_MS 30000
// Unanswered after this, a request or HELLO counts as lost.
#define ANSWER_MS 5000
#define WHAT(symbol) URLSUM__V1__REQUEST__WHAT_##symbol
#define REPLY(symbol) URLSUM__V1__REPLY__WHAT_##symbol

// Long enough that a page with it is no small reply.
#define LONG_URL_BYTES 6000
static char long_url[LONG_URL_BYTES + 1] = "http://one.example/";
static const char *const urls[] = {"http://one.example/a", "no url at all",
                                   long_url, "http://two.example/c"};
#define URLS (sizeof(urls) / sizeof(*urls))
// Of a batch that is in the store before the broker starts.
static const char *const old_url = "http://old.example/";

struct play {
    struct broker_config config;
    struct role role;
    void *zmq;
    pthread_t thread;
    _Atomic bool is_ready, has_ended;
    int code;
    unsigned nth;
    uint64_t give_up_ms;
    char folder[64], store[96];

    void *client;
    uint64_t next_id;
    Urlsum__V1__Reply *reply;
    struct worker workers[2];
};

static void
give_up(const struct play *play, const char *what)
{
    alloc_tell(what);
    fail_msg("allocation %u: %s", play->nth, what);
}

// --- The broker ---

static void
on_ready(void *arg)
{
    struct play *play = arg;

    atomic_store(&play->is_ready, true);
}

static void *
run_broker(void *arg)
{
    struct play *play = arg;

    play->code = broker_run(&play->config, &play->role);
    atomic_store(&play->has_ended, true);
    return NULL;
}

// --- The client ---

static void
free_reply(struct play *play)
{
    if (play->reply)
        urlsum__v1__reply__free_unpacked(play->reply, NULL);
    play->reply = NULL;
}

static void
turn(struct play *play)
{
    zmq_pollitem_t items[3] = {{.socket = play->client, .events = ZMQ_POLLIN}};

    for (int i = 0; i < 2; i++) {
        if (!worker_turn(&play->workers[i]))
            give_up(play, "the broker sends what cannot be read");
        items[i + 1] = (zmq_pollitem_t){.socket = play->workers[i].socket,
                                        .events = ZMQ_POLLIN};
    }
    if (clock_now_ms() > play->give_up_ms)
        give_up(play, "it does not come to its end");
    if (atomic_load(&play->has_ended))
        give_up(play, "the broker ended by itself");
    (void)zmq_poll(items, 3, 20);
}

// Sends the request until it is answered by something else than "not now".
static const Urlsum__V1__Reply *
ask(struct play *play, Urlsum__V1__Request *request)
{
    unsigned char data[2 * LONG_URL_BYTES];
    size_t len;
    uint64_t asked_ms;
    struct frames frames;

    for (;;) {
        free_reply(play);
        request->id = ++play->next_id;
        request->version = 1;
        len = urlsum__v1__request__pack(request, data);
        assert_true(zmq_send(play->client, data, len, 0) == (int)len);
        asked_ms = clock_now_ms();
        while (frames_recv(play->client, &frames) != 0) {
            turn(play);
            if (clock_now_ms() - asked_ms > ANSWER_MS)
                give_up(play, "a request was not answered");
        }
        play->reply =
            urlsum__v1__reply__unpack(NULL, zmq_msg_size(&frames.parts[0]),
                                      zmq_msg_data(&frames.parts[0]));
        frames_close(&frames);
        assert_non_null(play->reply);
        assert_int_equal(play->reply->id, request->id);
        if (play->reply->what_case != REPLY(ERROR))
            return play->reply;
        if (play->reply->error->code != URLSUM__V1__ERROR__CODE__UNAVAILABLE)
            give_up(play, play->reply->error->text);
        turn(play);
    }
}

static void
create(struct play *play, const char *id)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CreateBatch message = URLSUM__V1__CREATE_BATCH__INIT;
    Urlsum__V1__BatchOptions options = URLSUM__V1__BATCH_OPTIONS__INIT;

    options.retry_is_case = URLSUM__V1__BATCH_OPTIONS__RETRY_IS_RETRY;
    options.retry = 1;
    message.id = (char *)id;
    message.options = &options;
    request.what_case = WHAT(CREATE);
    request.create = &message;
    (void)ask(play, &request);
}

static void
submit(struct play *play, const char *id, const char *const *list, size_t len)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__SubmitUrls message = URLSUM__V1__SUBMIT_URLS__INIT;
    ProtobufCBinaryData data[URLS];

    for (size_t i = 0; i < len; i++)
        data[i] = (ProtobufCBinaryData){.data = (uint8_t *)list[i],
                                        .len = strlen(list[i])};
    message.batch = (char *)id;
    message.n_urls = len;
    message.urls = data;
    request.what_case = WHAT(SUBMIT);
    request.submit = &message;
    assert_int_equal(ask(play, &request)->batch->submitted, len);
}

static void
close_batch(struct play *play, const char *id, size_t len)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CloseBatch message = URLSUM__V1__CLOSE_BATCH__INIT;

    message.batch = (char *)id;
    message.size = len;
    request.what_case = WHAT(CLOSE);
    request.close = &message;
    (void)ask(play, &request);
}

static void
look(struct play *play, const char *id)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetStatus status = URLSUM__V1__GET_STATUS__INIT;
    Urlsum__V1__GetWorkers workers = URLSUM__V1__GET_WORKERS__INIT;
    Urlsum__V1__ListBatches list = URLSUM__V1__LIST_BATCHES__INIT;
    Urlsum__V1__GetWaiting waiting = URLSUM__V1__GET_WAITING__INIT;

    status.batch = waiting.batch = (char *)id;
    request.what_case = WHAT(STATUS);
    request.status = &status;
    (void)ask(play, &request);
    request.what_case = WHAT(WORKERS);
    request.workers = &workers;
    (void)ask(play, &request);
    request.what_case = WHAT(LIST);
    request.list = &list;
    (void)ask(play, &request);
    request.what_case = WHAT(WAITING);
    request.waiting = &waiting;
    (void)ask(play, &request);
}

static void
check_record(struct play *play, const Urlsum__V1__Record *record,
             const char *const *list, bool is_cancelled)
{
    const char *url = list[record->seq];
    const char *outcome = url == urls[1]   ? "invalid_url"
                          : url == urls[3] ? "connect"
                                           : "ok";

    if (record->url.len != strlen(url) ||
        memcmp(record->url.data, url, record->url.len) != 0)
        give_up(play, "a record of another URL");
    if (is_cancelled)
        return; // it may have ended before
    if (strcmp(record->outcome, outcome) != 0)
        give_up(play, record->outcome);
    if (strcmp(outcome, "ok") != 0)
        return;
    if (record->n_digests != 1 ||
        memcmp(record->digests[0].data, "the digest of it", 16) != 0)
        give_up(play, "a wrong digest");
}

// Reads results until the batch's end; each line has one.
static void
read_results(struct play *play, const char *id, const char *const *list,
             size_t len, bool is_cancelled)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__GetResults message = URLSUM__V1__GET_RESULTS__INIT;
    unsigned seen[URLS] = {0};
    const Urlsum__V1__ResultsPage *page;

    message.batch = (char *)id;
    message.wait_ms = 1000;
    request.what_case = WHAT(RESULTS);
    request.results = &message;
    do {
        page = ask(play, &request)->results;
        for (size_t i = 0; i < page->n_records; i++) {
            assert_true(page->records[i]->seq < len);
            if (seen[page->records[i]->seq]++)
                give_up(play, "two records of a line");
            check_record(play, page->records[i], list, is_cancelled);
        }
        message.after = page->cursor;
    } while (!page->end);
    for (size_t i = 0; i < len; i++) {
        if (!seen[i])
            give_up(play, "a line without a record");
    }
}

static void
cancel(struct play *play, const char *id)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CancelBatch message = URLSUM__V1__CANCEL_BATCH__INIT;

    message.batch = (char *)id;
    request.what_case = WHAT(CANCEL);
    request.cancel = &message;
    (void)ask(play, &request);
}

static void
dialogue(struct play *play, bool has_old)
{
    create(play, "a");
    submit(play, "a", urls, URLS);
    close_batch(play, "a", URLS);
    look(play, "a");
    read_results(play, "a", urls, URLS, false);
    if (has_old)
        read_results(play, "old", &old_url, 1, false);
    create(play, "b");
    submit(play, "b", &urls[1], 1);
    cancel(play, "b");
    read_results(play, "b", &urls[1], 1, true);
}

// --- A run ---

static void *
new_socket(struct play *play, const char *endpoint)
{
    void *socket = zmq_socket(play->zmq, ZMQ_DEALER);
    int zero = 0;

    assert_non_null(socket);
    (void)zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof(zero));
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void
start(struct play *play, unsigned nth, const char *store)
{
    *play = (struct play){
        .config = {.client_bind = "inproc://it",
                   .fetcher_bind = "inproc://it",
                   .hasher_bind = "inproc://it",
                   .store = store,
                   .is_ephemeral = !store,
                   .parallel_max_host = 8,
                   .buffer_memory = 1 << 26,
                   .ttl_ms = 5000,
                   .grace_ms = 2000},
        .nth = nth,
        .give_up_ms = clock_now_ms() + GIVE_UP_MS,
        .zmq = zmq_ctx_new(),
    };
    assert_non_null(play->zmq);
    role_init(&play->role, play->zmq, false);
    play->role.on_ready = on_ready;
    play->role.arg = play;
    alloc_arm(nth);
    assert_int_equal(pthread_create(&play->thread, NULL, run_broker, play), 0);
    while (!atomic_load(&play->is_ready) && !atomic_load(&play->has_ended)) {
        (void)usleep(500);
        if (clock_now_ms() > play->give_up_ms)
            give_up(play, "it is never ready");
    }
}

static void
meet(struct play *play)
{
    play->client = new_socket(play, "inproc://it-client");
    for (int i = 0; i < 2; i++) {
        struct worker *worker = &play->workers[i];

        worker->role = i ? WIRE_HASHER : WIRE_FETCHER;
        worker->unreachable = urls[3];
        worker->socket =
            new_socket(play, i ? "inproc://it-hasher" : "inproc://it-fetcher");
        assert_int_equal(wire_buf_new(&worker->buf), 0);
        assert_int_equal(wire_decoder_new(&worker->decoder), 0);
    }
}

static void
part(struct play *play)
{
    free_reply(play);
    if (play->client)
        (void)zmq_close(play->client);
    for (int i = 0; i < 2; i++) {
        if (!play->workers[i].socket)
            continue;
        (void)zmq_close(play->workers[i].socket);
        wire_buf_free(&play->workers[i].buf);
        wire_decoder_free(&play->workers[i].decoder);
    }
}

// Returns true when an allocation has failed.
static bool
run(unsigned nth, const char *store, bool has_old)
{
    struct play play;
    bool was_ready, has_failed;

    start(&play, nth, store);
    was_ready = atomic_load(&play.is_ready);
    if (was_ready) {
        meet(&play);
        dialogue(&play, has_old);
        role_stop(&play.role);
        role_stop(&play.role);
    }
    (void)pthread_join(play.thread, NULL);
    if (play.code != (was_ready ? 0 : 3))
        give_up(&play, "it ended with another code");
    has_failed = alloc_disarm();
    if (!was_ready && !has_failed)
        give_up(&play, "it does not start");
    part(&play);
    role_fini(&play.role);
    (void)zmq_ctx_term(play.zmq);
    return has_failed;
}

// --- The store ---

// A store with an unfinished batch in it.
static void
make_old(const char *path)
{
    struct play play;

    start(&play, 0, path);
    meet(&play);
    for (int i = 0; i < 2; i++) // nobody fetches yet
        play.workers[i].greeted_ms = UINT64_MAX / 2;
    create(&play, "old");
    submit(&play, "old", &old_url, 1);
    close_batch(&play, "old", 1);
    role_stop(&play.role);
    (void)pthread_join(play.thread, NULL);
    part(&play);
    role_fini(&play.role);
    (void)zmq_ctx_term(play.zmq);
}

static void
copy_file(const char *from, const char *to)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "rm -f '%s' '%s-wal'; cp '%s' '%s'", to, to, from, to);
    assert_int_equal(system(command), 0);
}

// Which of the allocations this process looks at: from first on, every step-th.
// Most of a run is waiting, so several processes share the work.
static struct {
    unsigned first, step;
} shard = {1, 1};

static void
choose_shard(const char *text)
{
    unsigned number, count;

    if (!text)
        return;
    if (sscanf(text, "%u/%u", &number, &count) != 2 || !number ||
        number > count) {
        (void)fprintf(stderr, "ALLOC_SHARD is NUMBER/COUNT, as in 1/4\n");
        exit(2);
    }
    shard.first = number;
    shard.step = count;
}

static void
fail_each(bool of_store, const char *path, const char *old)
{
    unsigned nth = shard.first;
    bool has_failed = true;

    atomic_store(&alloc_of_store, of_store);
    for (; has_failed; nth += shard.step) {
        if (path)
            copy_file(old, path);
        has_failed = run(nth, path, path != NULL);
        if (!path)
            continue;
        // Whatever became of it, what was acknowledged lies there.
        assert_int_equal(sql_number(path, "SELECT count(*) FROM batch"
                                          " WHERE id='old'"),
                         1);
        assert_int_equal(sql_number(path,
                                    "SELECT (SELECT count(*) FROM result)"
                                    "+(SELECT count(*) FROM job)"
                                    "-(SELECT sum(submitted) FROM batch)"),
                         0);
    }
    nth -= shard.step; // the first that did not come to be
    print_message("below %u, each allocation of the shard failed once\n", nth);
    assert_true(nth > 20);
}

static void
test_temporary_store(void **state)
{
    (void)state;
    fail_each(false, NULL, NULL);
    fail_each(true, NULL, NULL);
}

static void
test_file_store(void **state)
{
    char folder[96], old[128], path[128];

    (void)state;
    assert_int_equal(scratch_folder(folder, sizeof(folder)), 0);
    (void)snprintf(old, sizeof(old), "%s/old.db", folder);
    (void)snprintf(path, sizeof(path), "%s/store.db", folder);
    make_old(old);
    fail_each(false, path, old);
    fail_each(true, path, old);
    (void)unlink(path);
    (void)unlink(old);
    assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temporary_store),
        cmocka_unit_test(test_file_store),
    };

    memset(long_url + strlen(long_url), 'x', LONG_URL_BYTES - strlen(long_url));
    alloc_is_exempt = true; // this thread; the broker's are not
    if (getenv("ALLOC_LOG"))
        log_set_level(LOG_DEBUG);
    else
        log_set_level(LOG_ERROR);
    choose_shard(getenv("ALLOC_SHARD"));
    cmocka_set_test_filter(getenv("ALLOC_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
