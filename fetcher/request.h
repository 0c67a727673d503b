// request.h - what a request says beside its URL: header lines, credentials,
// and whom it trusts
//
// Tells the transfer's handle only what differs from what it was told last.
// Loop thread only.
#ifndef FETCHER_REQUEST_H
#define FETCHER_REQUEST_H
#include <stdbool.h>

struct transfer;

// A job begins: its profile, or what holds without one. Returns 0 or -ENOMEM.
int request_tell_profile(struct transfer *transfer);

// User and password for the request: those of the profile, else those of the
// job's own URL where a redirect was followed; libcurl takes them from the URL
// itself. None if they are not wanted. Returns 0 or -ENOMEM.
int request_tell_credentials(struct transfer *transfer, bool are_wanted);

// The header lines of the next request, and whether it asks for what is missing
// of the body. Returns 0 or -ENOMEM.
int request_tell_headers(struct transfer *transfer);

#endif
