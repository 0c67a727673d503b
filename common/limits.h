// limits.h - every ceiling, with its unit and the reason for it
//
// A ceiling that a stranger can reach is a normal, tested answer: an error
// frame, a failed record, a refused request; never a crash.
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H
#include <stdint.h>

// --- The worker wire (proto/worker.md repeats these; a test compares) ---

// Version of the worker protocol that this build speaks.
#define WIRE_VERSION 2
// Bytes of the first (msgpack) frame: 1,024 jobs of ordinary URLs are 150 KiB.
#define WIRE_HEAD_BYTES_MAX (4 * 1024 * 1024)
// Bytes of a body frame: one libcurl delivery at its largest buffer, and large
// enough that per-message costs vanish beside the copy.
#define WIRE_BODY_BYTES_MAX (256 * 1024)
// Entries (jobs, segments, outcomes, digests) in one message.
#define WIRE_ENTRIES_MAX 1024
// Digests of one body in one pass.
#define WIRE_ALGORITHMS_MAX 8
// HASH messages that a hasher may take without a word of them in DIGESTS: what
// it can have begun when it is lost.
#define WIRE_UNTOLD_MAX 16
// Different algorithm lists in one HASH message.
#define WIRE_SUITES_MAX 16
// Bytes of an algorithm's name.
#define WIRE_ALGORITHM_NAME_MAX 31
// Algorithms a hasher can announce.
#define WIRE_HELLO_ALGORITHMS_MAX 64
// Bytes of one digest (SHA-512 needs 64; SHAKE may ask for more).
#define WIRE_DIGEST_BYTES_MAX 64
// Bytes of a worker's name.
#define WIRE_NAME_MAX 127
// Bytes of a free text for people (error frames, failure messages).
#define WIRE_TEXT_MAX 511
// Bytes of a header value that is passed on as a fact (ETag and so on); longer
// values are left out, not cut.
#define WIRE_FACT_MAX 1023
// Jobs one fetcher may ask to hold.
#define WIRE_CAPACITY_MAX 65535
// Bytes of a whole body: no signed 64-bit number anywhere can overflow.
#define WIRE_SIZE_MAX (UINT64_C(1) << 62)
// Bytes of one window or one CREDIT: any number of them can be added up.
#define WIRE_WINDOW_MAX (UINT64_C(1) << 40)
// Milliseconds of a TTL: a day.
#define WIRE_TTL_MS_MAX 86400000
// The highest protocol version a HELLO may name.
#define WIRE_VERSION_MAX 65535
// Facts that count or name a code; facts that are times.
#define WIRE_FACT_CODE_MAX 65535
#define WIRE_FACT_TIME_MAX (UINT64_C(1) << 48)

// Profiles (how a batch's requests are made) that a fetcher keeps at a time: of
// more batches that have one, some are told again.
#define WIRE_PROFILES_MAX 32
// Header lines of a profile; entries of its --resolve. Servers take about 100
// lines.
#define WIRE_PROFILE_ITEMS_MAX 64
// Bytes of one header line, and of all together: what servers take.
#define WIRE_PROFILE_HEADER_BYTES_MAX (8 * 1024)
#define WIRE_PROFILE_HEADERS_BYTES_MAX (32 * 1024)
// Bytes of user and password, a proxy's URL, a User-Agent, an entry of
// --resolve.
#define WIRE_PROFILE_BYTES_MAX 2048
// Bytes of CA certificates: some dozens of them. All that a system trusts are
// 220 KiB, but those a fetcher has anyway.
#define WIRE_PROFILE_PEM_BYTES_MAX (128 * 1024)

// --- Hasher ---

// Bodies on their way in pieces, a thread: as many as one fetcher can have in
// hand, so that one hasher thread serves any fetcher. An open SHA-512 costs 0.7
// KiB.
#define HASHER_STREAMS_MAX 65536
// Threads of one hasher: above any machine's.
#define HASHER_THREADS_MAX 1024

// --- Fetcher ---

// Bytes of all header lines that answer one request, interim answers and
// trailers among them. Browsers stop at as much; libcurl stops later or, if it
// is old, never.
#define HEADER_BYTES_MAX (256 * 1024)
// ... and how many: libcurl keeps each, with 100 bytes beside its own, until
// the handle's next request.
#define HEADER_LINES_MAX 2000
// Shares of TLS sessions (fetcher/tls_sessions.h), of libcurl's eight each: for
// some 2,000 origins, about 5 KiB a session.
#define TLS_SHARES_MAX 256
// The same of each profile that keeps its connections apart, of which there are
// some thirty: about 2.5 MiB.
#define TLS_SHARES_PROFILE_MAX 64
// Origins that are remembered for telling no lengths, as many for bytes that
// nobody asked for, and as many for not sharing connections (fetcher/apart.h):
// 8 bytes each.
#define APART_ORIGINS_MAX 4096

// --- URLs and batches ---

// Bytes of a URL. Browsers and servers stop far below; libcurl above.
#define URL_BYTES_MAX (64 * 1024)
// Bytes of a batch id (32 hex digits when we make it).
#define BATCH_ID_MAX 64
// Bytes of all options of unfinished batches, a broker: those of more batches
// wait in the store until some have ended.
#define OPTIONS_BYTES_MAX ((size_t)64 * 1024 * 1024)
// URLs and bytes of one submission message; larger ones are refused.
#define SUBMIT_URLS_MAX 4096
#define SUBMIT_BYTES_MAX (128 * 1024)
// Bytes of a request's frame, with what protobuf adds to the URLs; above it the
// connection ends.
#define REQUEST_FRAME_BYTES_MAX (192 * 1024)
// Records and bytes of one page of results.
#define RESULTS_ROWS_MAX 4096
#define RESULTS_BYTES_MAX (1024 * 1024)
// Sequence numbers fit in the low 40 bits of a job number: 10^12 URLs a batch.
#define JOB_SEQ_BITS 40

// --- Politeness ---

// Seconds of a Retry-After: a server that asks for more is asked again after a
// day.
#define RETRY_AFTER_MAX_S (24 * 60 * 60)
// Origins that nobody works at and that are remembered all the same, because
// they are closed or parked: about 500 bytes each. Beyond it the next one is
// forgotten, and asked as if for the first time when it comes back.
#define HOSTS_KEPT_MAX 65536

// --- Default ports (tcp://host without a port means the role's own) ---
#define PORT_CLIENT 5550
#define PORT_FETCHER 5551
#define PORT_HASHER 5552
#define PORT_HTTP 5553

// --- What --http answers (common/http.c) ---

// Connections at once, if the limit of open files allows as many: a scraper and
// a few probes need one each. One more ends the oldest, so whoever only holds
// them cannot keep the others out.
#define HTTP_PEERS_MAX 64
// Open files that all this may take: those, some that are about to be closed,
// what listens and watches.
#define HTTP_FILES_MAX (HTTP_PEERS_MAX + 20)
// Milliseconds of a connection, its answer included: slow readers and writers
// end here.
#define HTTP_PEER_MS 10000
// Bytes of a request's head, and what libmicrohttpd needs beside it.
#define HTTP_PEER_BYTES (8 * 1024)

#endif
