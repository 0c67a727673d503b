#include "broker/disk.h"

#include "common/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct disk {
    struct loop *loop;
    char *path, *log_path;
    struct loop_timer *timer;
    struct disk_sizes seen;
    uv_work_t work;
    bool is_looking;  // work is libuv's, and so is found
    bool is_unwanted; // freed when the look is over
    struct disk_sizes found;
    // Hands the struct over to the thread that looks, and back. libuv's own
    // locks do so as well, where a thread sanitizer does not see them.
    _Atomic bool is_found;
};

static void
free_disk(struct disk *disk)
{
    free(disk->path);
    free(disk->log_path);
    free(disk);
}

static struct disk *
disk_of(uv_work_t *work)
{
    return (struct disk *)(void *)((char *)work - offsetof(struct disk, work));
}

// --- On a thread of libuv's ---

static uint64_t
bytes_of(const char *path)
{
    struct stat file;

    // Between two checkpoints there may be no log.
    return stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

static void
look(uv_work_t *work)
{
    struct disk *disk = disk_of(work);
    struct statvfs about;

    (void)atomic_load(&disk->is_found);
    disk->found = (struct disk_sizes){.file_bytes = bytes_of(disk->path) +
                                                    bytes_of(disk->log_path)};
    if (statvfs(disk->path, &about) == 0) {
        disk->found.free_bytes = (uint64_t)about.f_bavail * about.f_frsize;
        disk->found.is_free_known = true;
    }
    atomic_store(&disk->is_found, true);
}

// --- On the loop's ---

static void
on_looked(uv_work_t *work, int status)
{
    struct disk *disk = disk_of(work);

    (void)status; // one that was cancelled has found nothing
    disk->is_looking = false;
    if (atomic_load(&disk->is_found))
        disk->seen = disk->found;
    if (disk->is_unwanted)
        free_disk(disk);
}

static void
on_time(void *arg)
{
    struct disk *disk = arg;

    if (disk->is_looking)
        return; // it hangs
    atomic_store(&disk->is_found, false);
    disk->is_looking =
        uv_queue_work(loop_uv(disk->loop), &disk->work, look, on_looked) == 0;
}

int
disk_new(struct loop *loop, const char *path, struct disk **out_disk)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    int err = -ENOMEM;

    if (!disk)
        return -ENOMEM;
    disk->loop = loop;
    disk->path = strdup(path);
    if (!disk->path || asprintf(&disk->log_path, "%s-wal", path) < 0) {
        disk->log_path = NULL; // asprintf() leaves anything there
        goto out;
    }
    err = loop_timer_new(loop, on_time, disk, &disk->timer);
    if (err)
        goto out;
    loop_timer_start(disk->timer, 0, DISK_LOOK_MS);
    *out_disk = disk;
    disk = NULL;
out:
    disk_free(&disk);
    return err;
}

void
disk_free(struct disk **disk)
{
    struct disk *it = *disk;

    if (!it)
        return;
    *disk = NULL;
    loop_timer_free(&it->timer);
    it->is_unwanted = true;
    if (!it->is_looking)
        free_disk(it);
}

struct disk_sizes
disk_sizes(const struct disk *disk)
{
    return disk ? disk->seen : (struct disk_sizes){0};
}
