// fault.h - a broker that dies exactly where a test wants it to
//
// For tests alone: only the target urlsum-broker-faulty has it, and that one
// says so at its start (log event fault.build). Without URLSUM_FAULTS every
// call below is nothing.
//
// URLSUM_FAULT="STATE:EVENT POINT [NTH]" arms it: when that cell of the life
// table is applied for the NTH time (1 unless given), the process kills itself
// with SIGKILL at the POINT that follows next:
//
//   commit-before, commit-after   the commit of the group that holds the cell's
//                                 write; of a cell that writes nothing, the
//                                 next commit of anything
//   send-before, send-after       the next message to a worker or a client;
//                                 after: it has left the process
//   reply-before, reply-after     the next reply to a client after that commit
//
// Before it dies it logs fault.died. A value that is none of this ends the
// process at its start with exit code 2: a test that arms nothing proves
// nothing.
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H
#include <stdint.h>

#ifdef URLSUM_FAULTS

// Reads the environment. Call before there are threads.
void fault_init(void);

// Loop thread: a cell of the life table is about to be applied to the job.
void fault_at_cell(const char *state, const char *event, uint64_t job);

// Loop thread: what was pushed so far can be in the store's next group.
void fault_at_flush(void);

// Store thread: takes a group of operations; writes: how many of them write.
void fault_at_group(uint64_t writes);

// Store thread: around the commit of the group last taken.
void fault_before_commit(void);
void fault_after_commit(void);

// Loop thread: around a message to a worker, and around a reply to a client.
void fault_before_send(void);
void fault_after_send(void);
void fault_before_reply(void);
void fault_after_reply(void);

#else

static inline void
fault_init(void)
{
}

static inline void
fault_at_cell(const char *state, const char *event, uint64_t job)
{
    (void)state, (void)event, (void)job;
}

static inline void
fault_at_flush(void)
{
}

static inline void
fault_at_group(uint64_t writes)
{
    (void)writes;
}

static inline void
fault_before_commit(void)
{
}

static inline void
fault_after_commit(void)
{
}

static inline void
fault_before_send(void)
{
}

static inline void
fault_after_send(void)
{
}

static inline void
fault_before_reply(void)
{
}

static inline void
fault_after_reply(void)
{
}

#endif
#endif
