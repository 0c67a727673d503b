// outcome.h - what a finished transfer means: libcurl's words into ours
//
// Pure. The caller has looked at the transfer; this is only the table.
#ifndef FETCHER_OUTCOME_H
#define FETCHER_OUTCOME_H
#include "proto/fail.h"

#include <stdbool.h>

struct outcome_of {
    int curl_code;      // CURLcode
    int http_status;    // of the last response; 0: none came
    bool is_asked;      // a request was sent
    bool is_in_header;  // ... and its answer's header has not come to its end
    bool is_any_status; // a body is wanted whatever the status says
    enum fail stopped;  // why we ended it ourselves; FAIL_OK: we did not
};

// Only a 2xx whose whole body came is a success; 206 was never asked for.
enum fail outcome(const struct outcome_of *of);

// The CURLcode that curl's own command line would have shown for fail;
// curl_code is what libcurl said.
int outcome_curl_code(enum fail fail, int curl_code);

#endif
