// test_spec.c - the specifications say what the code does
//
// Reads the tables of proto/worker.md, and the numbers in proto/urlsum.proto's
// comments, and compares them with the headers. Rows must be the same, in the
// same order, none more and none less.
#include "common/limits.h"
#include "proto/fail.h"
#include "proto/wire.h"
#include "proto/wire_rules.h"
#include "proto/wire_scan.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> // needs those above

#define CELLS_MAX 8

// The whole file, for free().
static char *
load(const char *name)
{
    char path[4096];
    char *text;
    FILE *file;
    size_t len;

    (void)snprintf(path, sizeof(path), "%s/%s", PROJECT_SOURCE_DIR, name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("cannot open %s", path);
    text = malloc(1024 * 1024);
    assert_non_null(text);
    len = fread(text, 1, 1024 * 1024 - 1, file);
    text[len] = 0;
    (void)fclose(file);
    return text;
}

// A table's rows, one after the other.
struct table {
    char *text;
    char *at; // start of the next row
    const char *header;
};

// Finds the table of worker.md whose first row begins so.
static struct table
open_table(const char *header)
{
    struct table table = {.text = load("proto/worker.md"), .header = header};

    table.at = strstr(table.text, header);
    if (!table.at)
        fail_msg("no table: %s", header);
    if (strstr(table.at + 1, header))
        fail_msg("two tables: %s", header);
    for (int line = 0; line < 2; line++) { // header and separator
        table.at = strchr(table.at, '\n');
        assert_non_null(table.at);
        table.at++;
    }
    assert_memory_equal(table.at - 5, "---|", 4);
    return table;
}

static char *
trim(char *cell)
{
    char *end = cell + strlen(cell);

    while (*cell == ' ')
        cell++;
    while (end > cell && end[-1] == ' ')
        *--end = 0;
    return cell;
}

// Fills cells, which point into the table. Returns false behind the last row.
static bool
next_row(struct table *table, char *cells[CELLS_MAX])
{
    char *end, *at = table->at;
    size_t len = 0;

    if (*at != '|')
        return false;
    end = strchr(at, '\n');
    assert_non_null(end);
    *end = 0;
    table->at = end + 1;
    for (at++; len < CELLS_MAX && *at; at = end + 1) {
        end = strchr(at, '|');
        assert_non_null(end);
        *end = 0;
        cells[len++] = trim(at);
    }
    while (len < CELLS_MAX)
        cells[len++] = (char *)"";
    return true;
}

// The next row must be this one, as far as is not NULL.
static void
expect_row(struct table *table, const char *one, const char *two,
           const char *three, const char *four)
{
    const char *const expected[] = {one, two, three, four};
    char *cells[CELLS_MAX];

    if (!next_row(table, cells))
        fail_msg("%s: no row for %s %s", table->header, one, two);
    for (size_t i = 0; i < 4; i++) {
        if (expected[i] && strcmp(cells[i], expected[i]) != 0)
            fail_msg("%s: \"%s\" where the code has \"%s\"", table->header,
                     cells[i], expected[i]);
    }
}

static void
close_table(struct table *table)
{
    char *cells[CELLS_MAX];

    if (next_row(table, cells))
        fail_msg("%s: the code has no %s %s", table->header, cells[0],
                 cells[1]);
    free(table->text);
}

// One of a few static buffers in turn.
static const char *
decimal(uint64_t number)
{
    static char texts[4][24];
    static size_t turn;

    turn = (turn + 1) % 4;
    (void)snprintf(texts[turn], sizeof(*texts), "%" PRIu64, number);
    return texts[turn];
}

static void
test_kinds(void **state)
{
    struct table table = open_table("| number | name | directions |");
    char *cells[CELLS_MAX];

    (void)state;
#define X(number, symbol, directions)                                          \
    expect_row(&table, decimal(number), #symbol, directions, NULL);
    WIRE_KINDS(X)
#undef X
    close_table(&table);
    // Each head begins with its kind's number.
    table = open_table("| number | name | directions |");
    while (next_row(&table, cells)) {
        assert_int_equal(cells[3][0], '[');
        assert_int_equal(strtoul(cells[3] + 1, NULL, 10),
                         strtoul(cells[0], NULL, 10));
    }
    free(table.text);
}

static void
test_roles(void **state)
{
    struct table table = open_table("| role | number |");

    (void)state;
    expect_row(&table, "broker", "-", NULL, NULL);
    expect_row(&table, "fetcher", decimal(WIRE_FETCHER), NULL, NULL);
    expect_row(&table, "hasher", decimal(WIRE_HASHER), NULL, NULL);
    close_table(&table);
}

static void
test_errors(void **state)
{
    struct table table = open_table("| number | code |");

    (void)state;
#define X(number, symbol, meaning)                                             \
    expect_row(&table, decimal(number), #symbol, meaning, NULL);
    WIRE_ERRORS(X)
#undef X
    close_table(&table);
}

static void
test_aborts(void **state)
{
    struct table table = open_table("| number | reason |");

    (void)state;
#define X(number, symbol, meaning)                                             \
    expect_row(&table, decimal(number), #symbol, meaning, NULL);
    WIRE_ABORTS(X)
#undef X
    close_table(&table);
}

static void
test_pauses(void **state)
{
    struct table table = open_table("| number | pause |");

    (void)state;
#define X(number, symbol, meaning)                                             \
    expect_row(&table, decimal(number), #symbol, meaning, NULL);
    WIRE_PAUSES(X)
#undef X
    close_table(&table);
}

static void
test_outcomes(void **state)
{
    struct table table = open_table("| number | outcome |");

    (void)state;
    for (unsigned i = 0; i < FAIL_COUNT; i++)
        expect_row(&table, decimal(i), fail_name((enum fail)i),
                   fail_meaning((enum fail)i), NULL);
    close_table(&table);
}

static void
test_flags(void **state)
{
    struct table table = open_table("| number | flag |");

    (void)state;
    expect_row(&table, decimal(WIRE_SEGMENT_LAST), "LAST", NULL, NULL);
    expect_row(&table, decimal(WIRE_SEGMENT_RESTART), "RESTART", NULL, NULL);
    close_table(&table);
}

static void
test_request(void **state)
{
    struct table table = open_table("| key | field | highest |");

    (void)state;
#define X(key, field, highest)                                                 \
    expect_row(&table, decimal(key), #field, decimal(highest), NULL);
    WIRE_REQUEST_FIELDS(X)
#undef X
    close_table(&table);
}

static void
test_facts(void **state)
{
    struct table table = open_table("| key | fact |");

    (void)state;
#define X(key, field)                                                          \
    expect_row(&table, decimal(key), #field, "uint",                           \
               decimal(wire_fact_number_max(key)));
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field)                                                          \
    expect_row(&table, decimal(key), #field, "bin",                            \
               decimal(wire_fact_string_max(key)));
    WIRE_FACT_STRINGS(X)
#undef X
    close_table(&table);
}

static void
test_profile(void **state)
{
    struct table table = open_table("| key | option |");

    (void)state;
#define X(key, field, highest)                                                 \
    expect_row(&table, decimal(key), #field, "uint", decimal(highest));
    WIRE_PROFILE_NUMBERS(X)
#undef X
#define X(key, field, longest)                                                 \
    expect_row(&table, decimal(key), #field, "bin", decimal(longest));
    WIRE_PROFILE_STRINGS(X)
#undef X
#define X(key, field, longest)                                                 \
    expect_row(&table, decimal(key), #field, "[bin]", decimal(longest));
    WIRE_PROFILE_LISTS(X)
#undef X
    close_table(&table);
}

// Every limit that worker.md must tell; test_limits_are_all() finds a new one.
#define LIMITS(X)                                                              \
    X(WIRE_VERSION)                                                            \
    X(WIRE_VERSION_MAX)                                                        \
    X(WIRE_HEAD_BYTES_MAX)                                                     \
    X(WIRE_BODY_BYTES_MAX)                                                     \
    X(WIRE_ENTRIES_MAX)                                                        \
    X(WIRE_ALGORITHMS_MAX)                                                     \
    X(WIRE_UNTOLD_MAX)                                                         \
    X(WIRE_SUITES_MAX)                                                         \
    X(WIRE_ALGORITHM_NAME_MAX)                                                 \
    X(WIRE_HELLO_ALGORITHMS_MAX)                                               \
    X(WIRE_DIGEST_BYTES_MAX)                                                   \
    X(WIRE_NAME_MAX)                                                           \
    X(WIRE_TEXT_MAX)                                                           \
    X(WIRE_FACT_MAX)                                                           \
    X(WIRE_FACT_CODE_MAX)                                                      \
    X(WIRE_FACT_TIME_MAX)                                                      \
    X(WIRE_CAPACITY_MAX)                                                       \
    X(WIRE_SIZE_MAX)                                                           \
    X(WIRE_WINDOW_MAX)                                                         \
    X(WIRE_TTL_MS_MAX)                                                         \
    X(WIRE_PROFILES_MAX)                                                       \
    X(WIRE_PROFILE_ITEMS_MAX)                                                  \
    X(WIRE_PROFILE_HEADER_BYTES_MAX)                                           \
    X(WIRE_PROFILE_HEADERS_BYTES_MAX)                                          \
    X(WIRE_PROFILE_BYTES_MAX)                                                  \
    X(WIRE_PROFILE_PEM_BYTES_MAX)                                              \
    X(URL_BYTES_MAX)                                                           \
    X(PORT_FETCHER)                                                            \
    X(PORT_HASHER)

static void
test_limits(void **state)
{
    struct table table = open_table("| limit | value |");

    (void)state;
#define X(name) expect_row(&table, #name, decimal(name), NULL, NULL);
    LIMITS(X)
#undef X
    close_table(&table);
}

static void
test_limits_are_all(void **state)
{
    static const char *const told[] = {
#define X(name) #name,
        LIMITS(X)
#undef X
    };
    char *text = load("common/limits.h");
    size_t found = 0;

    (void)state;
    for (char *at = text; (at = strstr(at, "#define WIRE_")); at++) {
        const char *name = at + strlen("#define ");
        size_t len = strcspn(name, " "), i = 0;

        while (i < sizeof(told) / sizeof(*told) &&
               (strlen(told[i]) != len || strncmp(told[i], name, len) != 0))
            i++;
        if (i == sizeof(told) / sizeof(*told))
            fail_msg("worker.md does not tell %.*s", (int)len, name);
        found++;
    }
    assert_int_equal(found, sizeof(told) / sizeof(*told) - 3);
    free(text);
}

// --- Text around the tables ---

// 4096 as "4,096".
static const char *
grouped(uint64_t number)
{
    static char text[32];

    if (number >= 1000000)
        (void)snprintf(text, sizeof(text),
                       "%" PRIu64 ",%03" PRIu64 ",%03" PRIu64, number / 1000000,
                       number / 1000 % 1000, number % 1000);
    else if (number >= 1000)
        (void)snprintf(text, sizeof(text), "%" PRIu64 ",%03" PRIu64,
                       number / 1000, number % 1000);
    else
        (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    return text;
}

// Line breaks with the comment marks behind them, and runs of blanks, become
// one blank.
static void
flatten(char *text)
{
    char *to = text;

    for (const char *at = text; *at;) {
        bool is_comment = strncmp(at, "//", 2) == 0 &&
                          (at == text || at[-1] == '\n' || at[-1] == ' ');

        if (isspace((unsigned char)*at) || is_comment) {
            if (to > text && to[-1] != ' ')
                *to++ = ' ';
            at += is_comment ? 2 : 1;
        } else {
            *to++ = *at++;
        }
    }
    *to = 0;
}

__attribute__((format(printf, 2, 3))) static void
expect_text(const char *text, const char *format, ...)
{
    char wanted[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(wanted, sizeof(wanted), format, args);
    va_end(args);
    if (!strstr(text, wanted))
        fail_msg("the specification does not say: %s", wanted);
}

static void
test_prose(void **state)
{
    char *text = load("proto/worker.md");

    (void)state;
    flatten(text);
    expect_text(text, "# The urlsum worker protocol, version %d", WIRE_VERSION);
    expect_text(text, "`tcp://127.0.0.1:%d` for fetchers", PORT_FETCHER);
    expect_text(text, "`tcp://127.0.0.1:%d` for hashers", PORT_HASHER);
    expect_text(text, "(1 to %d, inclusive)", WIRE_VERSION_MAX);
    expect_text(text, "`name` (1 to %d characters)", WIRE_NAME_MAX);
    expect_text(text, "`capacity` (1 to %d)", WIRE_CAPACITY_MAX);
    expect_text(text, "1 to %d algorithms that", WIRE_HELLO_ALGORITHMS_MAX);
    expect_text(text, "at most %s. It is", grouped(WIRE_BODY_BYTES_MAX));
    expect_text(text, "1 to %d algorithm names", WIRE_ALGORITHMS_MAX);
    expect_text(text, "`text` (up to %d characters)", WIRE_TEXT_MAX);
    expect_text(text, "at most %d deep", WIRE_DEPTH_MAX);
    expect_text(text, "at most %s values", grouped(WIRE_VALUES_MAX));
    expect_text(text, "each at most %d bytes", WIRE_DIGEST_BYTES_MAX);
    assert_true(WIRE_SIZE_MAX == UINT64_C(1) << 62);
    expect_text(text, "is at most 2^62");
    free(text);
}

static void
test_api(void **state)
{
    char *text = load("proto/urlsum.proto");

    (void)state;
    flatten(text);
    expect_text(text, "(tcp port %d)", PORT_CLIENT);
    expect_text(text, "At most %s URLs and", grouped(SUBMIT_URLS_MAX));
    expect_text(text, "URLs and %d KiB.", SUBMIT_BYTES_MAX / 1024);
    expect_text(text, "own maximum of %s", grouped(RESULTS_ROWS_MAX));
    expect_text(text, "1-%d of [A-Za-z0-9._-]", BATCH_ID_MAX);
    free(text);
}

// --- The examples ---

static size_t
read_hex(const char *at, unsigned char *out_bytes, size_t size)
{
    size_t len = 0;
    unsigned byte;

    for (; isxdigit((unsigned char)*at); at += 2) {
        assert_true(len < size);
        assert_int_equal(sscanf(at, "%2x", &byte), 1);
        out_bytes[len++] = (unsigned char)byte;
    }
    assert_int_equal(*at, '\n');
    return len;
}

static void
test_examples(void **state)
{
    char *text = load("proto/worker.md");
    char *at = strstr(text, "```hex\n");
    struct wire_decoder *decoder = NULL;
    unsigned seen = 0, all = 0;

    (void)state;
#define X(number, symbol, directions) all |= 1u << (number);
    WIRE_KINDS(X)
#undef X
    assert_non_null(at);
    assert_int_equal(wire_decoder_new(&decoder), 0);
    for (at = strchr(at, '\n') + 1; *at != '`'; at = strchr(at, '\n') + 1) {
        struct wire_message message;
        unsigned char frame[256];
        const char *hex = at + strcspn(at, " ");
        size_t len = read_hex(hex + strspn(hex, " "), frame, sizeof(frame));
        const char *name;

        if (wire_decode(decoder, frame, len, &message))
            fail_msg("%.20s: %s", at, wire_decoder_error(decoder));
        name = wire_kind_name(message.kind);
        assert_memory_equal(at, name, strlen(name));
        assert_int_equal(at[strlen(name)], ' ');
        seen |= 1u << message.kind;
    }
    assert_int_equal(seen, all); // each of them
    wire_decoder_free(&decoder);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),    cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_flags),    cmocka_unit_test(test_request),
        cmocka_unit_test(test_outcomes), cmocka_unit_test(test_facts),
        cmocka_unit_test(test_pauses),   cmocka_unit_test(test_aborts),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_profile),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_limits_are_all),
        cmocka_unit_test(test_prose),    cmocka_unit_test(test_api),
        cmocka_unit_test(test_examples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
