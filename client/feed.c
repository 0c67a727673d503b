#include "client/feed.h"

#include "client/list.h"
#include "client/remote.h"
#include "common/limits.h"
#include "common/list_hash.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_URLS_MAX 1000
// With the last URL, which may be as long as any, below SUBMIT_BYTES_MAX.
#define MESSAGE_BYTES_MAX ((size_t)60 * 1024)
#define WINDOW 4
// Lines skipped or read in one step, so that results get their turn.
#define STEP_URLS_MAX 8000

struct feed {
    struct remote *remote;
    struct list *list;
    struct feed_batch batch; // as it was before
    uint64_t read;           // lines taken from the list
    uint64_t hash;           // of these
    uint64_t submitted;      // acknowledged
    size_t unanswered;
    bool is_list_read;
    bool waits_for_list; // its next line is not there yet
    bool is_closing, is_closed;
    bool has_sent;
    int err;
    char why[1200];

    // The message being filled: URLs end to end.
    ProtobufCBinaryData urls[MESSAGE_URLS_MAX];
    size_t urls_len;
    size_t bytes_len;
    uint8_t bytes[MESSAGE_BYTES_MAX + URL_BYTES_MAX + 1];
};

static int
fail(struct feed *feed, int err, const char *why)
{
    if (!feed->err) {
        feed->err = err;
        (void)snprintf(feed->why, sizeof(feed->why), "%s", why);
    }
    return err;
}

int
feed_new(struct remote *remote, struct list *list,
         const struct feed_batch *batch, struct feed **out_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));

    if (!feed)
        return -ENOMEM;
    feed->remote = remote;
    feed->list = list;
    feed->batch = *batch;
    feed->hash = LIST_HASH_EMPTY;
    feed->submitted = batch->submitted;
    *out_feed = feed;
    return 0;
}

void
feed_free(struct feed **feed)
{
    free(*feed);
    *feed = NULL;
}

// --- Sending ---

static void
on_error(struct feed *feed, const Urlsum__V1__Error *error)
{
    const char *text = remote_error_text(feed->remote, error);
    char why[sizeof(feed->why)];

    if (error->code != URLSUM__V1__ERROR__CODE__CONFLICT) {
        (void)fail(feed, -EREMOTE, text);
        return;
    }
    (void)snprintf(why, sizeof(why), "batch %s: %s", feed->batch.id, text);
    (void)fail(feed, -ERANGE, why);
}

static void
on_submitted(void *arg, const Urlsum__V1__Reply *reply)
{
    struct feed *feed = arg;

    feed->unanswered--;
    if (reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR)
        on_error(feed, reply->error);
    else if (reply->what_case == URLSUM__V1__REPLY__WHAT_BATCH &&
             reply->batch->submitted > feed->submitted)
        feed->submitted = reply->batch->submitted;
}

static void
on_closed(void *arg, const Urlsum__V1__Reply *reply)
{
    struct feed *feed = arg;

    feed->unanswered--;
    if (reply->what_case == URLSUM__V1__REPLY__WHAT_ERROR)
        on_error(feed, reply->error);
    else
        feed->is_closed = true;
}

static int
send_message(struct feed *feed)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__SubmitUrls submit = URLSUM__V1__SUBMIT_URLS__INIT;

    submit.batch = (char *)(uintptr_t)feed->batch.id; // packed, not changed
    submit.first_seq = feed->read - feed->urls_len;
    submit.n_urls = feed->urls_len;
    submit.urls = feed->urls;
    request.what_case = URLSUM__V1__REQUEST__WHAT_SUBMIT;
    request.submit = &submit;
    if (remote_send(feed->remote, &request, on_submitted, feed))
        return fail(feed, -ENOMEM, "out of memory");
    feed->has_sent = true;
    feed->unanswered++;
    feed->urls_len = 0;
    feed->bytes_len = 0;
    return 0;
}

static int
send_close(struct feed *feed)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CloseBatch close = URLSUM__V1__CLOSE_BATCH__INIT;

    close.batch = (char *)(uintptr_t)feed->batch.id; // packed, not changed
    close.size = feed->read;
    close.list_hash_is_case = URLSUM__V1__CLOSE_BATCH__LIST_HASH_IS_LIST_HASH;
    close.list_hash = feed->hash;
    request.what_case = URLSUM__V1__REQUEST__WHAT_CLOSE;
    request.close = &close;
    if (remote_send(feed->remote, &request, on_closed, feed))
        return fail(feed, -ENOMEM, "out of memory");
    feed->unanswered++;
    feed->is_closing = true;
    return 0;
}

// --- Reading ---

static bool
is_readable(int fd)
{
    struct pollfd item = {fd, POLLIN, 0};

    return poll(&item, 1, 0) > 0;
}

static void
refuse_list(struct feed *feed, const char *how)
{
    char why[sizeof(feed->why)];

    (void)snprintf(why, sizeof(why),
                   "the list is not the one that batch %s was begun with: %s; "
                   "give that list, or another --id",
                   feed->batch.id, how);
    (void)fail(feed, -ERANGE, why);
}

// The last line that the batch has was read: all of them must be the same.
static void
check_begin(struct feed *feed)
{
    char how[80];

    if (feed->read != feed->batch.submitted || !feed->batch.list_hash ||
        feed->hash == feed->batch.list_hash)
        return;
    (void)snprintf(how, sizeof(how), "its first %" PRIu64 " URLs differ",
                   feed->batch.submitted);
    refuse_list(feed, how);
}

static bool
may_add(struct feed *feed)
{
    char how[120];

    if (!feed->batch.is_closed)
        return true;
    (void)snprintf(how, sizeof(how),
                   "the batch is complete with %" PRIu64
                   " URLs, and the list has more",
                   feed->batch.submitted);
    refuse_list(feed, how);
    return false;
}

// The first line of a job's story; the broker tells the rest.
static void
log_url(const struct feed *feed, const char *url, size_t len)
{
    char shown[512];

    if (log_enabled(LOG_DEBUG))
        log_debug("url.submitted", "job=" LOG_JOB " url=%s", feed->batch.number,
                  feed->read - 1,
                  log_escape_url(url, len, shown, sizeof(shown)));
}

static void
add_url(struct feed *feed, const char *url, size_t len)
{
    uint8_t *to = feed->bytes + feed->bytes_len;

    feed->read++;
    feed->hash = list_hash_add(feed->hash, url, len);
    if (feed->read <= feed->batch.submitted) {
        check_begin(feed);
        return;
    }
    if (!may_add(feed))
        return;
    if (len)
        memcpy(to, url, len);
    log_url(feed, url, len);
    feed->urls[feed->urls_len++] = (ProtobufCBinaryData){len, to};
    feed->bytes_len += len;
}

static bool
is_full(const struct feed *feed)
{
    return feed->urls_len == MESSAGE_URLS_MAX ||
           feed->bytes_len >= MESSAGE_BYTES_MAX;
}

// Fills the message as far as the list goes now.
static int
fill(struct feed *feed)
{
    const char *url = NULL;
    size_t len = 0;
    int got = 1;

    feed->waits_for_list = false;
    for (int i = 0; i < STEP_URLS_MAX && !is_full(feed) && !feed->err; i++) {
        got = list_next(feed->list, &url, &len);
        if (got == 1) {
            add_url(feed, url, len > URL_BYTES_MAX ? URL_BYTES_MAX + 1 : len);
        } else if (got == -EAGAIN && is_readable(list_fd(feed->list))) {
            list_read(feed->list);
        } else {
            break;
        }
    }
    if (got == -EAGAIN)
        feed->waits_for_list = true;
    else if (got < 0)
        return fail(feed, -EIO, list_error(feed->list));
    feed->is_list_read = got == 0;
    if (feed->is_list_read && feed->read < feed->batch.submitted) {
        char how[120];

        (void)snprintf(how, sizeof(how),
                       "it has %" PRIu64 " URLs but the batch has %" PRIu64,
                       feed->read, feed->batch.submitted);
        refuse_list(feed, how);
    }
    return feed->err;
}

int
feed_step(struct feed *feed)
{
    int err = feed->err;

    for (int i = 0; i < WINDOW && !err; i++) {
        if (!feed->is_list_read && !is_full(feed))
            err = fill(feed);
        if (err || !feed->urls_len || feed->unanswered == WINDOW ||
            feed_is_busy(feed))
            break;
        err = send_message(feed);
    }
    if (!err && feed->is_list_read && !feed->urls_len && !feed->unanswered &&
        !feed->is_closing)
        err = send_close(feed);
    return err;
}

bool
feed_is_busy(const struct feed *feed)
{
    return !feed->err && !feed->is_list_read && !is_full(feed) &&
           !feed->waits_for_list;
}

int
feed_fd(const struct feed *feed)
{
    if (feed->err || feed->is_list_read || !feed->waits_for_list)
        return -1;
    return list_fd(feed->list);
}

bool
feed_is_done(const struct feed *feed)
{
    return feed->is_closed;
}

uint64_t
feed_read(const struct feed *feed)
{
    return feed->read;
}

uint64_t
feed_submitted(const struct feed *feed)
{
    return feed->submitted;
}

bool
feed_is_list_read(const struct feed *feed)
{
    return feed->is_list_read;
}

bool
feed_has_sent(const struct feed *feed)
{
    return feed->has_sent;
}

const char *
feed_error(const struct feed *feed)
{
    return feed->why;
}
