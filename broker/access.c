#include "broker/access.h"

#include "broker/guard.h"
#include "broker/keyring.h"
#include "broker/keyring_watch.h"
#include "broker/state.h"
#include "common/curve.h"
#include "common/endpoint.h"
#include "common/frames.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

// Where libzmq looks for who answers (RFC 27).
#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

// Frames of a request, as a ROUTER gets them.
enum zap_frame {
    ZAP_ADDRESS,
    ZAP_DELIMITER,
    ZAP_VERSION,
    ZAP_REQUEST_ID,
    ZAP_DOMAIN,
    ZAP_PEER,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_FRAMES
};

struct access {
    struct broker *broker;
    struct role *role; // its service manager hears of reloads
    struct key secret;
    struct keyring *keyring;
    struct keyring_watch *watch;
    void *zap; // ROUTER
    struct loop_socket *zap_watch;
    int read_err; // of the last reading
};

// --- ZAP: a connection shows its key ---

static bool
is_text(const zmq_msg_t *part, const char *text)
{
    return zmq_msg_size(part) == strlen(text) &&
           memcmp(zmq_msg_data((zmq_msg_t *)part), text, strlen(text)) == 0;
}

static bool
find_role(const zmq_msg_t *domain, enum access_role *out_role)
{
    for (int role = 0; role < ACCESS_ROLES; role++) {
        *out_role = (enum access_role)role;
        if (is_text(domain, access_role_name(*out_role)))
            return true;
    }
    return false;
}

// The key is in no list of this role: says so.
static void
refuse_key(struct access *access, enum access_role role, const char *key,
           const zmq_msg_t *peer)
{
    const struct keyring_key *other = NULL;
    char address[64];

    for (int i = 0; i < ACCESS_ROLES && !other; i++)
        other = keyring_find(access->keyring, (enum access_role)i, key);
    (void)snprintf(address, sizeof(address), "%.*s", (int)zmq_msg_size(peer),
                   (const char *)zmq_msg_data((zmq_msg_t *)peer));
    refusals_note(&access->broker->refusals, role,
                  other ? REFUSAL_WRONG_ROLE : REFUSAL_UNKNOWN_KEY, address,
                  key, other ? other->label : NULL);
}

static bool
is_let_in(struct access *access, zmq_msg_t *parts, char key[KEY_CHARS + 1])
{
    enum access_role role;

    key[0] = '\0';
    if (!is_text(&parts[ZAP_VERSION], "1.0") ||
        !is_text(&parts[ZAP_MECHANISM], "CURVE") ||
        zmq_msg_size(&parts[ZAP_KEY]) != KEY_BYTES ||
        !find_role(&parts[ZAP_DOMAIN], &role) ||
        !zmq_z85_encode(key, zmq_msg_data(&parts[ZAP_KEY]), KEY_BYTES))
        return false; // not libzmq's words
    if (keyring_find(access->keyring, role, key))
        return true;
    refuse_key(access, role, key, &parts[ZAP_PEER]);
    return false;
}

static void
answer(struct access *access, zmq_msg_t *parts)
{
    char key[KEY_CHARS + 1];
    bool is_in = is_let_in(access, parts, key);
    const struct {
        const void *at;
        size_t len;
    } reply[] = {
        {zmq_msg_data(&parts[ZAP_ADDRESS]), zmq_msg_size(&parts[ZAP_ADDRESS])},
        {"", 0},
        {"1.0", 3},
        {zmq_msg_data(&parts[ZAP_REQUEST_ID]),
         zmq_msg_size(&parts[ZAP_REQUEST_ID])},
        {is_in ? "200" : "400", 3},
        {"", 0},
        {is_in ? key : "", is_in ? KEY_CHARS : 0}, // the user's id
        {"", 0},
    };
    const size_t len = sizeof(reply) / sizeof(*reply);

    // A connection that has ended meanwhile needs no answer.
    for (size_t i = 0; i < len; i++) {
        if (frames_send_copy(access->zap, reply[i].at, reply[i].len,
                             i + 1 < len) != 0)
            return;
    }
}

// One request a connection, from libzmq's own threads.
static bool
on_zap(void *arg)
{
    struct access *access = arg;
    zmq_msg_t parts[ZAP_FRAMES], part;
    size_t len = 0;
    bool is_more = true, is_whole = true;

    while (is_more) {
        (void)zmq_msg_init(&part); // never fails
        if (zmq_msg_recv(&part, access->zap, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(&part);
            break; // messages arrive whole: it was the first frame
        }
        is_more = zmq_msg_more(&part) != 0;
        is_whole = len < ZAP_FRAMES;
        if (is_whole) {
            (void)zmq_msg_init(&parts[len]);
            (void)zmq_msg_move(&parts[len++], &part);
        }
        (void)zmq_msg_close(&part);
    }
    if (len == ZAP_FRAMES && is_whole)
        answer(access, parts);
    for (size_t i = 0; i < len; i++)
        (void)zmq_msg_close(&parts[i]);
    return len > 0;
}

// --- Messages ---

static struct guard *
guard_of(const struct broker *broker, enum access_role role)
{
    switch (role) {
    case ACCESS_CLIENT:
        return broker->client_guard;
    case ACCESS_FETCHER:
        return broker->fetcher_guard;
    case ACCESS_HASHER:
    case ACCESS_ROLES:
        break;
    }
    return broker->hasher_guard;
}

const char *
access_key_of(const struct frames *frames)
{
    const char *key = NULL;

    // Every frame of a message carries it; the last one is there for sure.
    if (frames->len)
        key = zmq_msg_gets(&frames->parts[frames->len - 1], "User-Id");
    return key ? key : "";
}

const struct keyring_key *
access_find(const struct access *access, enum access_role role, const char *key)
{
    return access ? keyring_find(access->keyring, role, key) : NULL;
}

bool
access_admits(struct broker *broker, enum access_role role,
              const struct frames *frames)
{
    const char *key, *address;

    if (!broker->access)
        return true;
    key = access_key_of(frames);
    if (access_find(broker->access, role, key))
        return true;
    address = zmq_msg_gets(&frames->parts[frames->len - 1], "Peer-Address");
    refusals_note(&broker->refusals, role, REFUSAL_REMOVED_KEY,
                  address ? address : "", key, NULL);
    guard_cut(guard_of(broker, role), guard_connection(frames), UINT64_MAX,
              "its key is not in the list any more");
    return false;
}

// --- The list changes ---

static void
log_removed(void *arg, enum access_role role, const struct keyring_key *key)
{
    *(bool *)arg = true;
    log_info("keys.removed", "role=%s name=%s", access_role_name(role),
             key->label);
}

static void
log_added(void *arg, enum access_role role, const struct keyring_key *key)
{
    (void)arg;
    log_info("keys.added", "role=%s name=%s", access_role_name(role),
             key->label);
}

static void
log_troubles(const struct keyring *keyring)
{
    const struct keyring_trouble *trouble;

    for (size_t i = 0; (trouble = keyring_trouble(keyring, i)); i++)
        log_warn("keys.bad_file", "file=%s error=\"%s\"", trouble->file,
                 trouble->error);
}

static void
log_list(const struct access *access)
{
    const char *dir = access->broker->config->authorized;
    const struct keyring *keyring = access->keyring;
    size_t len = 0;
    char shown[256];

    for (int i = 0; i < ACCESS_ROLES; i++)
        len += keyring_len(keyring, (enum access_role)i);
    log_info("keys.loaded", "client=%zu fetcher=%zu hasher=%zu left_out=%zu",
             keyring_len(keyring, ACCESS_CLIENT),
             keyring_len(keyring, ACCESS_FETCHER),
             keyring_len(keyring, ACCESS_HASHER), keyring_troubles(keyring));
    if (!len) // as when the directory has another name
        log_warn("keys.none", "path=%s",
                 log_escape(dir, strlen(dir), shown, sizeof(shown)));
}

struct check {
    const struct keyring *keyring;
    enum access_role role;
};

static bool
stays(void *arg, const char *key)
{
    const struct check *check = arg;

    return keyring_find(check->keyring, check->role, key) != NULL;
}

// Ends what those keys have that are in the role's list no more.
static void
end_removed(struct access *access, enum access_role role)
{
    struct broker *broker = access->broker;
    struct check check = {access->keyring, role};

    if (role != ACCESS_CLIENT)
        sessions_end_keys(broker,
                          role == ACCESS_FETCHER ? WIRE_FETCHER : WIRE_HASHER,
                          stays, &check);
    // Whoever has not said anything yet is told apart by no key: it has to
    // connect once more.
    guard_cut_keys(guard_of(broker, role), stays, &check,
                   "its key is not in the list any more");
    loop_again(broker->loop); // its jobs can go to others now
}

// The list has changed.
static void
change(struct access *access, struct keyring *fresh)
{
    struct keyring *old = access->keyring;

    access->keyring = fresh;
    for (int i = 0; i < ACCESS_ROLES; i++) {
        enum access_role role = (enum access_role)i;
        bool has_removed = false;

        keyring_each_beyond(old, fresh, role, log_removed, &has_removed);
        keyring_each_beyond(fresh, old, role, log_added, NULL);
        if (has_removed)
            end_removed(access, role);
    }
    log_list(access);
    log_troubles(fresh);
    keyring_free(&old);
}

static void
on_read(void *arg, struct keyring *fresh, int err, const char *path,
        bool was_asked)
{
    struct access *access = arg;
    char shown[256];

    if (err && (err != access->read_err || was_asked))
        log_error("keys.unreadable", "path=%s error=\"%s\"",
                  log_escape(path, strlen(path), shown, sizeof(shown)),
                  strerror(-err));
    access->read_err = err;
    if (was_asked)
        role_reloaded(access->role);
    if (err)
        return; // what was known holds
    if (keyring_is_same(fresh, access->keyring)) {
        if (was_asked)
            log_list(access);
        keyring_free(&fresh);
        return;
    }
    change(access, fresh);
}

// --- Life ---

static bool
is_given(const char *text)
{
    return text && *text;
}

// Returns 0 or the exit code, after having said why.
static int
read_files(struct access *access)
{
    const struct broker_config *config = access->broker->config;
    char why[160], path[512];
    struct key public;
    int err;

    if (!zmq_has("curve")) {
        (void)fprintf(stderr, "urlsum-broker: --key-file: this ZeroMQ was "
                              "built without CURVE\n");
        return 2;
    }
    err = key_read(config->key_file, KEY_SECRET, &access->secret, why,
                   sizeof(why));
    if (!err && key_public_of(&access->secret, &public)) {
        err = -EINVAL;
        (void)snprintf(why, sizeof(why), "it is no CURVE secret");
    }
    if (err) {
        (void)fprintf(stderr, "urlsum-broker: --key-file %s: %s\n",
                      config->key_file, why);
        return 2;
    }
    err =
        keyring_read(config->authorized, &access->keyring, path, sizeof(path));
    if (err) {
        (void)fprintf(stderr, "urlsum-broker: --authorized %s: %s: %s\n",
                      config->authorized, path, strerror(-err));
        return 2;
    }
    return 0;
}

static int
open_zap(struct access *access, void *zmq)
{
    int none = 0;

    access->zap = zmq_socket(zmq, ZMQ_ROUTER);
    if (!access->zap ||
        zmq_setsockopt(access->zap, ZMQ_LINGER, &none, sizeof(none)) ||
        // One request a connection is all there can be: guard.h bounds them.
        zmq_setsockopt(access->zap, ZMQ_RCVHWM, &none, sizeof(none)) ||
        zmq_setsockopt(access->zap, ZMQ_SNDHWM, &none, sizeof(none)) ||
        zmq_bind(access->zap, ZAP_ENDPOINT))
        return -zmq_errno();
    return loop_add_socket(access->broker->loop, access->zap, on_zap, access,
                           &access->zap_watch);
}

int
access_new(struct broker *broker, struct role *role, struct access **out_access)
{
    const struct broker_config *config = broker->config;
    struct access *access;
    int code, err;

    if (is_given(config->key_file) != is_given(config->authorized)) {
        (void)fprintf(stderr,
                      "urlsum-broker: %s: --key-file (the broker's secret) and "
                      "--authorized (whose keys may connect) go together\n",
                      is_given(config->key_file)
                          ? "--key-file without --authorized"
                          : "--authorized without --key-file");
        return 2;
    }
    if (!is_given(config->key_file))
        return 0;
    access = calloc(1, sizeof(*access));
    if (!access) {
        log_error("broker.start", "error=%d", -ENOMEM);
        return 3;
    }
    access->broker = broker;
    access->role = role;
    *out_access = access;
    code = read_files(access);
    if (code)
        return code;
    if ((err = open_zap(access, role->zmq)) ||
        (err = keyring_watch_new(broker->loop, config->authorized,
                                 role->takes_signals, on_read, access,
                                 &access->watch))) {
        log_error("broker.start", "error=%d", err);
        return 3;
    }
    log_list(access);
    log_troubles(access->keyring);
    return 0;
}

void
access_free(struct access **access)
{
    struct access *it = *access;

    if (!it)
        return;
    keyring_watch_free(&it->watch);
    loop_remove_socket(&it->zap_watch);
    if (it->zap)
        (void)zmq_close(it->zap);
    keyring_free(&it->keyring);
    key_wipe(&it->secret);
    free(it);
    *access = NULL;
}

int
access_bind(const struct access *access, enum access_role role, void *socket)
{
    return access ? curve_bind(&access->secret, access_role_name(role), socket)
                  : 0;
}

int
access_check_reach(const struct broker *broker, enum access_role role,
                   const char *endpoint)
{
    const char *name = access_role_name(role);

    if (broker->access || broker->config->is_insecure ||
        endpoint_is_local(endpoint))
        return 0;
    (void)fprintf(stderr,
                  "urlsum-broker: --%s-bind %s: others than this machine could "
                  "connect there, and no key is asked for: give --key-file and "
                  "--authorized (urlsum keygen makes keys), or an address of "
                  "127.0.0.0/8, or --insecure where everybody who reaches this "
                  "port may use the broker\n",
                  name, endpoint);
    return 2;
}
