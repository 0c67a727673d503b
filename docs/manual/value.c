#include "client/format.h"
#include "client/options.h"
#include "docs/manual/manual.h"
#include "proto/fail.h"

#include <assert.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256

static void
add_word(struct value *value, const char *word, size_t len)
{
    size_t used = strlen(value->words);

    assert(used + len + 2 <= sizeof(value->words));
    if (used)
        value->words[used++] = ' ';
    memcpy(value->words + used, word, len);
    value->words[used + len] = '\0';
}

// --- Lists whose words are not in the row ---

static void
note_digest(EVP_MD *digest, void *arg)
{
    const char *name = EVP_MD_get0_name(digest);
    const char **names = arg;

    for (size_t i = 0; name && i < NAMES_MAX; i++) {
        if (!names[i]) {
            names[i] = name;
            return;
        }
    }
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

// Those that -a takes of those that OpenSSL has here, by the names that results
// have.
static void
add_algorithms(struct value *value)
{
    static char usual[NAMES_MAX][WIRE_ALGORITHM_NAME_MAX + 1];
    const char *names[NAMES_MAX] = {NULL};
    struct format format;
    char why[256];
    size_t len = 0;

    EVP_MD_do_all_provided(NULL, note_digest, names);
    for (size_t i = 0; i < NAMES_MAX && names[i]; i++) {
        if (!options_parse_algorithms(names[i], &format, why, sizeof(why)))
            (void)strcpy(usual[len++], format.algorithms[0]); // as long
    }
    qsort(usual, len, sizeof(*usual), compare_names);
    for (size_t i = 0; i < len; i++) {
        if (i == 0 || strcmp(usual[i], usual[i - 1]) != 0)
            add_word(value, usual[i], strlen(usual[i]));
    }
}

static void
add_kinds(struct value *value)
{
    for (uint64_t i = 0; fail_is_known(i); i++) {
        const char *name = fail_name((enum fail)i);

        if (i != FAIL_OK && i != FAIL_CANCELLED)
            add_word(value, name, strlen(name));
    }
    add_word(value, "4xx 5xx", 7);
}

// --- Values ---

static bool
is_among(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

void
value_of_row(const struct conf_option *row, struct value *out_value)
{
    static const char *const files[] = {"FILE", NULL};
    static const char *const dirs[] = {"DIR", "FOLDER", NULL};
    const char *arg = row->arg ? row->arg : "";

    *out_value = (struct value){.kind = VALUE_ANY};
    if (row->type == CONF_BOOL) {
        out_value->kind = VALUE_ABSENT;
    } else if (row->type == CONF_CHOICE) {
        out_value->kind = VALUE_WORDS;
        for (; *arg; arg += strspn(arg, "|")) {
            add_word(out_value, arg, strcspn(arg, "|"));
            arg += strcspn(arg, "|");
        }
    } else if (strcmp(arg, "ALGORITHM,...") == 0) {
        out_value->kind = VALUE_LIST;
        add_algorithms(out_value);
    } else if (strcmp(arg, "KIND,...") == 0) {
        out_value->kind = VALUE_LIST;
        add_kinds(out_value);
    } else if (strcmp(arg, "ENDPOINT") == 0) {
        out_value->kind = VALUE_STARTS;
        add_word(out_value, "tcp:// ipc://", 13);
    } else if (is_among(arg, files)) {
        out_value->kind = VALUE_FILE;
    } else if (is_among(arg, dirs)) {
        out_value->kind = VALUE_DIR;
    }
}

void
value_of_usage(const char *usage, struct value *out_value)
{
    *out_value = (struct value){.kind = usage ? VALUE_ANY : VALUE_ABSENT};
    if (!usage)
        return;
    if (strstr(usage, "BATCH")) {
        out_value->kind = VALUE_BATCH;
    } else if (strstr(usage, "URL")) {
        out_value->kind = VALUE_STARTS;
        add_word(out_value, "https:// http://", 16);
    } else if (strstr(usage, "FILE")) {
        out_value->kind = VALUE_FILE;
    } else if (strstr(usage, "DIR")) {
        out_value->kind = VALUE_DIR;
    }
}

const char *
value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {
        [VALUE_ABSENT] = "absent", [VALUE_ANY] = "any",
        [VALUE_FILE] = "file",     [VALUE_DIR] = "dir",
        [VALUE_WORDS] = "words",   [VALUE_LIST] = "list",
        [VALUE_STARTS] = "starts", [VALUE_BATCH] = "batch",
    };

    return names[kind];
}

void
text_brief(const char *help, char *out_text, size_t size)
{
    static const char *const ends[] = {". ", ";", ": ", " ("};
    size_t len = strlen(help);

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        const char *end = strstr(help, ends[i]);

        // A full stop with no word before it is none.
        if (end && end > help && end[-1] != ' ' && (size_t)(end - help) < len)
            len = (size_t)(end - help);
    }
    if (len && help[len - 1] == '.')
        len--;
    if (len >= size)
        len = size - 1;
    memcpy(out_text, help, len);
    out_text[len] = '\0';
    if (isupper((unsigned char)out_text[0]) &&
        !isupper((unsigned char)out_text[1]))
        out_text[0] = (char)tolower((unsigned char)out_text[0]);
}
