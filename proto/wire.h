// wire.h - frames of the worker protocol: encode, decode, validate
//
// proto/worker.md is the specification; this is its only implementation in C,
// and wire_decode*.c and wire_encode.c the only files that include msgpack's
// headers. A message is one msgpack frame, `[kind, ...]`; BODY and HASH have
// one more raw frame, the bytes their segments speak of, end to end in their
// order.
//
// Decoding trusts nothing: every number is range-checked against
// common/limits.h, every string bounded, every array counted. What passed
// wire_decode() needs no second look at its shape (whether a job exists is the
// caller's to know). No function here logs. A decoder or buffer belongs to one
// thread.
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H
#include "common/limits.h"
#include "proto/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//    number, symbol, directions (F fetcher, H hasher, B broker)
#define WIRE_KINDS(X)                                                          \
    X(1, HELLO, "F>B H>B")                                                     \
    X(2, WELCOME, "B>F B>H")                                                   \
    X(3, PING, "B>F B>H")                                                      \
    X(4, PONG, "F>B H>B")                                                      \
    X(5, JOBS, "B>F")                                                          \
    X(6, BODY, "F>B")                                                          \
    X(7, FETCHED, "F>B")                                                       \
    X(8, HASH, "B>H")                                                          \
    X(9, DIGESTS, "H>B")                                                       \
    X(10, CREDIT, "B>F")                                                       \
    X(11, ABORT, "B>F B>H H>B")                                                \
    X(12, BYE, "F>B H>B B>F B>H")                                              \
    X(13, ERROR, "F>B H>B B>F B>H")                                            \
    X(14, SUITE, "F>B")                                                        \
    X(15, PROFILE, "B>F")                                                      \
    X(16, PAUSE, "F>B")                                                        \
    X(17, CONNECTED, "F>B")

enum wire_kind {
#define X(number, symbol, directions) WIRE_##symbol = (number),
    WIRE_KINDS(X)
#undef X
        WIRE_KIND_COUNT
};

enum wire_role { WIRE_FETCHER = 1, WIRE_HASHER = 2 };

//    number, symbol, meaning
#define WIRE_ERRORS(X)                                                         \
    X(1, NO_SESSION, "the sender has no session: say HELLO")                   \
    X(2, BAD_FRAME, "the frame breaks this specification; the session ends")   \
    X(3, VERSION, "no common protocol version")                                \
    X(4, REFUSED, "the broker will not have this worker; the text says why")

enum wire_error {
#define X(number, symbol, meaning) WIRE_ERROR_##symbol = (number),
    WIRE_ERRORS(X)
#undef X
};

//    number, symbol, meaning
#define WIRE_ABORTS(X)                                                         \
    X(1, CANCELLED, "the batch was cancelled")                                 \
    X(2, STALE, "the attempt is not, or no longer, the job's current one")     \
    X(3, GAP, "a segment's offset was not where the last one ended")           \
    X(4, HASHER_LOST, "the hasher that had the first bytes is gone")           \
    X(5, NO_ALGORITHM, "the hasher lacks an algorithm of the suite")           \
    X(6, FETCH_FAILED, "the transfer failed; its bytes are worthless")         \
    X(7, RESOURCES, "the worker ran out of memory or the like")

enum wire_abort {
#define X(number, symbol, meaning) WIRE_ABORT_##symbol = (number),
    WIRE_ABORTS(X)
#undef X
        WIRE_ABORT_COUNT
};

//    number, symbol, meaning
#define WIRE_PAUSES(X)                                                         \
    X(0, NONE, "it takes jobs")                                                \
    X(1, NO_NAMES, "no DNS server answers it")

enum wire_pause {
#define X(number, symbol, meaning) WIRE_PAUSE_##symbol = (number),
    WIRE_PAUSES(X)
#undef X
        WIRE_PAUSE_COUNT
};

// A borrowed run of bytes: valid until the next decode with the same decoder,
// or, when encoding, until the call returns. Not terminated.
struct wire_bytes {
    const char *at; // NULL: absent
    size_t len;
};

// A segment's place in its body.
enum wire_segment_flags {
    WIRE_SEGMENT_LAST = 1,    // the body ends with this segment
    WIRE_SEGMENT_RESTART = 2, // it begins anew: what came before is void
};

struct wire_hello {
    uint64_t version_min, version_max;
    enum wire_role role;
    struct wire_bytes name; // for people: "host/pid/thread"
    uint64_t capacity;      // fetcher: jobs it will hold at once; hasher: 0
    size_t algorithms_len;  // hasher: what it can compute; fetcher: none
    struct wire_bytes algorithms[WIRE_HELLO_ALGORITHMS_MAX];
    uint64_t instance; // names the worker as long as its process lives; not 0
    uint64_t epoch;    // 1 at its first session, one more at each further one
};

struct wire_welcome {
    uint64_t version;
    uint64_t session;    // names the session in log lines of both sides
    uint64_t epoch;      // of the HELLO that this answers
    uint64_t ttl_ms;     // silence after which the broker is to be given up
    uint64_t window;     // fetcher: body bytes it may send before CREDIT
    uint64_t job_window; // fetcher: the same for one transfer
};

// How a batch wants its URLs fetched. Absent on the wire = the fetcher's own
// setting; here WIRE_UNSET.
#define WIRE_UNSET UINT64_MAX
//    key, field, highest value
#define WIRE_BATCH_FIELDS(X)                                                   \
    X(1, max_redirs, 1000)                                                     \
    X(2, connect_timeout_ms, UINT64_C(86400000))                               \
    X(3, speed_limit, UINT64_C(1) << 40)                                       \
    X(4, speed_time_s, UINT64_C(86400))                                        \
    X(5, max_time_ms, UINT64_C(1) << 40)                                       \
    X(6, max_filesize, UINT64_C(1) << 62)                                      \
    X(7, no_resume, UINT64_C(1))                                               \
    X(8, want_digest, UINT64_C(1))
// ... and what the broker makes of its other options.
#define WIRE_REQUEST_FIELDS(X)                                                 \
    WIRE_BATCH_FIELDS(X)                                                       \
    X(9, any_status, UINT64_C(2))                   /* enum wire_any_status */ \
    X(10, profile, UINT64_C(WIRE_PROFILES_MAX - 1)) /* its place */

// Which answers' bodies are wanted beside those of a 2xx.
enum wire_any_status {
    WIRE_ANY_STATUS_NO,
    WIRE_ANY_STATUS_HARD, // but for statuses that are worth another try
    WIRE_ANY_STATUS_ALL,
};

struct wire_request {
#define X(key, field, highest) uint64_t field;
    WIRE_REQUEST_FIELDS(X)
#undef X
};

// Sets every field to WIRE_UNSET.
void wire_request_init(struct wire_request *request);

struct wire_job {
    uint64_t job;
    uint32_t attempt;
    struct wire_bytes url;
};

struct wire_segment {
    uint64_t job;
    uint32_t attempt;
    uint64_t offset; // in the body, bytes
    uint32_t length; // in the raw frame, bytes; 0 only with a flag
    uint8_t flags;   // enum wire_segment_flags
    uint8_t suite;   // HASH only: index into suites
};

// Facts of a transfer: numbers and strings, each absent when not known
// (WIRE_UNSET, at == NULL).
//    key, field
#define WIRE_FACT_NUMBERS(X)                                                   \
    X(1, curl_code)                                                            \
    X(2, http_status)                                                          \
    X(3, http_version) /* 10, 11, 20, 30 */                                    \
    X(4, redirects)                                                            \
    X(5, dns_us)                                                               \
    X(6, connect_us)                                                           \
    X(7, tls_us)                                                               \
    X(8, first_byte_us)                                                        \
    X(9, total_us)                                                             \
    X(10, retry_after_s)                                                       \
    X(11, resumes)                                                             \
    X(12, unframed)                                                            \
    X(13, tls_version) /* 10, 11, 12, 13 */                                    \
    X(14, decoded)
#define WIRE_FACT_STRINGS(X)                                                   \
    X(20, message)   /* for people, of a failure */                            \
    X(21, final_url) /* when not the URL asked for */                          \
    X(22, content_type)                                                        \
    X(23, etag)                                                                \
    X(24, last_modified)                                                       \
    X(25, remote)   /* address:port */                                         \
    X(26, declared) /* see declared.h */                                       \
    X(27, content_encoding)

struct wire_facts {
#define X(key, field) uint64_t field;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) struct wire_bytes field;
    WIRE_FACT_STRINGS(X)
#undef X
};

// Makes every fact absent.
void wire_facts_init(struct wire_facts *facts);

struct wire_fetched {
    uint64_t job;
    uint32_t attempt;
    enum fail outcome; // FAIL_OK: the body's last segment follows this message
    uint64_t size;     // bytes of the body
    struct wire_facts facts;
};

struct wire_digest {
    uint64_t job;
    uint32_t attempt;
    uint64_t size; // bytes that were digested
    size_t digests_len;
    struct wire_bytes digests[WIRE_ALGORITHMS_MAX]; // raw, in the suite's order
};

struct wire_credit {
    uint64_t job;
    uint32_t attempt;
    uint64_t bytes;
};

// A job that a fetcher vouches for: it moves, or may still be silent. Also one
// that waits, and could as well be another fetcher's.
struct wire_vouched {
    uint64_t job;
    uint32_t attempt;
};

// Algorithms that a body is to be digested with beside its batch's.
struct wire_suite {
    uint64_t job;
    uint32_t attempt;
    size_t algorithms_len;
    struct wire_bytes algorithms[WIRE_ALGORITHMS_MAX];
};

// How a batch's requests are made: what is too long to be said with each JOBS.
// Absent is WIRE_UNSET, at == NULL, or no items.
//    key, field, highest
#define WIRE_PROFILE_NUMBERS(X)                                                \
    X(1, insecure, 1)                                                          \
    X(2, ip_version, 6)    /* 4, 6 */                                          \
    X(3, http_version, 20) /* 11, 20 */                                        \
    X(4, compressed, 1)
//    key, field, bytes at most
#define WIRE_PROFILE_STRINGS(X)                                                \
    X(10, user_agent, WIRE_PROFILE_BYTES_MAX)                                  \
    X(11, user, WIRE_PROFILE_BYTES_MAX) /* "user:password" */                  \
    X(12, proxy, WIRE_PROFILE_BYTES_MAX)                                       \
    X(13, cacert, WIRE_PROFILE_PEM_BYTES_MAX)
//    key, field, bytes of one at most
#define WIRE_PROFILE_LISTS(X)                                                  \
    X(20, headers, WIRE_PROFILE_HEADER_BYTES_MAX)                              \
    X(21, resolve, WIRE_PROFILE_BYTES_MAX)

struct wire_profile {
#define X(key, field, highest) uint64_t field;
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest) struct wire_bytes field;
    WIRE_PROFILE_STRINGS(X)
#undef X
#define X(key, field, longest)                                                 \
    const struct wire_bytes *field;                                            \
    size_t field##_len;
    WIRE_PROFILE_LISTS(X)
#undef X
};

// Makes everything absent.
void wire_profile_init(struct wire_profile *profile);
bool wire_profile_is_empty(const struct wire_profile *profile);

struct wire_aborted {
    uint64_t job;
    uint32_t attempt;
    enum wire_abort reason;
};

// One decoded message. Arrays point into the decoder. A suite is a list of
// algorithms by OpenSSL's names, lower case: "sha512,sha256".
struct wire_message {
    enum wire_kind kind;
    union {
        const struct wire_hello *hello;
        struct wire_welcome welcome;
        uint64_t ping_ttl_ms;
        struct {
            uint64_t load; // fetcher: jobs in hand; hasher: streams open
            const struct wire_vouched *items; // of a fetcher
            size_t len;
        } pong;
        struct {
            struct wire_request request;
            const struct wire_job *jobs;
            size_t len;
        } jobs;
        struct { // BODY and HASH; suites for HASH alone
            const struct wire_bytes *suites;
            size_t suites_len;
            const struct wire_segment *segments;
            size_t len;
            size_t bytes; // the raw frame's length must be this sum
        } body;
        struct {
            const struct wire_fetched *items;
            size_t len;
        } fetched;
        struct {
            uint64_t taken; // HASH messages consumed since the last DIGESTS
            const struct wire_digest *items;
            size_t len;
        } digests;
        struct {
            uint64_t bytes; // given back to the fetcher's window
            const struct wire_credit *items; // and to single transfers' windows
            size_t len;
        } credit;
        struct {
            const struct wire_aborted *items;
            size_t len;
        } abort;
        struct {
            const struct wire_suite *items;
            size_t len;
        } suite;
        struct {
            uint64_t place;
            const struct wire_profile *profile;
        } profile;
        struct {
            enum wire_pause reason;
            const struct wire_vouched *items; // jobs that wait meanwhile
            size_t len;
        } pause;
        struct {
            const struct wire_vouched *items;
            size_t len;
        } connected;
        uint64_t bye_is_final; // 0: no new work, please; 1: gone now
        struct {
            enum wire_error code;
            struct wire_bytes text;
        } error;
    };
};

// --- Decoding ---
struct wire_decoder;

// Returns 0 or -ENOMEM. The caller owns *out_decoder.
int wire_decoder_new(struct wire_decoder **out_decoder);
void wire_decoder_free(struct wire_decoder **decoder);

// Reads a first frame. *out_message borrows from the decoder and from data.
// Returns 0, -EPROTO (wire_decoder_error() says what is wrong), or -ENOMEM.
int wire_decode(struct wire_decoder *decoder, const void *data, size_t len,
                struct wire_message *out_message)
    __attribute__((warn_unused_result));

// One clause about the last -EPROTO, for an ERROR frame and the log; static.
const char *wire_decoder_error(const struct wire_decoder *decoder);

// --- Encoding ---
// A growing output frame, reused from message to message. An append that finds
// no memory is remembered and reported by wire_buf_error().
struct wire_buf;

int wire_buf_new(struct wire_buf **out_buf);
void wire_buf_free(struct wire_buf **buf);
const void *wire_buf_data(const struct wire_buf *buf);
size_t wire_buf_len(const struct wire_buf *buf);
// 0, -ENOMEM, or -EMSGSIZE: the message is longer than WIRE_HEAD_BYTES_MAX and
// every receiver would refuse it (count wire_fetched_bytes(), or URLs, to stay
// below).
int wire_buf_error(const struct wire_buf *buf);

// Each of these replaces what the buffer held by one whole message. Values must
// be within limits.h (asserted): they are our own. What strangers may have
// shaped is not: facts beyond their limits are left out, a fact's message and
// an error's text are cut.
void wire_put_hello(struct wire_buf *buf, const struct wire_hello *hello);
void wire_put_welcome(struct wire_buf *buf, const struct wire_welcome *welcome);
void wire_put_ping(struct wire_buf *buf, uint64_t ttl_ms);
void wire_put_pong(struct wire_buf *buf, uint64_t load,
                   const struct wire_vouched *items, size_t len);
void wire_put_jobs(struct wire_buf *buf, const struct wire_request *request,
                   const struct wire_job *jobs, size_t len);
void wire_put_body(struct wire_buf *buf, const struct wire_segment *segments,
                   size_t len);
void wire_put_fetched(struct wire_buf *buf, const struct wire_fetched *items,
                      size_t len);
void wire_put_hash(struct wire_buf *buf, const struct wire_bytes *suites,
                   size_t suites_len, const struct wire_segment *segments,
                   size_t len);
void wire_put_digests(struct wire_buf *buf, uint64_t taken,
                      const struct wire_digest *items, size_t len);
void wire_put_credit(struct wire_buf *buf, uint64_t bytes,
                     const struct wire_credit *items, size_t len);
void wire_put_abort(struct wire_buf *buf, const struct wire_aborted *items,
                    size_t len);
void wire_put_suite(struct wire_buf *buf, const struct wire_suite *items,
                    size_t len);
// The profile must keep to profile.h (asserted).
void wire_put_profile(struct wire_buf *buf, uint64_t place,
                      const struct wire_profile *profile);
void wire_put_pause(struct wire_buf *buf, enum wire_pause reason,
                    const struct wire_vouched *items, size_t len);
void wire_put_connected(struct wire_buf *buf, const struct wire_vouched *items,
                        size_t len);
void wire_put_bye(struct wire_buf *buf, bool is_final);
void wire_put_error(struct wire_buf *buf, enum wire_error code,
                    const char *text);

// What a fetcher means that pauses for this reason, one clause; static.
const char *wire_pause_meaning(enum wire_pause reason);

// True for a segment that is a whole body of its own, and can share a message
// with others.
bool wire_segment_is_whole(const struct wire_segment *segment);

// No FETCHED entry encodes to more bytes than this.
size_t wire_fetched_bytes(const struct wire_fetched *item);

// True for 1 to WIRE_NAME_MAX printable ASCII characters: a worker's name.
bool wire_name_is_valid(struct wire_bytes name);
// True for 1 to WIRE_ALGORITHM_NAME_MAX of [a-z0-9/-].
bool wire_algorithm_is_valid(struct wire_bytes name);
// True for 1 to WIRE_ALGORITHMS_MAX algorithms with a comma between each two.
bool wire_suite_is_valid(struct wire_bytes suite);

// The kind's name, "HELLO"; NULL for an unknown number. Static.
const char *wire_kind_name(uint64_t kind);
// The reason's name in lower case, "hasher_lost"; static.
const char *wire_abort_name(enum wire_abort reason);

#endif
