// progress.h - one line on a terminal that says how far a batch is
//
//   1,234/5,000 URLs  410 URL/s  8.1 MB/s  3 failed  ETA 0:09
//
// Redrawn in place, at most five times a second; the total has a + while the
// list is still being read. Time is an argument.
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress_numbers {
    uint64_t done; // records
    uint64_t total;
    bool is_total_final;
    uint64_t failed;
    uint64_t bytes; // of bodies
};

struct progress {
    int fd; // -1: not shown
    bool is_drawn;
    uint64_t start_ms, drawn_ms;
    bool has_first;
    struct progress_numbers first; // what was there at the start
    struct progress_numbers last;
    // Rates, smoothed over some seconds.
    uint64_t rate_ms;
    struct progress_numbers rated;
    double urls_s, bytes_s;
    bool has_rate;
};

// fd: a terminal, or -1 for a progress that is never shown.
void progress_init(struct progress *progress, int fd, uint64_t now_ms);

// Notes numbers and redraws when it is time.
void progress_update(struct progress *progress,
                     const struct progress_numbers *numbers, uint64_t now_ms);

// Takes the line off the terminal; the next update brings it back.
void progress_clear(struct progress *progress);

// Clears, and leaves a summary of a run that took a second or more.
void progress_end(struct progress *progress, uint64_t now_ms);

#endif
