#include "common/curve.h"

#include "common/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

const struct conf_option curve_options[] = {
    {.name = "key-file",
     .type = CONF_STRING,
     .offset = offsetof(struct curve_options, key_file),
     .arg = "FILE",
     .help = "Own secret key, as urlsum keygen makes it; the broker must have "
             "its public half. Needs --broker-key-file."},
    {.name = "broker-key-file",
     .type = CONF_STRING,
     .offset = offsetof(struct curve_options, broker_key_file),
     .arg = "FILE",
     .help = "The broker's public key. Needs --key-file."},
    {.name = NULL},
};

static bool
is_given(const char *text)
{
    return text && *text;
}

int
curve_load(const struct curve_options *options, struct curve *out_curve,
           char *why, size_t why_size)
{
    const char *path = options->key_file, *flag = "--key-file";
    bool has_own = is_given(path);
    char what[160];
    int err;

    memset(out_curve, 0, sizeof(*out_curve));
    if (has_own != is_given(options->broker_key_file)) {
        (void)snprintf(why, why_size,
                       "%s without %s: give both, or neither for a broker "
                       "without keys",
                       has_own ? flag : "--broker-key-file",
                       has_own ? "--broker-key-file" : flag);
        return -EINVAL;
    }
    if (!has_own)
        return 0;
    if (!zmq_has("curve")) {
        (void)snprintf(why, why_size,
                       "--key-file: this ZeroMQ was built "
                       "without CURVE");
        return -EINVAL;
    }
    err = key_read(path, KEY_SECRET, &out_curve->secret, what, sizeof(what));
    if (!err && key_public_of(&out_curve->secret, &out_curve->own)) {
        err = -EINVAL;
        (void)snprintf(what, sizeof(what), "it is no CURVE secret");
    }
    if (!err) {
        path = options->broker_key_file;
        flag = "--broker-key-file";
        err =
            key_read(path, KEY_PUBLIC, &out_curve->broker, what, sizeof(what));
    }
    out_curve->is_on = !err;
    if (err)
        (void)snprintf(why, why_size, "%s %s: %s", flag, path, what);
    return err ? -EINVAL : 0;
}

void
curve_fini(struct curve *curve)
{
    key_wipe(&curve->secret);
    curve->is_on = false;
}

static int
set_text(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, strlen(text)) ? -zmq_errno()
                                                              : 0;
}

// Keys as text come with their end.
static int
set_key(void *socket, int option, const struct key *key)
{
    return zmq_setsockopt(socket, option, key->text, sizeof(key->text))
               ? -zmq_errno()
               : 0;
}

int
curve_connect(const struct curve *curve, void *socket)
{
    int err;

    if (!curve || !curve->is_on)
        return 0;
    if ((err = set_key(socket, ZMQ_CURVE_SERVERKEY, &curve->broker)) ||
        (err = set_key(socket, ZMQ_CURVE_PUBLICKEY, &curve->own)) ||
        (err = set_key(socket, ZMQ_CURVE_SECRETKEY, &curve->secret)))
        return err;
    return 0;
}

int
curve_bind(const struct key *secret, const char *domain, void *socket)
{
    int yes = 1, err;

    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes)))
        return -zmq_errno();
    err = set_text(socket, ZMQ_ZAP_DOMAIN, domain);
    return err ? err : set_key(socket, ZMQ_CURVE_SECRETKEY, secret);
}

enum curve_failure
curve_failure_of(const struct curve *curve, const struct monitor_event *event)
{
    bool is_on = curve && curve->is_on;

    switch (event->event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return CURVE_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        if (event->value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
            return is_on ? CURVE_NO_KEYS : CURVE_WANTS_KEYS;
        return event->value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
                   ? CURVE_IMPOSTOR
                   : CURVE_BROKEN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return is_on ? CURVE_HUNG_UP : CURVE_BROKEN;
    default:
        return CURVE_FINE;
    }
}

bool
curve_is_final(enum curve_failure failure)
{
    return failure == CURVE_REFUSED || failure == CURVE_NO_KEYS ||
           failure == CURVE_WANTS_KEYS || failure == CURVE_IMPOSTOR;
}

const char *
curve_failure_text(enum curve_failure failure)
{
    switch (failure) {
    case CURVE_REFUSED:
        return "refuses our key: its public half belongs into the broker's "
               "--authorized directory, below the role's name";
    case CURVE_NO_KEYS:
        return "has no keys: leave out --key-file and --broker-key-file, or "
               "start it with its own";
    case CURVE_WANTS_KEYS:
        return "wants keys: give --key-file and --broker-key-file";
    case CURVE_IMPOSTOR:
        return "has not the key of --broker-key-file";
    case CURVE_HUNG_UP:
        return "hangs up while keys are exchanged: has it keys, and is "
               "--broker-key-file its public one?";
    case CURVE_BROKEN:
        return "breaks connections off before they are made";
    case CURVE_FINE:
        break;
    }
    return "answers";
}
