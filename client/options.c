#include "client/options.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

#define MS(seconds) ((int64_t)(seconds)*1000)
#define DAY_MS MS(86400)

const struct conf_option connection_options[] = {
    {.name = "broker",
     .type = CONF_STRING,
     .offset = offsetof(struct connection_options, broker),
     .arg = "ENDPOINT",
     .help = "The broker: tcp://HOST[:PORT], ipc://PATH; default port 5550"},
    {.name = "connect-wait",
     .type = CONF_SECONDS,
     .offset = offsetof(struct connection_options, connect_wait_ms),
     .initial = "5",
     .highest = DAY_MS,
     .arg = "SECONDS",
     .help =
         "Give up when no broker could be reached for so long at the start"},
    {.name = "broker-wait",
     .type = CONF_SECONDS,
     .offset = offsetof(struct connection_options, broker_wait_ms),
     .initial = "60",
     .highest = DAY_MS,
     .arg = "SECONDS",
     .help = "Wait so long for a broker that went away or cannot store"},
    {.name = NULL},
};

const struct conf_option output_options[] = {
    {.name = "format",
     .type = CONF_CHOICE,
     .offset = offsetof(struct output_options, format),
     .initial = "sum",
     .arg = FORMAT_CHOICE,
     .help = "What a result looks like: sum (as of sha512sum), tag (as of its "
             "--tag), jsonl or csv (full records), sri (integrity of HTML)"},
    {.name = "output",
     .short_flag = 'o',
     .type = CONF_STRING,
     .offset = offsetof(struct output_options, output),
     .arg = "FILE",
     .help = "Write results to FILE, not to stdout; what it held goes with the "
             "first result"},
    {.name = "ordered",
     .type = CONF_BOOL,
     .offset = offsetof(struct output_options, is_ordered),
     .help = "Results in the order of the list, not as they are ready"},
    {.name = "zero",
     .short_flag = 'z',
     .type = CONF_BOOL,
     .offset = offsetof(struct output_options, is_zero_ended),
     .help = "End lines of sum and tag with NUL and escape nothing"},
    {.name = "quiet",
     .short_flag = 'q',
     .type = CONF_BOOL,
     .offset = offsetof(struct output_options, is_quiet),
     .help = "No progress line, no line for each failed URL on stderr"},
    {.name = "no-progress",
     .type = CONF_BOOL,
     .offset = offsetof(struct output_options, has_no_progress),
     .help = "No progress line (there is one only on a terminal)"},
    {.name = NULL},
};

const struct conf_option list_options[] = {
    {.name = "input",
     .short_flag = 'i',
     .type = CONF_LIST,
     .offset = offsetof(struct list_options, input),
     .arg = "FILE",
     .help = "Read URLs from FILE, one a line ('-': stdin; gzip and zstd are "
             "unpacked)"},
    {.name = "algorithms",
     .short_flag = 'a',
     .type = CONF_STRING,
     .offset = offsetof(struct list_options, algorithms),
     .initial = "sha512",
     .arg = "ALGORITHM,...",
     .help = "Digests to compute in one pass, by OpenSSL's names: "
             "sha512,sha256,md5"},
    {.name = NULL},
};

const struct conf_option batch_options[] = {
    {.name = "retry",
     .type = CONF_INT,
     .offset = offsetof(struct batch_options, retry),
     .initial = "3",
     .highest = 1000,
     .arg = "N",
     .help = "Further tries after a transient failure (timeout, cut "
             "connection, 408 429 500 502 503 504)"},
    {.name = "retry-all-errors",
     .type = CONF_BOOL,
     .offset = offsetof(struct batch_options, retry_all_errors),
     .help = "Retry after every failure"},
    {.name = "want-digest",
     .type = CONF_BOOL,
     .offset = offsetof(struct batch_options, want_digest),
     .help = "Ask servers for digests, compute what they declare in the same "
             "pass, and compare"},
    {.name = "weight",
     .type = CONF_INT,
     .offset = offsetof(struct batch_options, weight),
     .initial = "1",
     .lowest = 1,
     .highest = 100,
     .arg = "N",
     .help = "The batch's share of the fleet beside other batches"},
    {.name = NULL},
};

const struct conf_option transfer_options[] = {
    {.name = "max-redirs",
     .type = CONF_INT,
     .offset = offsetof(struct transfer_options, max_redirs),
     .highest = 1000,
     .arg = "N",
     .help = "Follow at most N redirects (not given: the fetchers' setting, as "
             "for the next six)"},
    {.name = "connect-timeout",
     .type = CONF_SECONDS,
     .offset = offsetof(struct transfer_options, connect_timeout_ms),
     .highest = DAY_MS,
     .arg = "SECONDS",
     .help = "Longest time to connect"},
    {.name = "speed-limit",
     .short_flag = 'Y',
     .type = CONF_SIZE,
     .offset = offsetof(struct transfer_options, speed_limit),
     .highest = INT64_C(1) << 40,
     .arg = "BYTES",
     .help =
         "Give a transfer up that moves fewer bytes a second for --speed-time"},
    {.name = "speed-time",
     .short_flag = 'y',
     .type = CONF_SECONDS,
     .offset = offsetof(struct transfer_options, speed_time_ms),
     .highest = DAY_MS,
     .arg = "SECONDS",
     .help = "How long a transfer may be slower than --speed-limit"},
    {.name = "max-time",
     .short_flag = 'm',
     .type = CONF_SECONDS,
     .offset = offsetof(struct transfer_options, max_time_ms),
     .highest = INT64_C(1) << 40,
     .arg = "SECONDS",
     .help = "Longest time of one attempt"},
    {.name = "max-filesize",
     .type = CONF_SIZE,
     .offset = offsetof(struct transfer_options, max_filesize),
     .highest = INT64_C(1) << 62,
     .arg = "BYTES",
     .help = "Refuse larger bodies"},
    {.name = "no-resume",
     .type = CONF_BOOL,
     .offset = offsetof(struct transfer_options, no_resume),
     .help = "Fetch a body that was cut from its start"},
    {.name = "cacert",
     .type = CONF_STRING,
     .offset = offsetof(struct transfer_options, cacert),
     .arg = "FILE",
     .help = "Trust the CA certificates of this PEM file only; it goes with "
             "the batch"},
    {.name = "user-agent",
     .short_flag = 'A',
     .type = CONF_STRING,
     .offset = offsetof(struct transfer_options, user_agent),
     .arg = "NAME",
     .help = "What the User-Agent header says"},
    {.name = NULL},
};

void
options_note_given(struct given *given, const struct conf_option *row,
                   bool by_flag)
{
    if (given->len == sizeof(given->names) / sizeof(*given->names))
        return; // there are fewer rows than that
    given->names[given->len] = row->name;
    given->by_flag[given->len] = by_flag;
    given->len++;
}

bool
options_is_given(const struct given *given, const char *name)
{
    for (size_t i = 0; i < given->len; i++) {
        if (strcmp(given->names[i], name) == 0)
            return true;
    }
    return false;
}

void
options_to_batch(const struct given *given, const struct batch_options *batch,
                 const struct transfer_options *transfer,
                 Urlsum__V1__BatchOptions *out_options)
{
    urlsum__v1__batch_options__init(out_options);
    SET_IF_GIVEN("retry", 1, retry_is, retry, (uint32_t)batch->retry)
    SET_IF_GIVEN("retry-all-errors", 2, retry_all_errors_is, retry_all_errors,
                 batch->retry_all_errors)
    SET_IF_GIVEN("max-redirs", 3, max_redirs_is, max_redirs,
                 (uint32_t)transfer->max_redirs)
    SET_IF_GIVEN("connect-timeout", 4, connect_timeout_ms_is,
                 connect_timeout_ms, (uint64_t)transfer->connect_timeout_ms)
    SET_IF_GIVEN("speed-limit", 5, speed_limit_is, speed_limit,
                 (uint64_t)transfer->speed_limit)
    // Rounded up: less than a second must not become "never".
    SET_IF_GIVEN("speed-time", 6, speed_time_s_is, speed_time_s,
                 (uint64_t)(transfer->speed_time_ms + 999) / 1000)
    SET_IF_GIVEN("max-time", 7, max_time_ms_is, max_time_ms,
                 (uint64_t)transfer->max_time_ms)
    SET_IF_GIVEN("max-filesize", 8, max_filesize_is, max_filesize,
                 (uint64_t)transfer->max_filesize)
    SET_IF_GIVEN("no-resume", 10, no_resume_is, no_resume, transfer->no_resume)
    SET_IF_GIVEN("want-digest", 11, want_digest_is, want_digest,
                 batch->want_digest)
    SET_IF_GIVEN("weight", 9, weight_is, weight, (uint32_t)batch->weight)
}

// --- Algorithms ---

// Replaces a name that OpenSSL understands ("sha-512", "sha2-512") by the usual
// one, the one that hashers announce: "sha512". False when there is no such
// digest, or none of one fixed length that fits the wire.
static bool
make_usual(char name[WIRE_ALGORITHM_NAME_MAX + 1])
{
    EVP_MD *digest = EVP_MD_fetch(NULL, name, NULL);
    const char *usual = NULL;
    bool is_usable = false;
    int size;

    if (!digest)
        return false;
    size = EVP_MD_get_size(digest);
    if (EVP_MD_get_type(digest) != NID_undef)
        usual = OBJ_nid2sn(EVP_MD_get_type(digest));
    if (usual && strlen(usual) <= WIRE_ALGORITHM_NAME_MAX && size > 0 &&
        size <= WIRE_DIGEST_BYTES_MAX &&
        !(EVP_MD_get_flags(digest) & EVP_MD_FLAG_XOF)) {
        for (size_t i = 0; i <= strlen(usual); i++)
            name[i] = (char)tolower((unsigned char)usual[i]);
        is_usable = true;
    }
    EVP_MD_free(digest);
    return is_usable;
}

static bool
is_listed(const struct format *format, const char *name)
{
    for (size_t i = 0; i < format->algorithms_len; i++) {
        if (strcmp(format->algorithms[i], name) == 0)
            return true;
    }
    return false;
}

const char *
options_parse_algorithms(const char *list, struct format *format, char *why,
                         size_t why_size)
{
    format->algorithms_len = 0;
    for (;;) {
        size_t len = strcspn(list, ",");
        char *name = format->algorithms[format->algorithms_len];

        if (format->algorithms_len == WIRE_ALGORITHMS_MAX)
            return "at most 8 algorithms in one pass";
        if (!len || len > WIRE_ALGORITHM_NAME_MAX)
            return "-a wants names with commas between, as in sha512,md5";
        memcpy(name, list, len);
        name[len] = '\0';
        if (!make_usual(name)) {
            (void)snprintf(why, why_size,
                           "-a: '%.*s' is no digest of fixed length that "
                           "OpenSSL offers here",
                           (int)len, list);
            return why;
        }
        if (is_listed(format, name)) {
            (void)snprintf(why, why_size, "-a: '%.*s' is in the list twice",
                           (int)len, list);
            return why;
        }
        format->algorithms_len++;
        list += len;
        if (!*list)
            return NULL;
        list++;
    }
}

void
options_parse_format(const struct output_options *options,
                     struct format *format)
{
    (void)format_parse(options->format, &format->kind); // a word of the row
    format->is_zero_ended = options->is_zero_ended;
}

bool
options_is_batch_id(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= BATCH_ID_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789._-") == len;
}
