// disk.h - how large the store's file is, and what is free beside it
//
// Looked at every two seconds on one of libuv's threads, and told from what was
// seen last: a file system that hangs must not stop the loop, for which /livez
// speaks. Loop thread only.
#ifndef BROKER_DISK_H
#define BROKER_DISK_H
#include <stdbool.h>
#include <stdint.h>

struct disk;
struct loop;

// How old what is told may be, where the file system answers.
#define DISK_LOOK_MS 2000

struct disk_sizes {
    uint64_t file_bytes; // the store's file and its log
    uint64_t free_bytes; // on its file system, for the broker
    bool is_free_known;
};

// Looks at the store's file (copied) from now on, at once and again and again.
// Returns 0 or a negative errno. The caller owns *out_disk.
int disk_new(struct loop *loop, const char *path, struct disk **out_disk);

// Before loop_free(), which then waits for a look that is under way. NULL is
// fine.
void disk_free(struct disk **disk);

// What was seen last. Nothing yet, or a NULL disk: zeroes.
struct disk_sizes disk_sizes(const struct disk *disk);

#endif
