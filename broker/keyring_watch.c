#include "broker/keyring_watch.h"

#include "broker/keyring.h"
#include "common/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The directory, and one below it for each role.
#define FOLDERS (1 + ACCESS_ROLES)
#define PATH_BYTES 4096

// Freed when libuv has given everything back: its handles, and what runs on
// another thread.
struct keyring_watch {
    struct loop *loop;
    char *dir;
    keyring_fn *fn; // NULL: nobody wants to know any more
    void *arg;
    uv_fs_event_t folders[FOLDERS];
    uv_timer_t timer;
    uv_signal_t hup;
    uv_work_t work;
    unsigned held; // by libuv: handles, and the work
    bool is_reading, is_settling;
    bool is_stale;   // something changed while it was read
    bool is_missing; // the directory, when it was to be watched last
    bool was_asked;  // by SIGHUP, since the last reading began
    // Of the reading that is under way.
    bool for_hup;
    struct keyring *keyring;
    int err;
    char path[PATH_BYTES];
};

static void start_reading(struct keyring_watch *watch);

static void
let_go(struct keyring_watch *watch)
{
    if (--watch->held)
        return;
    free(watch->dir);
    free(watch);
}

static void
on_time(uv_timer_t *timer)
{
    start_reading(timer->data);
}

static void
read_again_in(struct keyring_watch *watch, uint64_t delay_ms)
{
    (void)uv_timer_start(&watch->timer, on_time, delay_ms, 0);
}

// --- Changes ---

static void
on_change(struct keyring_watch *watch)
{
    if (watch->is_reading)
        watch->is_stale = true;
    else if (!watch->is_settling)
        read_again_in(watch, KEYRING_SETTLE_MS);
    watch->is_settling = true;
}

static void
on_folder(uv_fs_event_t *folder, const char *name, int events, int status)
{
    (void)name, (void)events, (void)status; // whatever it was: read again
    on_change(folder->data);
}

static void
on_hup(uv_signal_t *hup, int number)
{
    struct keyring_watch *watch = hup->data;

    (void)number;
    watch->was_asked = true;
    on_change(watch);
}

// Anew each time: a directory may have become another one meanwhile.
static void
watch_folders(struct keyring_watch *watch)
{
    char path[PATH_BYTES];

    for (int i = 0; i < FOLDERS; i++) {
        const char *below =
            i ? access_role_name((enum access_role)(i - 1)) : "";

        int err = 0;

        (void)uv_fs_event_stop(&watch->folders[i]);
        // What cannot be watched is read every few seconds all the same.
        if (snprintf(path, sizeof(path), "%s/%s", watch->dir, below) <
            (int)sizeof(path))
            err = uv_fs_event_start(&watch->folders[i], on_folder, path, 0);
        if (i == 0)
            watch->is_missing = err == UV_ENOENT;
    }
}

static uint64_t
look_again_ms(const struct keyring_watch *watch)
{
    if (watch->is_stale)
        return KEYRING_SETTLE_MS;
    return watch->is_missing ? KEYRING_MISSING_MS : KEYRING_LOOK_MS;
}

// --- Reading ---

static void
read_keys(uv_work_t *work)
{
    struct keyring_watch *watch = work->data;

    watch->err = keyring_read(watch->dir, &watch->keyring, watch->path,
                              sizeof(watch->path));
}

static void
on_read(uv_work_t *work, int status)
{
    struct keyring_watch *watch = work->data;
    struct keyring *keyring = watch->keyring;

    watch->is_reading = false;
    watch->keyring = NULL;
    if (status || !watch->fn)
        keyring_free(&keyring);
    if (watch->fn && !status)
        watch->fn(watch->arg, keyring, watch->err, watch->path, watch->for_hup);
    if (watch->fn) {
        read_again_in(watch, look_again_ms(watch));
        watch->is_settling = watch->is_stale;
    }
    let_go(watch);
}

static void
start_reading(struct keyring_watch *watch)
{
    watch->is_settling = watch->is_stale = false;
    watch->for_hup = watch->was_asked;
    watch->was_asked = false;
    watch_folders(watch); // first: what changes from now on is told
    watch->work.data = watch;
    if (uv_queue_work(loop_uv(watch->loop), &watch->work, read_keys, on_read) !=
        0) {
        read_again_in(watch, look_again_ms(watch));
        return;
    }
    watch->is_reading = true;
    watch->held++;
}

// --- Life ---

static void
on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void
hold(struct keyring_watch *watch, uv_handle_t *handle)
{
    handle->data = watch;
    watch->held++;
}

int
keyring_watch_new(struct loop *loop, const char *dir, bool takes_hup,
                  keyring_fn *fn, void *arg, struct keyring_watch **out_watch)
{
    struct keyring_watch *watch = calloc(1, sizeof(*watch));
    uv_loop_t *uv = loop_uv(loop);
    int err = 0;

    if (!watch || !(watch->dir = strdup(dir))) {
        free(watch);
        return -ENOMEM;
    }
    watch->loop = loop;
    watch->fn = fn;
    watch->arg = arg;
    (void)uv_timer_init(uv, &watch->timer); // never fails
    hold(watch, (uv_handle_t *)&watch->timer);
    for (int i = 0; i < FOLDERS; i++) {
        (void)uv_fs_event_init(uv, &watch->folders[i]); // never fails
        hold(watch, (uv_handle_t *)&watch->folders[i]);
    }
    err = uv_signal_init(uv, &watch->hup);
    if (!err) {
        hold(watch, (uv_handle_t *)&watch->hup);
        if (takes_hup)
            err = uv_signal_start(&watch->hup, on_hup, SIGHUP);
    }
    if (err) {
        keyring_watch_free(&watch);
        return err;
    }
    watch_folders(watch);
    read_again_in(watch, look_again_ms(watch));
    *out_watch = watch;
    return 0;
}

void
keyring_watch_free(struct keyring_watch **watch)
{
    struct keyring_watch *it = *watch;

    if (!it)
        return;
    it->fn = NULL;
    uv_close((uv_handle_t *)&it->timer, on_closed);
    for (int i = 0; i < FOLDERS; i++)
        uv_close((uv_handle_t *)&it->folders[i], on_closed);
    if (it->hup.data)
        uv_close((uv_handle_t *)&it->hup, on_closed);
    *watch = NULL;
}
