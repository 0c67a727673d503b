// signals.h - SIGINT and SIGTERM as something to poll for
#ifndef CLIENT_SIGNALS_H
#define CLIENT_SIGNALS_H

// Blocks both for this thread and those it will start, ignores SIGPIPE (write
// errors are seen where they happen). Returns a descriptor that is readable
// once one came, or a negative errno. The caller closes it.
int signals_open(void);

// The signal that came, 0 when none did.
int signals_take(int fd);

#endif
