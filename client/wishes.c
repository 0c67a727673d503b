#include "client/wishes.h"

#include "client/say.h"
#include "common/endpoint.h"
#include "proto/profile.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Bytes of a file with header lines: more than they may have together.
#define HEADER_FILE_MAX ((size_t)64 * 1024)
// Of one with CA certificates: what is too much for a profile is said of its
// own size, and not of this.
#define PEM_FILE_MAX ((size_t)1024 * 1024)

const struct conf_option wish_options[] = {
    {.name = "header",
     .short_flag = 'H',
     .type = CONF_SECRETS,
     .offset = offsetof(struct wish_options, headers),
     .arg = "LINE",
     .help = "Send this header, 'Name: value'; 'Name:' removes one, 'Name;' "
             "sends it empty, @FILE has lines of them; may be given again. "
             "Another origin, by redirect, gets none that could be secret"},
    {.name = "user",
     .short_flag = 'u',
     .type = CONF_SECRET,
     .offset = offsetof(struct wish_options, user),
     .arg = "USER:PASSWORD",
     .help = "Log in (Basic) at the URLs' own origins; @FILE has it in its "
             "first line, where other users of this machine do not see it"},
    {.name = "proxy",
     .short_flag = 'x',
     .type = CONF_SECRET,
     .offset = offsetof(struct wish_options, proxy),
     .arg = "URL",
     .help = "Fetch through this proxy, [http://][USER:PASSWORD@]HOST:PORT, or "
             "https, socks4, socks4a, socks5, socks5h; a fetcher must allow it "
             "(--proxy-enforces-policy)"},
    {.name = "insecure",
     .short_flag = 'k',
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_insecure),
     .help = "Do not look at servers' TLS certificates"},
    {.name = "resolve",
     .type = CONF_LIST,
     .offset = offsetof(struct wish_options, resolve),
     .arg = "HOST:PORT:ADDRESS,...",
     .help = "Connect to these addresses for that host (* is every one) and "
             "port; may be given again"},
    {.name = "ipv4",
     .short_flag = '4',
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_ipv4),
     .help = "Connect to IPv4 addresses only"},
    {.name = "ipv6",
     .short_flag = '6',
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_ipv6),
     .help = "Connect to IPv6 addresses only"},
    {.name = "http1.1",
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_http1_1),
     .help = "Speak HTTP/1.1 only"},
    {.name = "http2",
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_http2),
     .help = "Speak HTTP/2 with https servers that can"},
    {.name = "compressed",
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_compressed),
     .help = "Ask for gzip or deflate and digest the decoded body (the record "
             "says decoded); without it, what comes is digested as it comes"},
    {.name = "any-status",
     .type = CONF_BOOL,
     .offset = offsetof(struct wish_options, is_any_status),
     .help = "Digest bodies of error answers too; 408, 429, 500, 502, 503 and "
             "504 are tried again before (--retry)"},
    {.name = NULL},
};

// --- Files ---

static int
fail_file(const char *flag, const char *path, const char *why)
{
    say("%s %s: %s", flag, path, why);
    return EXIT_USAGE;
}

static void
free_file(struct wish_file *file)
{
    if (file->text)
        explicit_bzero(file->text, file->len);
    free(file->text);
    *file = (struct wish_file){NULL, 0};
}

// Reads a file of at most so many bytes. Returns 0 or an exit code.
static int
read_file(const char *flag, const char *path, size_t most,
          struct wish_file *out_file)
{
    FILE *file = fopen(path, "rbe");
    struct wish_file read = {malloc(most + 1), 0};
    int code = 0;

    if (!file || !read.text) {
        code = fail_file(flag, path, strerror(errno));
        goto out;
    }
    (void)setvbuf(file, NULL, _IONBF, 0); // no copy of a secret stays behind
    read.len = fread(read.text, 1, most + 1, file);
    if (ferror(file))
        code = fail_file(flag, path, strerror(errno));
    else if (read.len > most)
        code = fail_file(flag, path, "too large");
    if (code)
        goto out;
    read.text[read.len] = '\0';
    *out_file = read;
    read.text = NULL;
out:
    if (file)
        (void)fclose(file); // it was only read
    free_file(&read);
    return code;
}

// --- Headers ---

// The line stays the caller's. Returns 0 or an exit code; where is for people.
static int
add_header(struct wishes *wishes, const char *line, size_t len,
           const char *where)
{
    const char *why = profile_header_complaint((struct wire_bytes){line, len});
    Urlsum__V1__Profile *profile = &wishes->profile;

    if (why) {
        say("%s: %s", where, why);
        return EXIT_USAGE;
    }
    if (profile->n_headers == WIRE_PROFILE_ITEMS_MAX) {
        say("%s: more than %d headers", where, WIRE_PROFILE_ITEMS_MAX);
        return EXIT_USAGE;
    }
    profile->headers[profile->n_headers++] =
        (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)line};
    return 0;
}

static int
add_header_file(struct wishes *wishes, const char *path)
{
    size_t number = 1;
    const char *at, *end;
    int code;

    if (wishes->lines.text) {
        say("-H @%s: one file of headers is all there can be", path);
        return EXIT_USAGE;
    }
    code = read_file("-H", path, HEADER_FILE_MAX, &wishes->lines);
    if (code)
        return code;
    at = wishes->lines.text;
    end = at + wishes->lines.len;
    for (; !code && at < end; number++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        size_t line = feed ? (size_t)(feed - at) : (size_t)(end - at);
        char where[64];

        (void)snprintf(where, sizeof(where), "-H, line %zu of its file",
                       number);
        if (line && at[line - 1] == '\r')
            line--;
        if (line)
            code = add_header(wishes, at, line, where);
        at = feed ? feed + 1 : end;
    }
    return code;
}

static int
read_headers(const struct conf_list *list, struct wishes *wishes)
{
    int code = 0;

    for (size_t i = 0; i < list->len && !code; i++) {
        const char *item = list->items[i];
        char where[32];

        (void)snprintf(where, sizeof(where), "-H, number %zu", i + 1);
        if (*item == '@')
            code = add_header_file(wishes, item + 1);
        else
            code = add_header(wishes, item, strlen(item), where);
    }
    return code;
}

// --- The rest ---

static ProtobufCBinaryData
data_of(const char *text, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)text};
}

static int
refuse(const char *flag, const char *why)
{
    if (why)
        say("%s: %s", flag, why);
    return why ? EXIT_USAGE : 0;
}

static int
read_user(const char *user, struct wishes *wishes)
{
    size_t len = strlen(user);
    int code;

    if (*user == '@') {
        code = read_file("-u", user + 1, WIRE_PROFILE_BYTES_MAX + 2,
                         &wishes->user);
        if (code)
            return code;
        user = wishes->user.text;
        // Its first line, a NUL among it: that is complained of below.
        for (len = 0; len < wishes->user.len; len++) {
            if (user[len] == '\r' || user[len] == '\n')
                break;
        }
    }
    wishes->profile.user = data_of(user, len);
    return refuse("-u", profile_user_complaint((struct wire_bytes){user, len}));
}

static int
read_resolve(const struct conf_list *list, struct wishes *wishes)
{
    int code = 0;

    for (size_t i = 0; i < list->len && !code; i++) {
        size_t len = strlen(list->items[i]);

        if (i == WIRE_PROFILE_ITEMS_MAX)
            return refuse("--resolve", "more than 64 entries");
        wishes->profile.resolve[wishes->profile.n_resolve++] =
            data_of(list->items[i], len);
        code =
            refuse("--resolve", profile_resolve_complaint(
                                    (struct wire_bytes){list->items[i], len}));
    }
    return code;
}

// libcurl would find out with the first URL, and with each of them.
static const char *
pem_complaint(const struct wish_file *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->text, (int)pem->len);
    const char *why = "no PEM file with CA certificates";
    X509 *certificate;

    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_free(certificate);
        why = NULL;
    }
    if (!why && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        why = "a certificate of the PEM file is damaged";
    ERR_clear_error();
    BIO_free(bio);
    return why;
}

int
wishes_check_cacert(const char *path, struct wish_file *out_pem)
{
    int code = read_file("--cacert", path, PEM_FILE_MAX, out_pem);
    const char *why = code ? NULL : pem_complaint(out_pem);

    return why ? fail_file("--cacert", path, why) : code;
}

static int
read_cacert(const char *path, struct wishes *wishes)
{
    const struct wish_file *pem = &wishes->pem;
    int code = wishes_check_cacert(path, &wishes->pem);

    if (code)
        return code;
    wishes->profile.cacert = data_of(pem->text, pem->len);
    return refuse("--cacert", profile_cacert_complaint(
                                  (struct wire_bytes){pem->text, pem->len}));
}

static int
read_user_agent(const char *agent, struct wishes *wishes)
{
    size_t len = strlen(agent);

    wishes->profile.user_agent_is_case =
        URLSUM__V1__PROFILE__USER_AGENT_IS_USER_AGENT;
    wishes->profile.user_agent = data_of(agent, len);
    return refuse("-A",
                  profile_agent_complaint((struct wire_bytes){agent, len}));
}

// What is well by itself, and not together.
static int
check_together(const struct wish_options *options, const struct wishes *wishes)
{
    const Urlsum__V1__Profile *profile = &wishes->profile;
    size_t bytes = 0;

    for (size_t i = 0; i < profile->n_headers; i++)
        bytes += profile->headers[i].len;
    if (bytes > WIRE_PROFILE_HEADERS_BYTES_MAX)
        return refuse("-H", "headers of more than 32 KiB together");
    if (options->is_ipv4 && options->is_ipv6)
        return refuse("-4 and -6", "one of them is enough");
    if (options->is_http1_1 && options->is_http2)
        return refuse("--http1.1 and --http2", "one of them is enough");
    return 0;
}

int
wishes_read(const struct wish_options *options, const char *user_agent,
            const char *cacert, struct wishes *out_wishes)
{
    Urlsum__V1__Profile *profile = &out_wishes->profile;
    int code;

    urlsum__v1__profile__init(profile);
    profile->headers =
        calloc(WIRE_PROFILE_ITEMS_MAX, sizeof(*profile->headers));
    profile->resolve =
        calloc(WIRE_PROFILE_ITEMS_MAX, sizeof(*profile->resolve));
    if (!profile->headers || !profile->resolve) {
        say("out of memory");
        return EXIT_INCOMPLETE;
    }
    code = read_headers(&options->headers, out_wishes);
    if (!code && options->user)
        code = read_user(options->user, out_wishes);
    if (!code && options->proxy) {
        size_t len = strlen(options->proxy);

        profile->proxy = data_of(options->proxy, len);
        code = refuse("--proxy", profile_proxy_complaint(
                                     (struct wire_bytes){options->proxy, len}));
    }
    if (!code)
        code = read_resolve(&options->resolve, out_wishes);
    if (!code && user_agent)
        code = read_user_agent(user_agent, out_wishes);
    if (!code && cacert)
        code = read_cacert(cacert, out_wishes);
    if (!code)
        code = check_together(options, out_wishes);
    out_wishes->has_profile = profile->n_headers || profile->n_resolve ||
                              options->user || options->proxy || user_agent ||
                              cacert;
    return code;
}

void
wishes_fini(struct wishes *wishes)
{
    free(wishes->profile.headers);
    free(wishes->profile.resolve);
    free_file(&wishes->lines);
    free_file(&wishes->user);
    free_file(&wishes->pem);
    *wishes = (struct wishes){.has_profile = false};
}

void
wishes_warn(const struct wishes *wishes,
            const struct connection_options *connection)
{
    const Urlsum__V1__Profile *profile = &wishes->profile;
    char endpoint[ENDPOINT_MAX];

    if (!profile->n_headers && !profile->user.len && !profile->proxy.len)
        return;
    if (connection->keys.key_file || !connection->broker ||
        endpoint_resolve(connection->broker, PORT_CLIENT, endpoint) != 0 ||
        endpoint_is_local(endpoint))
        return;
    say("WARNING: headers and passwords go to %s in the clear, and from there "
        "to its fetchers: it is reached without keys (--key-file)",
        connection->broker);
}

void
wishes_to_batch(const struct given *given, const struct wish_options *options,
                const struct wishes *wishes,
                Urlsum__V1__BatchOptions *out_options)
{
    SET_IF_GIVEN("any-status", 12, any_status_is, any_status,
                 options->is_any_status)
    SET_IF_GIVEN("insecure", 13, insecure_is, insecure, options->is_insecure)
    SET_IF_GIVEN("compressed", 16, compressed_is, compressed,
                 options->is_compressed)
    if (options->is_ipv4 || options->is_ipv6) {
        out_options->ip_version_is_case = 14;
        out_options->ip_version = options->is_ipv4 ? 4 : 6;
    }
    if (options->is_http1_1 || options->is_http2) {
        out_options->http_version_is_case = 15;
        out_options->http_version = options->is_http2 ? 20 : 11;
    }
    if (wishes->has_profile)
        out_options->profile = (Urlsum__V1__Profile *)&wishes->profile;
}
