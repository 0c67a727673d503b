#include "fetcher/dns.h"

#include "common/clock.h"
#include "common/loop.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <utlist.h>
#include <uv.h>

// Each server is asked so often before a question is given up.
#define TRIES 2
// Between looks at whether the list of servers has changed.
#define LOOK_MS 2000

static const char resolv_conf[] = "/etc/resolv.conf";

// A socket of c-ares.
struct dns_watch {
    uv_poll_t poll;
    struct dns *dns;
    ares_socket_t fd;
    struct dns_watch *prev, *next;
};

struct dns {
    struct loop *loop;
    char *servers; // NULL: the system's
    int timeout_ms;
    dns_answer_fn *on_answer;
    void *arg;
    ares_channel channel;
    struct dns_watch *watches;
    struct stat seen; // of resolv.conf, when the channel was made
    uint64_t looked_ms;
    bool is_asking;  // inside of c-ares' own call: no server has been asked
    bool is_closing; // nobody waits for answers any more
};

// One question.
struct question {
    struct dns *dns;
    void *token;
    bool is_probe;
    char name[];
};

// --- Sockets ---

static void
free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct dns_watch *watch = poll->data;
    ares_socket_t fd = watch->fd;
    bool can_read = status < 0 || (events & UV_READABLE);
    bool can_write = status < 0 || (events & UV_WRITABLE);

    // The watch may be gone when this returns.
    ares_process_fd(watch->dns->channel, can_read ? fd : ARES_SOCKET_BAD,
                    can_write ? fd : ARES_SOCKET_BAD);
}

static struct dns_watch *
find_watch(struct dns *dns, ares_socket_t fd)
{
    struct dns_watch *watch;

    DL_SEARCH_SCALAR(dns->watches, watch, fd, fd);
    return watch;
}

static struct dns_watch *
new_watch(struct dns *dns, ares_socket_t fd)
{
    struct dns_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    if (uv_poll_init_socket(loop_uv(dns->loop), &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->dns = dns;
    watch->fd = fd;
    DL_APPEND(dns->watches, watch);
    return watch;
}

// c-ares tells what it wants of a socket; nothing means that it closes it.
static void
on_socket(void *arg, ares_socket_t fd, int wants_read, int wants_write)
{
    struct dns *dns = arg;
    struct dns_watch *watch = find_watch(dns, fd);

    if (!wants_read && !wants_write) {
        if (!watch)
            return;
        DL_DELETE(dns->watches, watch);
        uv_close((uv_handle_t *)&watch->poll, free_closed);
        return;
    }
    if (!watch)
        watch = new_watch(dns, fd);
    if (!watch)
        return; // its questions run out of time, and are asked again
    (void)uv_poll_start(&watch->poll,
                        (wants_read ? UV_READABLE : 0) |
                            (wants_write ? UV_WRITABLE : 0),
                        on_poll);
}

// --- The channel ---

static int
make_channel(struct dns *dns, ares_channel *out_channel)
{
    struct ares_options options = {
        .timeout = dns->timeout_ms,
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = dns,
    };
    ares_channel channel = NULL;
    int code = ares_init_options(&channel, &options,
                                 ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                     ARES_OPT_SOCK_STATE_CB | ARES_OPT_ROTATE);

    if (code == ARES_SUCCESS && dns->servers)
        code = ares_set_servers_ports_csv(channel, dns->servers);
    if (code != ARES_SUCCESS) {
        if (channel)
            ares_destroy(channel);
        return code == ARES_ENOMEM ? -ENOMEM : -EINVAL;
    }
    *out_channel = channel;
    return 0;
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

// Takes another list of servers, if there is one. What the old ones were asked
// is asked again: on_answer() sees to that.
static void
look_for_servers(struct dns *dns)
{
    uint64_t now_ms = clock_now_ms();
    ares_channel old = dns->channel;
    struct stat now = {0};

    if (dns->servers || now_ms - dns->looked_ms < LOOK_MS)
        return;
    dns->looked_ms = now_ms;
    (void)stat(resolv_conf, &now); // a file that is gone differs as well
    if (is_same_file(&now, &dns->seen) || make_channel(dns, &dns->channel) != 0)
        return;
    dns->seen = now;
    ares_destroy(old);
}

// ADDRESS, ADDRESS:PORT of IPv4, [ADDRESS] or [ADDRESS]:PORT of IPv6.
static bool
is_server(const char *text, size_t len)
{
    char address[INET6_ADDRSTRLEN + sizeof("[]:65535")];
    unsigned char bytes[16];
    char *end, *port;

    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET6, address, bytes) == 1)
        return true;
    port = strrchr(address, ':');
    if (port && port[1] && strspn(port + 1, "0123456789") == strlen(port + 1) &&
        strtoul(port + 1, NULL, 10) <= UINT16_MAX &&
        strtoul(port + 1, NULL, 10))
        *port = '\0';
    if (*address != '[')
        return inet_pton(AF_INET, address, bytes) == 1;
    end = strchr(address, ']');
    if (!end || end[1])
        return false;
    *end = '\0';
    return inet_pton(AF_INET6, address + 1, bytes) == 1;
}

bool
dns_servers_are_valid(const char *servers)
{
    for (;;) {
        size_t len = strcspn(servers, ",");

        if (!is_server(servers, len))
            return false;
        if (!servers[len])
            return true;
        servers += len + 1;
    }
}

int
dns_new(struct loop *loop, const char *servers, uint64_t timeout_ms,
        dns_answer_fn *on_answer, void *arg, struct dns **out_dns)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    int err = -ENOMEM;

    if (!dns)
        return -ENOMEM;
    dns->loop = loop;
    dns->timeout_ms = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    dns->on_answer = on_answer;
    dns->arg = arg;
    dns->looked_ms = clock_now_ms();
    (void)stat(resolv_conf, &dns->seen); // none is like an empty one
    if (servers) {
        dns->servers = strdup(servers);
        if (!dns->servers)
            goto out;
    }
    err = make_channel(dns, &dns->channel);
    if (err)
        goto out;

    *out_dns = dns;
    dns = NULL;
out:
    dns_free(&dns);
    return err;
}

void
dns_free(struct dns **dns)
{
    if (!*dns)
        return;
    (*dns)->is_closing = true;
    if ((*dns)->channel)
        ares_destroy((*dns)->channel); // closes its sockets, so their watches
    free((*dns)->servers);
    free(*dns);
    *dns = NULL;
}

// --- Questions ---

// c-ares does not say apart whether servers answered that they could not tell
// (SERVFAIL, REFUSED) or cannot be reached.
static enum dns_status
status_of(int code)
{
    switch (code) {
    case ARES_SUCCESS:
        return DNS_FOUND;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return DNS_ABSENT;
    case ARES_ENOMEM:
        return DNS_BROKEN;
    default:
        return DNS_UNTOLD;
    }
}

static const char *
why_of(int code)
{
    switch (code) {
    case ARES_ENODATA:
        return "the host's name has no address";
    case ARES_ENOTFOUND:
        return "the host's name does not exist";
    case ARES_EBADNAME:
        return "the host's name is not one that DNS can have";
    case ARES_ETIMEOUT:
        return "no DNS server answered in time";
    case ARES_ECONNREFUSED:
        return "no DNS server could tell: SERVFAIL, refused or out of reach";
    default:
        return ares_strerror(code);
    }
}

static bool
is_over(const struct question *question, int code)
{
    bool is_gone = code == ARES_EDESTRUCTION || code == ARES_ECANCELLED;

    return question->dns->is_closing || !is_gone;
}

static void ask(struct question *question);

static void
give_answer(struct question *question, struct dns_answer *answer, int code)
{
    struct dns *dns = question->dns;

    answer->status = status_of(code);
    answer->why = why_of(code);
    answer->is_local = dns->is_asking;
    if (!dns->is_closing)
        dns->on_answer(dns->arg, question->token, answer);
    free(question);
}

static size_t
copy_addresses(const struct ares_addrinfo *info,
               struct dns_address out_addresses[DNS_ADDRESSES_MAX],
               uint32_t *out_ttl_s)
{
    const struct ares_addrinfo_node *node;
    uint32_t ttl_s = UINT32_MAX;
    size_t len = 0;

    for (node = info->nodes; node && len < DNS_ADDRESSES_MAX;
         node = node->ai_next) {
        struct dns_address *address = &out_addresses[len];
        const void *at = node->ai_addr;

        *address = (struct dns_address){.family = (sa_family_t)node->ai_family};
        if (node->ai_family == AF_INET)
            memcpy(address->bytes, &((const struct sockaddr_in *)at)->sin_addr,
                   4);
        else if (node->ai_family == AF_INET6)
            memcpy(address->bytes,
                   &((const struct sockaddr_in6 *)at)->sin6_addr, 16);
        else
            continue;
        if (node->ai_ttl >= 0 && (uint32_t)node->ai_ttl < ttl_s)
            ttl_s = (uint32_t)node->ai_ttl;
        len++;
    }
    *out_ttl_s = ttl_s;
    return len;
}

static void
on_addresses(void *arg, int code, int timeouts, struct ares_addrinfo *info)
{
    struct question *question = arg;
    struct dns_address addresses[DNS_ADDRESSES_MAX];
    struct dns_answer answer = {.addresses = addresses};

    (void)timeouts;
    if (!is_over(question, code)) {
        ask(question);
        return;
    }
    if (info) {
        if (code == ARES_SUCCESS)
            answer.len = copy_addresses(info, addresses, &answer.ttl_s);
        ares_freeaddrinfo(info);
    }
    if (code == ARES_SUCCESS && !answer.len)
        code = ARES_ENODATA;
    give_answer(question, &answer, code);
}

static void
on_root(void *arg, int code, int timeouts, unsigned char *packet, int len)
{
    struct question *question = arg;
    struct dns_answer answer = {0};

    (void)timeouts, (void)packet, (void)len;
    if (!is_over(question, code)) {
        ask(question);
        return;
    }
    give_answer(question, &answer, code);
}

static void
ask(struct question *question)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
                                              .ai_socktype = SOCK_STREAM};
    struct dns *dns = question->dns;

    // Either may answer, and free the question, before it returns.
    dns->is_asking = true;
    if (question->is_probe)
        ares_query(dns->channel, ".", ns_c_in, ns_t_ns, on_root, question);
    else
        ares_getaddrinfo(dns->channel, question->name, NULL, &hints,
                         on_addresses, question);
    dns->is_asking = false;
}

// RFC 6761, 6.4: what ends in .invalid does not exist, and is not asked for.
static bool
is_invalid(const char *name)
{
    static const char tld[] = "invalid";
    size_t len = strlen(name);
    size_t tld_len = sizeof(tld) - 1;

    if (len && name[len - 1] == '.')
        len--;
    if (len < tld_len || strncasecmp(name + len - tld_len, tld, tld_len) != 0)
        return false;
    return len == tld_len || name[len - tld_len - 1] == '.';
}

int
dns_ask(struct dns *dns, const char *name, void *token)
{
    size_t len = name ? strlen(name) : 0;
    struct question *question = malloc(sizeof(*question) + len + 1);

    if (!question)
        return -ENOMEM;
    look_for_servers(dns);
    *question =
        (struct question){.dns = dns, .token = token, .is_probe = !name};
    memcpy(question->name, name ? name : "", len + 1);
    if (name && is_invalid(name)) {
        dns->is_asking = true; // and nobody is asked
        give_answer(question, &(struct dns_answer){0}, ARES_ENOTFOUND);
        dns->is_asking = false;
        return 0;
    }
    ask(question);
    return 0;
}

void
dns_tick(struct dns *dns)
{
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

const char *
dns_servers(const struct dns *dns, char *text, size_t room)
{
    struct ares_addr_port_node *servers = NULL;
    size_t at = 0;

    text[0] = '\0';
    if (ares_get_servers_ports(dns->channel, &servers) != ARES_SUCCESS)
        return text;
    for (const struct ares_addr_port_node *it = servers; it; it = it->next) {
        char address[INET6_ADDRSTRLEN] = "?";
        int len;

        (void)ares_inet_ntop(it->family, &it->addr, address, sizeof(address));
        len = snprintf(text + at, room - at, "%s%s", at ? "," : "", address);
        if (len < 0 || (size_t)len >= room - at) {
            text[at] = '\0'; // as many as fit
            break;
        }
        at += (size_t)len;
    }
    ares_free_data(servers);
    return text;
}
