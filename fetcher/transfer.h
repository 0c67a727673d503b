// transfer.h - one download on libcurl, again and again
//
// A transfer owns an easy handle, made once and reused from job to job, so that
// only what differs is set. A job is a sequence of requests on that handle: the
// first, one for each redirect, and one for each time that a body which was cut
// goes on or begins anew (resume.h); what has come of the body, its credit and
// the sums of the times last from one to the next. The body goes to a body_sink
// as it comes; before bytes are accepted the owner is asked for credit, and
// without it the transfer pauses until transfer_resume(). Loop thread only.
#ifndef FETCHER_TRANSFER_H
#define FETCHER_TRANSFER_H
#include "fetcher/answer.h"
#include "fetcher/body.h"
#include "fetcher/convoy.h"
#include "fetcher/credit.h"
#include "fetcher/decoder.h"
#include "fetcher/digest_fields.h"
#include "fetcher/lookup.h"
#include "fetcher/multis.h"
#include "fetcher/pilot.h"
#include "fetcher/profile.h"
#include "fetcher/rate.h"
#include "fetcher/redirect.h"
#include "fetcher/resume.h"
#include "fetcher/tls.h"
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
    struct multis *multis;
    struct names *names;
    struct convoys *convoys;
    struct pilots *pilots;
    struct apart *apart;  // NULL: this libcurl needs none
    struct apart *untidy; // origins that have sent bytes nobody asked for
    struct apart *plain;  // ... that speak HTTP/1.1 under TLS
    struct tls_sessions *tls_sessions;
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
    // Takes bytes from what --limit-rate allows, or returns false and resumes
    // the transfer when there is some.
    bool (*take_rate)(void *arg, struct transfer *transfer, uint64_t bytes);
    // A transfer has ended for which libcurl reports nothing: its host has no
    // addresses.
    void (*on_end)(void *arg, struct transfer *transfer);
    // Takes back what was granted for bytes that will never leave.
    void (*return_credit)(void *arg, struct transfer *transfer, uint64_t bytes);
    void *arg;
};

// Microseconds, as libcurl counts them from the start of a request: the sums of
// those that have ended. Zero is "did not happen".
struct transfer_times {
    uint64_t dns_us, connect_us, tls_us, first_byte_us, total_us;
    uint64_t lined_us; // before requests: for another one's connection
};

struct transfer {
    const struct transfer_env *env;
    CURL *easy;
    struct multi_gate gate;
    struct lookup lookup;
    struct convoy_member convoy; // while a request to an https URL is under way
    struct pilot_member pilot;   // ... until that has a connection
    uint64_t joined_us;          // when it began to wait for another one's
    char error[CURL_ERROR_SIZE];
    struct wire_request set;   // what the job asks for
    struct wire_request told;  // what the handle was told last
    struct profile *profile;   // the job's, referred to; NULL: none
    uint64_t told_profile;     // its id, as the handle was told last; 0: none
    uint64_t told_credentials; // whose; see request.c
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
    char *first_url; // once it was redirected: where it began
    // Whether and how the body goes on after a cut.
    struct resume resume;
    struct answer whole;     // the answer that the body began with
    bool is_begun;           // there was one
    bool is_measured;        // ... and told its length
    bool is_any_status;      // ... which is no 2xx, but wanted
    unsigned tls_version;    // 10 and so on; 0: none
    struct decoder *decoder; // undoes its encoding; NULL: as it comes
    size_t skip; // bytes that the decoder has taken of what comes next
    uint64_t decoded_bytes;         // ... of all that came
    struct digest_fields *declared; // by it; NULL: never one
    struct curl_slist *headers;     // the handle's, beside libcurl's own
    bool has_range;                 // the handle was told one
    // The request.
    struct answer answer; // its answer, until that begins the body
    char *location;       // ... and that one's Location: not terminated
    size_t location_len, location_room;
    size_t header_bytes, header_lines; // ... with what came before and after
    bool is_headed;                    // its header is complete
    bool is_watched;       // TLS has to announce the end of its body
    bool is_announced;     // ... and did
    bool is_declaring;     // ... is one whose declared digests count
    bool is_answered;      // ... was looked at
    int status;            // ... and says so; 200 when its bytes go on; 0: none
    enum resume_step step; // what it means, if it was asked for a part
    uint64_t expected;     // bytes of the body; UINT64_MAX: not told
    uint64_t discarded;    // bytes of an error page
    bool is_fresh;         // the handle was told to make a connection for it
    bool is_last;          // ... was told to close its connection after it
    bool is_multiplexed;   // its connection speaks HTTP/2
    bool is_crowded;       // ... does not, and was another request's too
    struct tls_use use;    // ... of which it is the only one
    bool is_secure;        // its URL is an https one
    uint64_t origin;       // ... and this is the key of its origin
    long told_version;     // of HTTP, as the handle was told last
    bool told_pipewait;    // ... and so
    bool is_doubtful;      // ... and how its body ends would not be certain
    bool is_proxied;       // its connections are those of the operator's proxy
    const char *refusal;   // why an address was refused, and no other was tried
    bool is_connecting;    // to an address that was not
    bool is_connected;     // and the request was, or is being, sent
    enum fail stopped;     // why we ended it; FAIL_OK: we did not
    const char *why;       // ... for people; static; NULL: see error
    CURLcode code;         // libcurl's verdict, once finished
    char remote[64];
    // The owner's.
    struct credit_claim claim;
    struct rate_claim rate;
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
// unset is env's. profile may be NULL. The claim is the owner's to open before.
// Returns 0 or -ENOMEM.
int transfer_start(struct transfer *transfer, uint64_t job, uint32_t attempt,
                   const char *url, const struct wire_request *request,
                   struct profile *profile);

// It has ended, or was dropped or not started: lets go of what the job needed.
void transfer_end(struct transfer *transfer);

// Ends it without outcome, wherever it stands. Returns the credit its unsent
// bytes had taken.
uint64_t transfer_drop(struct transfer *transfer, bool is_running);

// Goes on after a lack of credit, its own or another one's of its convoy. May
// ask for credit before it returns. Returns CURLE_OK, or why the transfer
// cannot go on: it is still running then.
CURLcode transfer_resume(struct transfer *transfer);

// True when it waits for its host's addresses, and nothing of a body has come.
bool transfer_waits_unbegun(const struct transfer *transfer);

// True when the fetcher can vouch for it, which is running or waits for credit.
bool transfer_vouch(struct transfer *transfer, uint64_t now_ms);

// Tells the handle what is left of --max-time, which is for all requests of the
// job and the time in line together.
void transfer_tell_time_left(struct transfer *transfer);

// Starts a request of the job, to the same URL as before if url is NULL; what
// is of the job stays as it is. Returns 0 or -ENOMEM.
int transfer_ask(struct transfer *transfer, const char *url);

// After the multi reported the end of a request with code: starts the job's
// next request, if there is to be one, and returns true. Otherwise the transfer
// has ended, and verdict_of() says how.
bool transfer_continue(struct transfer *transfer, CURLcode code);

#endif
