#include "client/session.h"

#include "client/embed.h"
#include "client/remote.h"
#include "client/say.h"
#include "client/signals.h"
#include "common/endpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static void
on_trouble(void *arg, const char *why)
{
    session_say_trouble(arg, why);
}

static int
open_all(struct session *session, const struct connection_options *connection,
         struct embed_config *embed_config)
{
    struct remote_config config = {
        .broker =
            connection->broker ? connection->broker : OPTIONS_BROKER_DEFAULT,
        .connect_wait_ms = connection->connect_wait_ms,
        .broker_wait_ms = connection->broker_wait_ms,
        .curve = &session->curve,
        .on_trouble = on_trouble,
        .arg = session,
    };
    char why[512];
    int err;

    if (!embed_config &&
        curve_load(&connection->keys, &session->curve, why, sizeof(why))) {
        say("%s", why);
        return EXIT_USAGE;
    }
    session->signal_fd = signals_open();
    if (session->signal_fd < 0)
        return session->signal_fd;
    config.interrupt_fd = session->signal_fd;
    session->zmq = zmq_ctx_new();
    if (!session->zmq)
        return -ENOMEM;
    if (embed_config) {
        err = embed_start(session->zmq, embed_config, &session->embed);
        if (err)
            return err;
        config.broker = EMBED_BROKER;
    }
    err = remote_new(session->zmq, &config, &session->remote);
    if (err == -EINVAL) {
        say("--broker '%s': " ENDPOINT_FORMS, config.broker);
        return EXIT_USAGE;
    }
    return err;
}

int
session_open(struct session *session,
             const struct connection_options *connection,
             struct embed_config *embed_config)
{
    int err;

    *session = (struct session){
        .signal_fd = -1,
        .broker_wait_ms = connection->broker_wait_ms,
    };
    err = open_all(session, connection, embed_config);
    if (err < 0) {
        say("cannot start: %s", strerror(-err));
        return EXIT_INCOMPLETE;
    }
    return err;
}

void
session_close(struct session *session)
{
    remote_free(&session->remote);
    embed_stop(&session->embed);
    if (session->zmq)
        (void)zmq_ctx_term(session->zmq); // its sockets are closed
    if (session->signal_fd >= 0)
        (void)close(session->signal_fd); // was only read
    curve_fini(&session->curve);
    *session = (struct session){.signal_fd = -1};
}

void
session_say_trouble(struct session *session, const char *why)
{
    if (why && !session->has_said_trouble && session->embed)
        say("the temporary queue (in TMPDIR, else /var/tmp) cannot be written: "
            "%s; waiting up to %" PRId64 " s for it (--broker-wait)",
            why, session->broker_wait_ms / 1000);
    else if (why && !session->has_said_trouble)
        say("%s; nothing is lost, waiting up to %" PRId64
            " s for it (--broker-wait)",
            why, session->broker_wait_ms / 1000);
    else if (!why && session->has_said_trouble)
        say("the %s works again", session->embed ? "queue" : "broker");
    session->has_said_trouble = why != NULL;
}

int
session_take_signal(struct session *session)
{
    int number = signals_take(session->signal_fd);

    return number ? EXIT_SIGNAL + number : 0;
}

int
session_fail(struct session *session, int err, const char *batch)
{
    if (err == -EINTR)
        return session_take_signal(session);
    if (batch)
        say("batch %s: %s", batch, remote_error(session->remote));
    else
        say("%s", remote_error(session->remote));
    return err == -ENOENT || err == -EEXIST || err == -EINVAL ? EXIT_USAGE
                                                              : EXIT_INCOMPLETE;
}

void
session_say_open(const struct connection_options *connection, const char *batch,
                 uint64_t urls)
{
    say("batch %s stays open with %" PRIu64 " URLs; urlsum submit --broker %s "
        "--id %s with the same list goes on, urlsum cancel %s ends it",
        batch, urls,
        connection->broker ? connection->broker : OPTIONS_BROKER_DEFAULT, batch,
        batch);
}
