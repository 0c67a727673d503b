// What a service manager hears, and that nobody else is bothered.
#include "common/notify.h"
#include "common/role.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

// A manager that listens at an address of this length.
static int
listen_at(const struct sockaddr_un *address, size_t path_len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len)),
        0);
    return fd;
}

static void
expect(int fd, const char *text)
{
    char got[256] = "";
    ssize_t len = recv(fd, got, sizeof(got) - 1, 0);

    if (!text) {
        assert_int_equal(len, -1);
        assert_int_equal(errno, EAGAIN);
        return;
    }
    assert_int_equal(len, strlen(text)); // without an end of its own
    assert_string_equal(got, text);
}

static void
test_path(void **state)
{
    char folder[] = "/tmp/notify-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
    fd = listen_at(&address, strlen(address.sun_path) + 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    notify_send("READY=1\nSTATUS=serves");
    expect(fd, "READY=1\nSTATUS=serves");
    expect(fd, NULL);
    (void)unlink(address.sun_path);
    (void)rmdir(folder);
    notify_send("STOPPING=1"); // nobody is there any more
    expect(fd, NULL);
    (void)close(fd);
}

static void
test_abstract(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path, sizeof(address.sun_path),
                       "@urlsum-test-notify-%ld", (long)getpid());
    int fd;

    (void)state;
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    address.sun_path[0] = '\0';
    fd = listen_at(&address, (size_t)len);
    notify_send("STOPPING=1");
    expect(fd, "STOPPING=1");
    (void)close(fd);
}

// What names no socket is passed over.
static void
test_nowhere(void **state)
{
    static const char *const names[] = {"", "/", "@", "relative", "vsock:2:1"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        notify_send("READY=1");
    }
    memset(text, 'x', sizeof(text) - 1);
    text[0] = '/';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
    notify_send("READY=1");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_send("READY=1");
}

static void
check_watchdog(const char *usec, const char *pid, uint64_t want_ms)
{
    assert_int_equal(
        usec ? setenv("WATCHDOG_USEC", usec, 1) : unsetenv("WATCHDOG_USEC"), 0);
    assert_int_equal(
        pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID"), 0);
    assert_int_equal(notify_watchdog_ms(), want_ms);
}

static void
test_watchdog(void **state)
{
    char me[32], other[32];

    (void)state;
    (void)snprintf(me, sizeof(me), "%ld", (long)getpid());
    (void)snprintf(other, sizeof(other), "%ld", (long)getpid() + 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", "/nowhere", 1), 0);
    check_watchdog("3000000", me, 1500);
    check_watchdog("3000000", NULL, 1500); // any process, as systemd says
    check_watchdog("1", me, 1);
    check_watchdog("18446744073709551615", me, UINT64_MAX / 2000);
    check_watchdog("3000000", other, 0); // our parent was meant
    check_watchdog(NULL, me, 0);
    check_watchdog("0", me, 0);
    check_watchdog("", me, 0);
    check_watchdog("-1", me, 0);
    check_watchdog("3s", me, 0);
    check_watchdog("99999999999999999999", me, 0);
    check_watchdog("3000000", "", 0);
    check_watchdog("3000000", "1 ", 0);
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    check_watchdog("3000000", me, 0); // nobody would hear
    check_watchdog(NULL, NULL, 0);
}

// A role that no program runs tells nobody.
static void
test_embedded(void **state)
{
    struct role role;

    (void)state;
    role_init(&role, NULL, false);
    role_ready(&role);
    role_status(&role, "serves");
    role_reloaded(&role);
    role_fini(&role);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),     cmocka_unit_test(test_abstract),
        cmocka_unit_test(test_nowhere),  cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_embedded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
