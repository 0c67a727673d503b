#include "fetcher/request.h"

#include "fetcher/decoder.h"
#include "fetcher/profile.h"
#include "fetcher/settings.h"
#include "fetcher/transfer.h"
#include "proto/profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Not that of any profile: credentials of the job's URL.
#define HOME_CREDENTIALS UINT64_MAX

// --- Profiles ---

static CURLcode
tell_trust(CURL *easy, const struct transfer_env *env,
           const struct profile *profile)
{
    bool is_own = profile && profile->cacert.at;
    struct curl_blob blob = {.flags = CURL_BLOB_NOCOPY};
    CURLcode code = CURLE_OK;
    long verify = profile && profile->is_insecure ? 0 : 1;

    if (is_own) {
        // The profile lasts as long as the handle runs under it.
        blob.data = (void *)(uintptr_t)profile->cacert.at;
        blob.len = profile->cacert.len;
    }
    code |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
    code |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify * 2);
    code |= curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, is_own ? &blob : NULL);
    // A folder of certificates would be trusted beside the file.
    code |= curl_easy_setopt(easy, CURLOPT_CAPATH,
                             is_own || env->cacert
                                 ? NULL
                                 : curl_version_info(CURLVERSION_NOW)->capath);
    return code;
}

static CURLcode
tell_proxy(CURL *easy, const struct settings *settings,
           const struct profile *profile)
{
    const char *proxy = profile ? profile->proxy : NULL;
    // libcurl would look through the environment for each request.
    bool is_none =
        !proxy && !settings->has_http_proxy && !settings->has_https_proxy;
    // Where a proxy enforces the policy nothing goes around it.
    bool is_enforced = settings->is_http_proxied || settings->is_https_proxied;
    CURLcode code = CURLE_OK;

    code |= curl_easy_setopt(easy, CURLOPT_PROXY, is_none ? "" : proxy);
    code |= curl_easy_setopt(easy, CURLOPT_NOPROXY,
                             is_none || is_enforced ? "" : NULL);
    return code;
}

static long
ip_resolve(uint64_t ip_version)
{
    return ip_version == 4   ? CURL_IPRESOLVE_V4
           : ip_version == 6 ? CURL_IPRESOLVE_V6
                             : CURL_IPRESOLVE_WHATEVER;
}

int
request_tell_profile(struct transfer *transfer)
{
    const struct profile *profile = transfer->profile;
    const struct transfer_env *env = transfer->env;
    const char *agent = env->user_agent;
    uint64_t id = profile ? profile->id : 0;
    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;

    if (id == transfer->told_profile)
        return 0;
    if (profile && profile->user_agent)
        agent = *profile->user_agent ? profile->user_agent : NULL;
    code |= curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
    code |= tell_proxy(easy, env->settings, profile);
    code |= curl_easy_setopt(easy, CURLOPT_IPRESOLVE,
                             ip_resolve(profile ? profile->ip_version : 0));
    code |= tell_trust(easy, env, profile);
    transfer->told_profile = code == CURLE_OK ? id : UINT64_MAX;
    return code == CURLE_OK ? 0 : -ENOMEM;
}

// --- Credentials ---

int
request_tell_credentials(struct transfer *transfer, bool are_wanted)
{
    const struct redirect_home *home = &transfer->home;
    const struct profile *profile = transfer->profile;
    bool is_profiles = are_wanted && profile && profile->user;
    const char *user = is_profiles ? profile->user : home->user;
    const char *password = is_profiles ? profile->password : home->password;
    uint64_t whose = is_profiles ? profile->id : HOME_CREDENTIALS;
    CURLcode code = CURLE_OK;

    if (!are_wanted || (!user && !password)) {
        user = password = NULL;
        whose = 0;
    }
    if (whose == transfer->told_credentials && whose != HOME_CREDENTIALS)
        return 0;
    code |= curl_easy_setopt(transfer->easy, CURLOPT_USERNAME, user);
    code |= curl_easy_setopt(transfer->easy, CURLOPT_PASSWORD, password);
    transfer->told_credentials = code == CURLE_OK ? whose : HOME_CREDENTIALS;
    return code == CURLE_OK ? 0 : -ENOMEM;
}

// --- Header lines ---

// A server that knows them may then declare a digest (RFC 9530, RFC 3230).
static const char *const want_lines[] = {
    "Want-Repr-Digest: sha-256=10, sha-512=9",
    "Want-Digest: SHA-256, SHA-512;q=0.9",
};

static int
add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer)
        *list = longer;
    return longer ? 0 : -ENOMEM;
}

static struct wire_bytes
name_of(const char *line)
{
    enum profile_header how;

    return profile_header_name((struct wire_bytes){line, strlen(line)}, &how);
}

// True when the user has a line for the header that line is.
static bool
is_users(const struct profile *profile, const char *line)
{
    struct wire_bytes name = name_of(line), own;

    if (!profile)
        return false;
    for (const struct curl_slist *at = profile->headers; at; at = at->next) {
        own = name_of(at->data);
        if (own.len == name.len && strncasecmp(own.at, name.at, own.len) == 0)
            return true;
    }
    return false;
}

// One of ours, unless the user has another one.
static int
add_own_line(struct curl_slist **list, const struct profile *profile,
             const char *line)
{
    return is_users(profile, line) ? 0 : add_line(list, line);
}

static int
add_users_lines(struct curl_slist **list, const struct transfer *transfer)
{
    const struct curl_slist *at =
        transfer->profile ? transfer->profile->headers : NULL;
    int err = 0;

    for (; at && !err; at = at->next) {
        if (!transfer->is_away || profile_header_travels(name_of(at->data)))
            err = add_line(list, at->data);
    }
    return err;
}

// Which part of the body is wanted, and on which condition.
static int
tell_range(struct transfer *transfer, struct curl_slist **list)
{
    char line[VALIDATOR_BYTES_MAX + 32], range[32];
    bool is_range = transfer->resume.is_range;

    if (!is_range && !transfer->has_range)
        return 0;
    (void)snprintf(range, sizeof(range), "%" PRIu64 "-", transfer->body.size);
    if (curl_easy_setopt(transfer->easy, CURLOPT_RANGE,
                         is_range ? range : NULL) != CURLE_OK)
        return -ENOMEM;
    transfer->has_range = is_range;
    if (!is_range)
        return 0;
    (void)snprintf(line, sizeof(line), "If-Range: %s",
                   transfer->resume.validator.text);
    return add_line(list, line);
}

int
request_tell_headers(struct transfer *transfer)
{
    const struct profile *profile = transfer->profile;
    struct curl_slist *list = NULL;
    CURLcode code = CURLE_OK;
    int err = tell_range(transfer, &list);

    for (size_t i = 0; i < sizeof(want_lines) / sizeof(*want_lines); i++) {
        if (transfer->set.want_digest && !err)
            err = add_own_line(&list, profile, want_lines[i]);
    }
    if (profile && profile->is_compressed && !err)
        err = add_own_line(&list, profile, DECODER_ACCEPT);
    if (!err)
        err = add_users_lines(&list, transfer);
    if (list || transfer->headers)
        code |= curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, list);
    curl_slist_free_all(transfer->headers);
    transfer->headers = list;
    return err || code != CURLE_OK ? -ENOMEM : 0;
}
