// test_keyring.c - the list of keys as it is read from directories
#include "broker/keyring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>
// cmocka wants the four at the top.
#include <cmocka.h>

struct folder {
    char path[64];
};

static int
set_up(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    assert_non_null(folder);
    (void)snprintf(folder->path, sizeof(folder->path),
                   "/tmp/urlsum-keyring-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    *state = folder;
    return 0;
}

static int
tear_down(void **state)
{
    struct folder *folder = *state;
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", folder->path);
    assert_int_equal(system(command), 0);
    free(folder);
    return 0;
}

static void
make_folder(const struct folder *folder, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void
write_text(const struct folder *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

// The n-th of keys that are all different.
static struct key
key_of(unsigned n)
{
    uint8_t bytes[KEY_BYTES] = {1};
    struct key key;

    memcpy(bytes + 8, &n, sizeof(n));
    assert_non_null(zmq_z85_encode(key.text, bytes, sizeof(bytes)));
    return key;
}

static void
write_key(const struct folder *folder, const char *name, unsigned n)
{
    struct key key = key_of(n);
    char text[128];

    (void)snprintf(text, sizeof(text), "# note\n%s %s\n",
                   key_kind_word(KEY_PUBLIC), key.text);
    write_text(folder, name, text);
}

static struct keyring *
read_all(const struct folder *folder)
{
    struct keyring *keyring = NULL;
    char path[256] = "";

    assert_int_equal(keyring_read(folder->path, &keyring, path, sizeof(path)),
                     0);
    return keyring;
}

static void
test_roles(void **state)
{
    const struct folder *folder = *state;
    struct keyring *keyring;
    struct key one = key_of(1), two = key_of(2), both = key_of(3);

    make_folder(folder, "client");
    make_folder(folder, "hasher"); // and no fetcher
    write_key(folder, "client/one.pub", 1);
    write_key(folder, "hasher/two.pub", 2);
    write_key(folder, "client/both.pub", 3);
    write_key(folder, "hasher/both.pub", 3);
    write_key(folder, "hasher/both-again.pub", 3);
    write_key(folder, "hasher/.hidden.pub", 4);
    write_key(folder, "hasher/no-key.txt", 5);
    write_key(folder, "hasher/.pub", 6);
    keyring = read_all(folder);
    assert_int_equal(keyring_len(keyring, ACCESS_CLIENT), 2);
    assert_int_equal(keyring_len(keyring, ACCESS_FETCHER), 0);
    assert_int_equal(keyring_len(keyring, ACCESS_HASHER), 2);
    assert_int_equal(keyring_troubles(keyring), 0);
    assert_string_equal(keyring_find(keyring, ACCESS_CLIENT, one.text)->label,
                        "\"one\"");
    assert_null(keyring_find(keyring, ACCESS_HASHER, one.text));
    assert_null(keyring_find(keyring, ACCESS_CLIENT, two.text));
    assert_non_null(keyring_find(keyring, ACCESS_CLIENT, both.text));
    assert_non_null(keyring_find(keyring, ACCESS_HASHER, both.text));
    assert_null(keyring_find(keyring, ACCESS_HASHER, ""));
    keyring_free(&keyring);
    assert_null(keyring);
}

static void
test_nothing_there(void **state)
{
    const struct folder *folder = *state;
    struct keyring *keyring = read_all(folder);

    for (int role = 0; role < ACCESS_ROLES; role++)
        assert_int_equal(keyring_len(keyring, (enum access_role)role), 0);
    keyring_free(&keyring);
}

// A directory that is there and is none: nothing is known then, and what was
// known before must hold.
static void
test_unreadable(void **state)
{
    const struct folder *folder = *state;
    struct keyring *keyring = NULL;
    char path[256];

    write_text(folder, "hasher", "no directory");
    assert_int_equal(keyring_read(folder->path, &keyring, path, sizeof(path)),
                     -ENOTDIR);
    assert_null(keyring);
    assert_non_null(strstr(path, "/hasher"));
}

static void
test_bad_files(void **state)
{
    const struct folder *folder = *state;
    struct keyring *keyring;
    char name[64];

    make_folder(folder, "client");
    write_key(folder, "client/good.pub", 1);
    for (int i = 0; i < KEYRING_TROUBLES_MAX + 5; i++) {
        (void)snprintf(name, sizeof(name), "client/bad\n%d.pub", i);
        write_text(folder, name, "urlsum-public-key short\n");
    }
    keyring = read_all(folder);
    assert_int_equal(keyring_len(keyring, ACCESS_CLIENT), 1);
    assert_int_equal(keyring_troubles(keyring), KEYRING_TROUBLES_MAX + 5);
    assert_non_null(keyring_trouble(keyring, KEYRING_TROUBLES_MAX - 1));
    assert_null(keyring_trouble(keyring, KEYRING_TROUBLES_MAX));
    assert_non_null(
        strstr(keyring_trouble(keyring, 0)->error, "40 characters"));
    assert_null(strchr(keyring_trouble(keyring, 0)->file, '\n'));
    keyring_free(&keyring);
}

static void
count(void *arg, enum access_role role, const struct keyring_key *key)
{
    (void)role, (void)key;
    ++*(int *)arg;
}

static void
test_changes(void **state)
{
    const struct folder *folder = *state;
    struct keyring *before, *after;
    char path[256];
    int gone = 0, come = 0;

    make_folder(folder, "client");
    make_folder(folder, "hasher");
    write_key(folder, "client/one.pub", 1);
    write_key(folder, "client/two.pub", 2);
    before = read_all(folder);
    after = read_all(folder);
    assert_true(keyring_is_same(before, after));
    keyring_free(&after);
    // Another key under the same name, and one that moves to another role.
    write_key(folder, "client/one.pub", 7);
    (void)snprintf(path, sizeof(path), "%s/client/two.pub", folder->path);
    assert_int_equal(unlink(path), 0);
    write_key(folder, "hasher/two.pub", 2);
    after = read_all(folder);
    assert_false(keyring_is_same(before, after));
    assert_false(keyring_is_same(after, before));
    keyring_each_beyond(before, after, ACCESS_CLIENT, count, &gone);
    keyring_each_beyond(after, before, ACCESS_CLIENT, count, &come);
    assert_int_equal(gone, 2);
    assert_int_equal(come, 1);
    come = 0;
    keyring_each_beyond(after, before, ACCESS_HASHER, count, &come);
    assert_int_equal(come, 1);
    keyring_free(&before);
    keyring_free(&after);
}

static void
test_too_many(void **state)
{
    const struct folder *folder = *state;
    struct keyring *keyring;
    char name[64];

    make_folder(folder, "fetcher");
    for (unsigned i = 0; i < KEYRING_ROLE_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "fetcher/%u.pub", i);
        write_key(folder, name, i);
    }
    keyring = read_all(folder);
    assert_int_equal(keyring_len(keyring, ACCESS_FETCHER), KEYRING_ROLE_MAX);
    assert_int_equal(keyring_troubles(keyring), 3);
    assert_non_null(strstr(keyring_trouble(keyring, 0)->error, "too many"));
    keyring_free(&keyring);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
