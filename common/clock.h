// clock.h - time: monotonic for deadlines, wall clock for records
//
// Any thread.
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H
#include <stdint.h>

// Milliseconds since some fixed point in the past; never goes back.
uint64_t clock_now_ms(void);

// Microseconds on the same clock.
uint64_t clock_now_us(void);

// Milliseconds since 1970-01-01 UTC; may jump with the system's clock.
int64_t clock_wall_ms(void);

#endif
