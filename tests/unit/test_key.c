// test_key.c - key files: what is read, and what is refused and why
#include "common/key.h"

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
// cmocka wants the four at the top.
#include <cmocka.h>

// The pair of ZeroMQ's own documentation.
#define PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define SECRET "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"

static const char *
parse(const char *text, enum key_kind *out_kind, struct key *out_key)
{
    return key_parse(text, strlen(text), out_kind, out_key);
}

static void
check_reads(const char *text, enum key_kind kind, const char *key)
{
    enum key_kind found;
    struct key got;

    assert_null(parse(text, &found, &got));
    assert_int_equal(found, kind);
    assert_string_equal(got.text, key);
}

static void
check_refused(const char *text, const char *has)
{
    enum key_kind kind = KEY_SECRET;
    struct key key = {.text = "untouched"};
    const char *why = parse(text, &kind, &key);

    assert_non_null(why);
    if (!strstr(why, has))
        fail_msg("'%s' does not say '%s'", why, has);
    assert_string_equal(key.text, "untouched");
}

static void
test_reads(void **state)
{
    (void)state;
    check_reads("urlsum-public-key " PUBLIC "\n", KEY_PUBLIC, PUBLIC);
    check_reads("urlsum-secret-key " SECRET, KEY_SECRET, SECRET);
    check_reads("# a note\n\n  \n#\nurlsum-public-key\t " PUBLIC " \r\n# end",
                KEY_PUBLIC, PUBLIC);
}

static void
test_refuses(void **state)
{
    (void)state;
    check_refused("", "no key");
    check_refused("# only a note\n", "no key");
    check_refused(PUBLIC, "neither a key nor a comment");
    check_refused("urlsum-public-key\n" PUBLIC, "neither a key nor");
    check_refused("urlsum-private-key " PUBLIC, "neither a key nor");
    check_refused("urlsum-public-keys " PUBLIC, "neither a key nor");
    check_refused("urlsum-public-key " PUBLIC "0", "40 characters");
    check_refused("urlsum-public-key short", "40 characters");
    check_refused("urlsum-public-key ", "neither a key nor");
    check_refused(
        "urlsum-public-key \"ne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\"",
        "not Z85");
    check_refused("urlsum-public-key " PUBLIC "\nurlsum-public-key " PUBLIC,
                  "more than one");
}

static void
test_bytes_of_all_kinds(void **state)
{
    char text[] = "urlsum-public-key " PUBLIC "\n";
    enum key_kind kind;
    struct key key;

    (void)state;
    // A NUL is no end: it is a character that a key cannot have.
    text[30] = '\0';
    assert_non_null(key_parse(text, sizeof(text) - 1, &kind, &key));
    // Cut anywhere, it is never a key.
    for (size_t len = 0; len < strlen("urlsum-public-key " PUBLIC); len++)
        assert_non_null(
            key_parse("urlsum-public-key " PUBLIC, len, &kind, &key));
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void
test_files(void **state)
{
    char folder[] = "/tmp/urlsum-key-XXXXXX", path[64], why[160];
    static const struct {
        mode_t mode;
        int err;
    } modes[] = {{0600, 0},       {0400, 0},       {0440, 0},
                 {0640, 0},       {0644, -EINVAL}, {0604, -EINVAL},
                 {0602, -EINVAL}, {0660, -EINVAL}};
    enum key_kind kind;
    struct key key;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/k", folder);
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        write_file(path, "urlsum-secret-key " SECRET "\n", modes[i].mode);
        key = (struct key){.text = "untouched"};
        assert_int_equal(key_read_any(path, &kind, &key, why, sizeof(why)),
                         modes[i].err);
        assert_string_equal(key.text, modes[i].err ? "untouched" : SECRET);
        if (modes[i].err)
            assert_non_null(strstr(why, "chmod"));
        (void)unlink(path);
    }
    // What everybody may know, everybody may read.
    write_file(path, "urlsum-public-key " PUBLIC "\n", 0644);
    assert_int_equal(key_read(path, KEY_PUBLIC, &key, why, sizeof(why)), 0);
    assert_string_equal(key.text, PUBLIC);
    assert_int_equal(key_read(path, KEY_SECRET, &key, why, sizeof(why)),
                     -EINVAL);
    assert_non_null(strstr(why, "secret one (.key) is wanted"));
    (void)unlink(path);
    assert_int_equal(key_read(path, KEY_PUBLIC, &key, why, sizeof(why)),
                     -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(key_read(path, KEY_PUBLIC, &key, why, sizeof(why)),
                     -EINVAL);
    (void)unlink(path);
    assert_int_equal(key_read(folder, KEY_PUBLIC, &key, why, sizeof(why)),
                     -EINVAL);
    assert_non_null(strstr(why, "no regular file"));
    (void)rmdir(folder);
}

static void
test_public_half(void **state)
{
    struct key secret = {.text = SECRET}, public;

    (void)state;
    assert_int_equal(key_public_of(&secret, &public), 0);
    assert_string_equal(public.text, PUBLIC);
    key_wipe(&secret);
    for (size_t i = 0; i < sizeof(secret.text); i++)
        assert_int_equal(secret.text[i], 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bytes_of_all_kinds),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_public_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
