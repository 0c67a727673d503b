#include "client/commands.h"
#include "client/keypair.h"
#include "client/say.h"
#include "common/conf.h"
#include "common/key.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct keygen {
    bool is_kept;
    const char *public;
};

static const struct conf_option keygen_options[] = {
    {.name = "if-missing",
     .type = CONF_BOOL,
     .offset = offsetof(struct keygen, is_kept),
     .help = "A pair that is there already is kept, and that is fine"},
    {.name = "public",
     .type = CONF_STRING,
     .offset = offsetof(struct keygen, public),
     .arg = "FILE",
     .help = "Make nothing; print the public key of FILE, a .key or a .pub"},
    {.name = NULL},
};

static const struct conf_table tables[] = {
    {keygen_options, 0},
    {NULL, 0},
};

const struct conf_program cmd_keygen_program = {
    .name = "urlsum keygen",
    .usage = "NAME",
    .doc = "Make a key pair: NAME.key, the secret, readable by its owner "
           "alone, and NAME.pub, which the other side is given."
           "\v"
           "The broker gets its own .key (--key-file) and, in the directory "
           "--authorized, the .pub of whoever may connect: client/*.pub, "
           "fetcher/*.pub, hasher/*.pub. Clients and workers get their own "
           ".key (--key-file) and the broker's .pub (--broker-key-file). "
           "Nothing is ever replaced.\n\n"
           "Exit codes: 0; 1 a file is there already, or cannot be written or "
           "read; 2 usage.",
    .tables = tables,
    .takes_arguments = true,
};

static int
print_public(const char *path)
{
    enum key_kind kind;
    struct key key, public;
    char why[160];
    int err = key_read_any(path, &kind, &key, why, sizeof(why));

    if (err) {
        say("%s: %s", path, why);
        return EXIT_FAILED_URL;
    }
    public = key;
    if (kind == KEY_SECRET)
        err = key_public_of(&key, &public);
    key_wipe(&key);
    if (err) {
        say("%s: it is no CURVE secret", path);
        return EXIT_FAILED_URL;
    }
    (void)printf("%s %s\n", key_kind_word(KEY_PUBLIC), public.text);
    if (fflush(stdout) == 0)
        return EXIT_GOOD;
    say("standard output cannot be written");
    return EXIT_FAILED_URL;
}

// Why it cannot be a pair's name, or NULL.
static const char *
check_name(const char *name)
{
    const char *base = strrchr(name, '/');
    size_t len;

    base = base ? base + 1 : name;
    len = strlen(base);
    if (!len)
        return "NAME is a file's name without .key";
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)base[i] <= ' ' || base[i] == 0x7f)
            return "NAME has no blanks and no control characters";
    }
    if (len > 4 && (strcmp(base + len - 4, ".key") == 0 ||
                    strcmp(base + len - 4, ".pub") == 0))
        return "NAME comes without .key or .pub: both are added";
    return NULL;
}

static int
make(const struct keygen *keygen, const char *name)
{
    enum keypair_outcome outcome;
    char why[4500];

    if (keypair_make(name, keygen->is_kept, &outcome, why, sizeof(why))) {
        say("%s", why);
        return EXIT_FAILED_URL;
    }
    switch (outcome) {
    case KEYPAIR_MADE:
        say("made %s.key (secret) and %s.pub", name, name);
        break;
    case KEYPAIR_COMPLETED:
        say("made %s.pub of the %s.key that is there", name, name);
        break;
    case KEYPAIR_KEPT:
        break;
    }
    return EXIT_GOOD;
}

int
cmd_keygen(int argc, char **argv)
{
    struct keygen keygen = {0};
    const char *wrong = NULL;
    int first = argc;
    bool has_public;

    conf_parse(&cmd_keygen_program, argc, argv, &keygen, &first);
    has_public = keygen.public && *keygen.public;
    if (has_public && first < argc)
        wrong = "--public prints a key; it makes none of NAME";
    else if (!has_public && argc - first != 1)
        wrong = "keygen wants one NAME: NAME.key and NAME.pub are made";
    else if (!has_public)
        wrong = check_name(argv[first]);
    if (wrong) {
        say("%s\nTry 'urlsum keygen --help'", wrong);
        return EXIT_USAGE;
    }
    return has_public ? print_public(keygen.public)
                      : make(&keygen, argv[first]);
}
