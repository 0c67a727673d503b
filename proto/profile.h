// profile.h - what may stand in a batch's request options
//
// The client asks before it sends them, the broker before it takes them, and
// the wire's decoder before a fetcher sees them: a header line that would be
// two, or another request, is never sent. Complaints are clauses for people,
// static, and quote nothing: what is complained of may be a secret. Pure.
#ifndef PROTO_PROFILE_H
#define PROTO_PROFILE_H
#include "proto/wire.h"

#include <stdbool.h>

// How a header line is meant, as curl means it.
enum profile_header {
    PROFILE_HEADER_SEND,   // "Name: value"
    PROFILE_HEADER_REMOVE, // "Name:": not even libcurl's own
    PROFILE_HEADER_EMPTY,  // "Name;": "Name:" without a value
};

// Each returns NULL, or why it may not be sent.
const char *profile_header_complaint(struct wire_bytes line);
const char *profile_agent_complaint(struct wire_bytes agent);
const char *profile_user_complaint(struct wire_bytes user);
const char *profile_proxy_complaint(struct wire_bytes proxy);
const char *profile_cacert_complaint(struct wire_bytes pem);
const char *profile_resolve_complaint(struct wire_bytes entry);

// All of it: the above, numbers that mean nothing, and what is too much.
const char *profile_complaint(const struct wire_profile *profile);

// Of a line without complaint: its name, without blanks.
struct wire_bytes profile_header_name(struct wire_bytes line,
                                      enum profile_header *out_how);
// True for a header that goes along when a redirect leads to another origin:
// nothing in it can be a secret that was meant for the first one.
bool profile_header_travels(struct wire_bytes name);

#endif
