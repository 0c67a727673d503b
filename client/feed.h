// feed.h - from a list to a batch: submissions in a window, then the close
//
// At most 1,000 URLs or about 60 KiB a message (with one URL, which may be as
// long as any, more) and four messages without an answer, so memory does not
// depend on the list. What is at hand leaves at once when the list's next line
// is not there yet (a pipe, a terminal).
#ifndef CLIENT_FEED_H
#define CLIENT_FEED_H
#include <stdbool.h>
#include <stdint.h>

struct remote;
struct feed;
struct list;

// What a batch has already.
struct feed_batch {
    const char *id;  // borrowed for the feed's life
    uint64_t number; // the broker's, for job=
    uint64_t submitted;
    uint64_t list_hash; // of these; 0: not known
    bool is_closed;
};

// What the batch has of the list already is read, compared and skipped. The
// caller owns *out_feed; remote and list are borrowed for its life. Returns 0
// or -ENOMEM.
int feed_new(struct remote *remote, struct list *list,
             const struct feed_batch *batch, struct feed **out_feed);
void feed_free(struct feed **feed);

// Reads and sends what can be without sleeping. Call whenever the remote or the
// list's descriptor had something. Returns 0, or a negative errno after which
// nothing more is sent and feed_error() has the sentence: -EIO the list cannot
// be read on, -EREMOTE the broker refused, -ERANGE the list is another one than
// the batch was begun with (nothing of it was added to the batch then, but for
// what another client submitted meanwhile), -ENOMEM.
int feed_step(struct feed *feed) __attribute__((warn_unused_result));

// True when the list has more for feed_step() at once: do not sleep.
bool feed_is_busy(const struct feed *feed);

// The descriptor that feed_step() needs to be readable, -1 when it waits for
// the broker or for nothing.
int feed_fd(const struct feed *feed);

// True when all is submitted and the batch is closed.
bool feed_is_done(const struct feed *feed);

uint64_t feed_read(const struct feed *feed);      // URLs taken from the list
uint64_t feed_submitted(const struct feed *feed); // URLs acknowledged
bool feed_is_list_read(const struct feed *feed);

// True once a submission left.
bool feed_has_sent(const struct feed *feed);

const char *feed_error(const struct feed *feed);

#endif
