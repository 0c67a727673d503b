// endpoints.h - the three sockets that others connect to, and their limits
#ifndef BROKER_ENDPOINTS_H
#define BROKER_ENDPOINTS_H

struct broker;
struct broker_config;

// Threads that ZeroMQ needs for these endpoints: with keys one for each, for it
// is they that encrypt.
int endpoints_io_threads(const struct broker_config *config);

// Makes, guards and binds them: broker->sessions.fetcher_socket and
// hasher_socket, and *out_client. Returns 0, or the program's exit code after
// having said why. Whatever was made is the caller's in either case.
int endpoints_bind(struct broker *broker, void *zmq, void **out_client);

#endif
