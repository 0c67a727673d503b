// transfer.h - one download on libcurl, again and again
//
// A transfer owns an easy handle, made once and reused from job to job, so that
// only what differs is set. A job is a sequence of requests on that handle: the
// first, and one for each redirect; what has come of the body, its credit and
// the sums of the times last from one to the next. The body goes to a body_sink
// as it comes; before bytes are accepted the owner is asked for credit, and
// without it the transfer pauses until transfer_resume(). Loop thread only.
#ifndef FETCHER_TRANSFER_H
#define FETCHER_TRANSFER_H
#include "fetcher/body.h"
#include "fetcher/credit.h"
#include "fetcher/lookup.h"
#include "fetcher/multi.h"
#include "fetcher/redirect.h"
#include "fetcher/vouch.h"
#include "proto/wire.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <uthash.h>

struct fetch_stats;
struct settings;
struct transfer;

// What all transfers of a fetcher share; outlives them.
struct transfer_env {
    struct multi *multi;
    struct names *names;
    CURLSH *share;
    struct body_sink *sink;
    struct fetch_stats *stats;
    struct wire_request defaults; // no field unset
    const char *cacert;           // NULL: the system's
    const char *user_agent;
    const struct settings *settings;
    long buffer_bytes; // of one recv(2)
    // Takes credit for bytes, or returns false and resumes the transfer when
    // there is some.
    bool (*take_credit)(void *arg, struct transfer *transfer, uint64_t bytes);
    // A transfer has ended for which libcurl reports nothing: its host has no
    // addresses.
    void (*on_end)(void *arg, struct transfer *transfer);
    void *arg;
};

// Where a header's value stands in the transfer's facts.
struct transfer_fact {
    size_t at, len;
    bool is_known;
};

// Microseconds, as libcurl counts them from the start of a request: the sums of
// those that have ended. Zero is "did not happen".
struct transfer_times {
    uint64_t dns_us, connect_us, tls_us, first_byte_us, total_us;
};

struct transfer {
    const struct transfer_env *env;
    CURL *easy;
    struct multi_gate gate;
    struct lookup lookup;
    char error[CURL_ERROR_SIZE];
    struct wire_request set;  // what the job asks for
    struct wire_request told; // what the handle was told last
    // The job.
    uint64_t job;
    uint32_t attempt;
    struct body body;
    struct transfer_times times;
    uint64_t requests;  // begun so far
    uint64_t redirects; // followed so far
    // Where the first request went, known once one of the answers is a
    // redirect; after one that led elsewhere is_away is true for the rest of
    // the job, and nothing that its user entrusted to home is sent any more.
    struct redirect_home home;
    bool is_away;
    bool has_credentials; // the handle was told home's user and password
    // The request.
    uint64_t expected;  // Content-Length; UINT64_MAX: not told
    uint64_t discarded; // bytes of an error page
    bool is_body_begun;
    bool is_proxied;     // its connections are those of the proxy
    const char *refusal; // why an address was refused, and no other was tried
    bool is_connecting;  // to an address that was not
    enum fail stopped;   // why we ended it; FAIL_OK: we did not
    CURLcode code;       // libcurl's verdict, once finished
    char *facts;         // values of headers
    size_t facts_len, facts_room;
    struct transfer_fact etag, last_modified, location, retry_after, date;
    char remote[64];
    // The owner's.
    struct credit_claim claim;
    struct vouch vouch;
    bool is_finished; // waits for credit for its whole small body
    UT_hash_handle hh;
    struct transfer *next_idle;
};

// Returns 0 or a negative errno. The caller owns *out_transfer; env is
// borrowed.
int transfer_new(const struct transfer_env *env,
                 struct transfer **out_transfer);
// It must not be running.
void transfer_free(struct transfer **transfer);

// Starts a download. url is terminated and copied; a field that request leaves
// unset is env's. The claim is the owner's to open before. Returns 0 or
// -ENOMEM.
int transfer_start(struct transfer *transfer, uint64_t job, uint32_t attempt,
                   const char *url, const struct wire_request *request);

// Ends it without outcome, wherever it stands. Returns the credit its unsent
// bytes had taken.
uint64_t transfer_drop(struct transfer *transfer, bool is_running);

// Goes on after a lack of credit. May ask for credit before it returns. Returns
// CURLE_OK, or why the transfer cannot go on: it is still running then.
CURLcode transfer_resume(struct transfer *transfer);

// True when the fetcher can vouch for it, which is running or waits for credit.
bool transfer_vouch(struct transfer *transfer, uint64_t now_ms);

// After the multi reported the end of a request with code: starts the job's
// next request, if there is to be one, and returns true. Otherwise the transfer
// has ended, and verdict_of() says how.
bool transfer_continue(struct transfer *transfer, CURLcode code);

#endif
