// keyring_watch.h - reads the keyring again whenever it may have changed
//
// At once when a directory changes (inotify), on SIGHUP, and every few seconds
// in any case: inotify tells nothing of network file systems, of what lies
// behind symbolic links (Kubernetes swaps those), of directories that are not
// there yet. Reading happens on libuv's threads, for disks can be slow.
#ifndef BROKER_KEYRING_WATCH_H
#define BROKER_KEYRING_WATCH_H
#include <stdbool.h>

struct keyring;
struct keyring_watch;
struct loop;

// How often the directories are read in any case.
#define KEYRING_LOOK_MS 5000
// ... while the directory itself is not there, as when it is exchanged for
// another one: nothing would tell that this has come.
#define KEYRING_MISSING_MS 500
// After a change, for more of them to come: who writes a file does it in steps.
#define KEYRING_SETTLE_MS 100

// What was read; the callee owns keyring. err: keyring is NULL, and path could
// not be read. was_asked: by SIGHUP.
typedef void keyring_fn(void *arg, struct keyring *keyring, int err,
                        const char *path, bool was_asked);

// Watches dir (borrowed); fn is called on the loop. takes_hup: SIGHUP is ours.
// Returns 0 or a negative errno.
int keyring_watch_new(struct loop *loop, const char *dir, bool takes_hup,
                      keyring_fn *fn, void *arg,
                      struct keyring_watch **out_watch);

// fn is not called any more. Before loop_free(). NULL is fine.
void keyring_watch_free(struct keyring_watch **watch);

#endif
