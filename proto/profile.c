#include "proto/profile.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool
is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

// CR, LF and NUL above all; a tab may stand in a header's value.
static bool
has_control(struct wire_bytes text, bool may_have_tabs)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_control(text.at[i]) && !(may_have_tabs && text.at[i] == '\t'))
            return true;
    }
    return false;
}

// RFC 9110, 5.6.2.
static bool
is_token(struct wire_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!name.at[i] || (!isalnum((unsigned char)name.at[i]) &&
                            !strchr("!#$%&'*+-.^_`|~", name.at[i])))
            return false;
    }
    return name.len > 0;
}

static bool
is_name(struct wire_bytes name, const char *lower)
{
    return name.len == strlen(lower) &&
           strncasecmp(name.at, lower, name.len) == 0;
}

static bool
is_blank(struct wire_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != ' ' && text.at[i] != '\t')
            return false;
    }
    return true;
}

struct wire_bytes
profile_header_name(struct wire_bytes line, enum profile_header *out_how)
{
    struct wire_bytes name = {line.at, 0}, rest;

    while (name.len < line.len && line.at[name.len] != ':' &&
           line.at[name.len] != ';')
        name.len++;
    if (name.len == line.len)
        return (struct wire_bytes){line.at, 0};
    rest = (struct wire_bytes){line.at + name.len + 1, line.len - name.len - 1};
    if (line.at[name.len] == ';')
        *out_how = PROFILE_HEADER_EMPTY;
    else
        *out_how = is_blank(rest) ? PROFILE_HEADER_REMOVE : PROFILE_HEADER_SEND;
    // "Name; something" is neither.
    if (*out_how == PROFILE_HEADER_EMPTY && !is_blank(rest))
        name.len = 0;
    return name;
}

bool
profile_header_travels(struct wire_bytes name)
{
    static const char *const names[] = {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "dnt",
        "pragma",
        "user-agent",
        "want-repr-digest",
        "want-content-digest",
        "want-digest",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (is_name(name, names[i]))
            return true;
    }
    return false;
}

const char *
profile_header_complaint(struct wire_bytes line)
{
    static const struct {
        const char *name, *why;
    } refused[] = {
        {"content-length", "Content-Length: a request has no body"},
        {"transfer-encoding", "Transfer-Encoding: a request has no body"},
        {"range", "Range: a digest is of the whole body"},
        {"if-range", "If-Range: a digest is of the whole body"},
        {"upgrade", "Upgrade: say --http1.1 or --http2"},
        {"http2-settings", "HTTP2-Settings: say --http2"},
        {"proxy-authorization",
         "Proxy-Authorization: put user and password into the proxy's URL"},
    };
    enum profile_header how;
    struct wire_bytes name;

    if (has_control(line, true))
        return "a header with CR, LF, NUL or another control character";
    if (line.len > WIRE_PROFILE_HEADER_BYTES_MAX)
        return "a header of more than 8 KiB";
    name = profile_header_name(line, &how);
    if (!is_token(name))
        return "a header is \"Name: value\"; \"Name:\" removes one, \"Name;\" "
               "sends it empty";
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        if (how != PROFILE_HEADER_REMOVE && is_name(name, refused[i].name))
            return refused[i].why;
    }
    return NULL;
}

const char *
profile_agent_complaint(struct wire_bytes agent)
{
    if (has_control(agent, true))
        return "a User-Agent with CR, LF, NUL or another control character";
    if (agent.len > WIRE_PROFILE_BYTES_MAX)
        return "a User-Agent of more than 2,048 bytes";
    return NULL;
}

const char *
profile_user_complaint(struct wire_bytes user)
{
    if (has_control(user, false))
        return "a user or password with CR, LF, NUL or another control "
               "character";
    if (user.len > WIRE_PROFILE_BYTES_MAX)
        return "a user and password of more than 2,048 bytes";
    if (!user.len || !memchr(user.at, ':', user.len))
        return "a user without a password: write USER:PASSWORD";
    return NULL;
}

const char *
profile_proxy_complaint(struct wire_bytes proxy)
{
    static const char *const schemes[] = {
        "http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h"};
    const char *end;
    struct wire_bytes scheme;

    if (!proxy.len || proxy.len > WIRE_PROFILE_BYTES_MAX)
        return "a proxy's URL is empty, or longer than 2,048 bytes";
    for (size_t i = 0; i < proxy.len; i++) {
        if (is_control(proxy.at[i]) || proxy.at[i] == ' ')
            return "a proxy's URL with a blank or a control character";
    }
    end = memmem(proxy.at, proxy.len, "://", 3);
    if (!end)
        return NULL; // http
    scheme = (struct wire_bytes){proxy.at, (size_t)(end - proxy.at)};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
        if (is_name(scheme, schemes[i]))
            return NULL;
    }
    return "a proxy is http://, https://, socks4://, socks4a://, socks5:// or "
           "socks5h://";
}

const char *
profile_cacert_complaint(struct wire_bytes pem)
{
    static const char mark[] = "-----BEGIN CERTIFICATE-----";

    if (pem.len > WIRE_PROFILE_PEM_BYTES_MAX)
        return "CA certificates of more than 128 KiB do not travel with a "
               "batch: name a file with those that are needed, or leave it out "
               "and start the fetchers with --cacert";
    if (!pem.len || memchr(pem.at, '\0', pem.len) ||
        !memmem(pem.at, pem.len, mark, sizeof(mark) - 1))
        return "no PEM file with CA certificates";
    return NULL;
}

// One of the addresses: digits, letters, dots and colons, perhaps in brackets.
static bool
may_be_address(struct wire_bytes text)
{
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = (struct wire_bytes){text.at + 1, text.len - 2};
    for (size_t i = 0; i < text.len; i++) {
        if (!isxdigit((unsigned char)text.at[i]) && text.at[i] != '.' &&
            text.at[i] != ':')
            return false;
    }
    return text.len > 0;
}

static bool
are_addresses(struct wire_bytes list)
{
    for (;;) {
        const char *comma = list.len ? memchr(list.at, ',', list.len) : NULL;
        size_t len = comma ? (size_t)(comma - list.at) : list.len;

        if (!may_be_address((struct wire_bytes){list.at, len}))
            return false;
        if (!comma)
            return true;
        list = (struct wire_bytes){comma + 1, list.len - len - 1};
    }
}

const char *
profile_resolve_complaint(struct wire_bytes entry)
{
    static const char shape[] =
        "an entry of --resolve is HOST:PORT:ADDRESS[,ADDRESS]...; HOST may be "
        "*";
    const char *colon, *second;
    unsigned port = 0;

    if (!entry.len || entry.len > WIRE_PROFILE_BYTES_MAX ||
        has_control(entry, false))
        return shape;
    colon = memchr(entry.at, ':', entry.len);
    if (!colon || colon == entry.at || *entry.at == '-' || *entry.at == '[')
        return shape;
    second = colon + 1;
    while (second < entry.at + entry.len && isdigit((unsigned char)*second) &&
           port <= 65535)
        port = port * 10 + (unsigned)(*second++ - '0');
    if (port < 1 || port > 65535 || second == entry.at + entry.len ||
        *second != ':')
        return shape;
    second++;
    if (!are_addresses((struct wire_bytes){
            second, (size_t)(entry.at + entry.len - second)}))
        return shape;
    return NULL;
}

static const char *
lists_complaint(const struct wire_profile *profile)
{
    const char *why = NULL;
    size_t bytes = 0;

    if (profile->headers_len > WIRE_PROFILE_ITEMS_MAX)
        return "more than 64 headers";
    if (profile->resolve_len > WIRE_PROFILE_ITEMS_MAX)
        return "more than 64 entries of --resolve";
    for (size_t i = 0; i < profile->headers_len && !why; i++) {
        why = profile_header_complaint(profile->headers[i]);
        bytes += profile->headers[i].len;
    }
    if (!why && bytes > WIRE_PROFILE_HEADERS_BYTES_MAX)
        why = "headers of more than 32 KiB together";
    for (size_t i = 0; i < profile->resolve_len && !why; i++)
        why = profile_resolve_complaint(profile->resolve[i]);
    return why;
}

const char *
profile_complaint(const struct wire_profile *profile)
{
    const char *why = lists_complaint(profile);

    if (!why && profile->user_agent.at)
        why = profile_agent_complaint(profile->user_agent);
    if (!why && profile->user.at)
        why = profile_user_complaint(profile->user);
    if (!why && profile->proxy.at)
        why = profile_proxy_complaint(profile->proxy);
    if (!why && profile->cacert.at)
        why = profile_cacert_complaint(profile->cacert);
    if (why)
        return why;
    if (profile->insecure != WIRE_UNSET && profile->insecure > 1)
        return "insecure is 0 or 1";
    if (profile->compressed != WIRE_UNSET && profile->compressed > 1)
        return "compressed is 0 or 1";
    if (profile->ip_version != WIRE_UNSET && profile->ip_version != 4 &&
        profile->ip_version != 6)
        return "ip_version is 4 or 6";
    if (profile->http_version != WIRE_UNSET && profile->http_version != 11 &&
        profile->http_version != 20)
        return "http_version is 11 or 20";
    return NULL;
}
