// Whose socket is whose, and that requests of one turn leave together.
#include "common/loop.h"
#include "fetcher/multi_private.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h> // needs those above

// Two transfers of a multi, and a connection that both could use.
struct scene {
    struct loop *loop;
    struct multi_sockets sockets;
    struct multi *multi;
    CURL *easy[2];
    struct multi_gate gates[2];
    int fd, peer;
};

static bool
may_connect(void *arg, const struct sockaddr *address)
{
    (void)arg, (void)address;
    return true;
}

static void
done(void *arg, struct multi_gate *gate, CURLcode code)
{
    (void)arg, (void)gate, (void)code;
    fail();
}

static void
connect_both(struct scene *scene)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_return_code(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_return_code(listen(listener, 1), 0);
    assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len),
                       0);
    scene->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(connect(scene->fd, (struct sockaddr *)&address, len), 0);
    scene->peer = accept(listener, NULL, NULL);
    assert_return_code(scene->peer, 0);
    // As libcurl does: what is sent is not held back for other reasons.
    assert_return_code(
        setsockopt(scene->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    (void)close(listener);
}

static void
open_scene(struct scene *scene)
{
    *scene = (struct scene){.sockets = {.connections_max = 8}};
    assert_int_equal(loop_new(&scene->loop), 0);
    assert_int_equal(
        multi_new(scene->loop, &scene->sockets, 1, done, NULL, &scene->multi),
        0);
    for (int i = 0; i < 2; i++) {
        scene->gates[i].may_connect = may_connect;
        scene->easy[i] = curl_easy_init();
        assert_int_equal(
            multi_prepare(scene->multi, scene->easy[i], &scene->gates[i]), 0);
    }
    connect_both(scene);
}

static void
close_scene(struct scene *scene)
{
    if (scene->multi)
        (void)multi_on_socket(scene->easy[0], scene->fd, CURL_POLL_REMOVE,
                              scene->multi, NULL);
    multi_free(&scene->multi);
    multi_sockets_fini(&scene->sockets);
    for (int i = 0; i < 2; i++)
        curl_easy_cleanup(scene->easy[i]);
    loop_free(&scene->loop);
    (void)close(scene->fd);
    (void)close(scene->peer);
}

// As libcurl says that one of them reads from the connection.
static void
watch(struct scene *scene, int who)
{
    assert_int_equal(multi_on_socket(scene->easy[who], scene->fd, CURL_POLL_IN,
                                     scene->multi, NULL),
                     0);
}

static void
ask(struct scene *scene)
{
    multi_expect_request(scene->multi, scene->fd);
    assert_int_equal(send(scene->fd, "request", 7, 0), 7);
}

// Waits for so many requests at the other end, and for no more of them.
static void
assert_come(const struct scene *scene, int requests)
{
    struct pollfd peer = {.fd = scene->peer, .events = POLLIN};
    char bytes[64];
    long left = requests * 7L;

    while (left > 0) {
        assert_int_equal(poll(&peer, 1, 10000), 1);
        left -= recv(scene->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
    }
    assert_int_equal(left, 0);
    assert_int_equal(recv(scene->peer, bytes, 1, MSG_DONTWAIT), -1);
}

// As multi_turn() does before it begins transfers; it ends the turn as well.
static void
begin_turn(struct scene *scene)
{
    scene->multi->is_in_turn = true;
}

static void
the_first_request_leaves_at_once(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    watch(&scene, 0);
    for (int turn = 0; turn < 3; turn++) {
        begin_turn(&scene);
        ask(&scene);
        assert_come(&scene, 1);
        multi_turn(scene.multi);
        assert_come(&scene, 0);
    }
    close_scene(&scene);
}

static void
those_that_follow_leave_together(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    watch(&scene, 0);
    for (int turn = 0; turn < 2; turn++) {
        begin_turn(&scene);
        for (int i = 0; i < 5; i++)
            ask(&scene);
        assert_come(&scene, 1);
        multi_turn(scene.multi);
        assert_come(&scene, 4);
    }
    close_scene(&scene);
}

static void
nothing_waits_between_turns(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    watch(&scene, 0);
    multi_turn(scene.multi);
    for (int i = 0; i < 5; i++)
        ask(&scene);
    assert_come(&scene, 5);
    close_scene(&scene);
}

static void
a_socket_that_ends_is_forgotten(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin_turn(&scene);
    multi_expect_request(scene.multi, scene.fd); // not watched yet
    multi_expect_request(scene.multi, CURL_SOCKET_BAD);
    watch(&scene, 0);
    ask(&scene);
    ask(&scene);
    assert_int_equal(multi_on_socket(scene.easy[0], scene.fd, CURL_POLL_REMOVE,
                                     scene.multi, NULL),
                     0);
    assert_come(&scene, 2); // nothing stays behind
    multi_turn(scene.multi);
    assert_int_equal(multi_socket_of(&scene.gates[0]), CURL_SOCKET_BAD);
    close_scene(&scene);
}

static void
what_waits_leaves_with_the_multi(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin_turn(&scene);
    watch(&scene, 0);
    for (int i = 0; i < 3; i++)
        ask(&scene);
    assert_come(&scene, 1);
    multi_free(&scene.multi);
    assert_come(&scene, 2);
    assert_int_equal(multi_socket_of(&scene.gates[0]), CURL_SOCKET_BAD);
    close_scene(&scene);
}

static void
a_socket_is_its_last_transfers(void **state)
{
    CURL *closing = curl_easy_init();
    struct scene scene;

    (void)state;
    open_scene(&scene);
    assert_int_equal(multi_socket_of(&scene.gates[0]), CURL_SOCKET_BAD);
    watch(&scene, 0);
    assert_int_equal(multi_socket_of(&scene.gates[0]), scene.fd);
    watch(&scene, 1);
    assert_int_equal(multi_socket_of(&scene.gates[0]), CURL_SOCKET_BAD);
    assert_int_equal(multi_socket_of(&scene.gates[1]), scene.fd);
    multi_leave_socket(&scene.gates[1]);
    assert_int_equal(multi_socket_of(&scene.gates[1]), CURL_SOCKET_BAD);
    multi_leave_socket(&scene.gates[1]);
    watch(&scene, 0);
    assert_int_equal(multi_socket_of(&scene.gates[0]), scene.fd);
    // libcurl's own handle, which closes connections, is nobody's.
    assert_null(multi_gate_of(closing));
    assert_int_equal(
        multi_on_socket(closing, scene.fd, CURL_POLL_IN, scene.multi, NULL), 0);
    assert_int_equal(multi_socket_of(&scene.gates[0]), CURL_SOCKET_BAD);
    curl_easy_cleanup(closing);
    close_scene(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_leaves_at_once),
        cmocka_unit_test(those_that_follow_leave_together),
        cmocka_unit_test(nothing_waits_between_turns),
        cmocka_unit_test(a_socket_that_ends_is_forgotten),
        cmocka_unit_test(what_waits_leaves_with_the_multi),
        cmocka_unit_test(a_socket_is_its_last_transfers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
