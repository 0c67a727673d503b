#include "fetcher/redirect.h"

#include "common/limits.h"

#include <curl/curl.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

int
redirect_rule_parse(const char *text, enum redirect_rule *out_rule)
{
    bool has_http = false, has_https = false;

    if (!text) {
        *out_rule = REDIRECT_KEEPS_HTTPS;
        return 0;
    }
    text += *text == '='; // curl's "just these", which it is here anyway
    for (;;) {
        size_t len = strcspn(text, ",");

        if (len == 4 && strncasecmp(text, "http", len) == 0)
            has_http = true;
        else if (len == 5 && strncasecmp(text, "https", len) == 0)
            has_https = true;
        else
            return -EINVAL;
        if (!text[len])
            break;
        text += len + 1;
    }
    if (!has_https)
        return -EINVAL; // nobody wants to be kept away from https
    *out_rule = has_http ? REDIRECT_ANY : REDIRECT_HTTPS_ONLY;
    return 0;
}

bool
redirect_is_status(long status)
{
    return (status >= 300 && status <= 303) || status == 307 || status == 308;
}

// Returns a part of the URL for curl_free(), or NULL where it has none.
static char *
part_of(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL;

    if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
        return NULL;
    return text;
}

int
redirect_home_init(struct redirect_home *home, const char *url)
{
    CURLU *parsed = curl_url();
    int err = -ENOMEM;

    *home = (struct redirect_home){0};
    if (!parsed)
        return -ENOMEM;
    if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_GUESS_SCHEME) !=
        CURLUE_OK)
        goto out;
    home->scheme = part_of(parsed, CURLUPART_SCHEME, 0);
    home->host = part_of(parsed, CURLUPART_HOST, 0);
    home->port = part_of(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    home->user = part_of(parsed, CURLUPART_USER, CURLU_URLDECODE);
    home->password = part_of(parsed, CURLUPART_PASSWORD, CURLU_URLDECODE);
    if (home->scheme && home->host && home->port)
        err = 0;
    else
        redirect_home_fini(home);
out:
    curl_url_cleanup(parsed);
    return err;
}

void
redirect_home_fini(struct redirect_home *home)
{
    curl_free(home->scheme);
    curl_free(home->host);
    curl_free(home->port);
    curl_free(home->user);
    curl_free(home->password);
    *home = (struct redirect_home){0};
}

static bool
is_home(CURLU *url, const struct redirect_home *home)
{
    char *scheme = part_of(url, CURLUPART_SCHEME, 0);
    char *host = part_of(url, CURLUPART_HOST, 0);
    char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    bool is_same =
        scheme && host && port && strcasecmp(scheme, home->scheme) == 0 &&
        strcasecmp(host, home->host) == 0 && strcmp(port, home->port) == 0;

    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return is_same;
}

// Whether a redirect from one scheme may lead to the other.
static enum fail
check_schemes(const char *from, const char *to, enum redirect_rule rule,
              const char **out_refusal)
{
    bool is_http = strcasecmp(to, "http") == 0;

    if (!is_http && strcasecmp(to, "https") != 0) {
        *out_refusal = "a redirect to neither http nor https is not followed";
        return FAIL_SCHEME;
    }
    if (!is_http || rule == REDIRECT_ANY)
        return FAIL_OK;
    if (rule == REDIRECT_HTTPS_ONLY) {
        *out_refusal = "a redirect to http is not followed (--proto-redir)";
        return FAIL_SCHEME;
    }
    if (strcasecmp(from, "https") == 0) {
        *out_refusal = "a redirect that leaves https is not followed";
        return FAIL_SCHEME;
    }
    return FAIL_OK;
}

// The handle holds the last URL; afterwards the one that location names.
static enum fail
go_to(CURLU *url, const char *location, const char **out_refusal)
{
    CURLUcode code;

    // A relative Location does not build on these.
    (void)curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    (void)curl_url_set(url, CURLUPART_USER, NULL, 0);
    (void)curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
    // Servers forget to encode spaces; as curl, we do it for them.
    code = curl_url_set(url, CURLUPART_URL, location,
                        CURLU_URLENCODE | CURLU_ALLOW_SPACE |
                            CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK)
        return FAIL_OK;
    if (code == CURLUE_OUT_OF_MEMORY) {
        *out_refusal = "out of memory";
        return FAIL_INTERNAL;
    }
    *out_refusal = "a redirect to something that is not a URL";
    return FAIL_INVALID_URL;
}

enum fail
redirect_next(const struct redirect_home *home, const char *from,
              const char *location, enum redirect_rule rule,
              struct redirect_step *out_step)
{
    struct redirect_step step = {0};
    CURLU *url = curl_url();
    char *from_scheme = NULL;
    char *scheme = NULL;
    char *user = NULL;
    enum fail fail = FAIL_INTERNAL;

    step.refusal = "out of memory";
    if (!url ||
        curl_url_set(url, CURLUPART_URL, from, CURLU_GUESS_SCHEME) != CURLUE_OK)
        goto out;
    from_scheme = part_of(url, CURLUPART_SCHEME, 0);
    fail = go_to(url, location, &step.refusal);
    if (fail != FAIL_OK)
        goto out;
    scheme = part_of(url, CURLUPART_SCHEME, 0);
    step.url = part_of(url, CURLUPART_URL, 0);
    if (!from_scheme || !scheme || !step.url) {
        fail = FAIL_INTERNAL;
        goto out;
    }
    fail = check_schemes(from_scheme, scheme, rule, &step.refusal);
    if (fail == FAIL_OK && strlen(step.url) > URL_BYTES_MAX) {
        step.refusal = "a redirect to a URL longer than 64 KiB";
        fail = FAIL_URL_TOO_LONG;
    }
    step.is_home = is_home(url, home);
    user = part_of(url, CURLUPART_USER, 0);
    step.names_user = user != NULL;
out:
    if (fail == FAIL_OK) {
        step.refusal = NULL;
    } else {
        curl_free(step.url);
        step = (struct redirect_step){.refusal = step.refusal};
    }
    *out_step = step;
    curl_free(from_scheme);
    curl_free(scheme);
    curl_free(user);
    curl_url_cleanup(url);
    return fail;
}
