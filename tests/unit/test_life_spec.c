// proto/worker.md's "Life of a job" says what the code does: the table, the
// states and the events, none more and none less.
#include "broker/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_MAX (256 * 1024)

static char *
load(void)
{
    char *text = calloc(1, TEXT_MAX);
    FILE *file = fopen(PROJECT_SOURCE_DIR "/proto/worker.md", "r");
    size_t len;

    assert_non_null(text);
    assert_non_null(file);
    len = fread(text, 1, TEXT_MAX - 1, file);
    assert_in_range(len, 1, TEXT_MAX - 2);
    (void)fclose(file);
    return text;
}

// The rows of the table that begins with this header, as one text.
static char *
read_rows(const char *header)
{
    char *text = load(), *start = strstr(text, header), *end;

    if (!start || strstr(start + 1, header))
        fail_msg("not one table: %s", header);
    end = start;
    while (*end == '|') {
        end = strchr(end, '\n');
        assert_non_null(end);
        end++;
    }
    memmove(text, start, (size_t)(end - start));
    text[end - start] = '\0';
    return text;
}

static void
test_table(void **state)
{
    char *printed = NULL, *told = read_rows("| state | event | next |\n");
    size_t len = 0;
    FILE *out = open_memstream(&printed, &len);

    (void)state;
    assert_non_null(out);
    life_print(out);
    (void)fclose(out);
    assert_string_equal(told, printed);
    free(told);
    free(printed);
}

// Appends "| NAME | note |".
static void
add_row(FILE *out, const char *name, const char *note)
{
    (void)fprintf(out, "| %s | %s |\n", name, note);
}

static void
test_states(void **state)
{
    char *wanted = NULL, *told = read_rows("| state | a job of this state |\n");
    size_t len = 0;
    FILE *out = open_memstream(&wanted, &len);

    (void)state;
    assert_non_null(out);
    (void)fprintf(out, "| state | a job of this state |\n|---|---|\n");
#define X(symbol, note) add_row(out, #symbol, note);
    JOB_STATES(X)
#undef X
    (void)fclose(out);
    assert_string_equal(told, wanted);
    free(told);
    free(wanted);
}

static void
test_events(void **state)
{
    char *wanted = NULL, *told = read_rows("| event | what happened |\n");
    size_t len = 0;
    FILE *out = open_memstream(&wanted, &len);

    (void)state;
    assert_non_null(out);
    (void)fprintf(out, "| event | what happened |\n|---|---|\n");
#define X(symbol, note) add_row(out, #symbol, note);
    JOB_EVENTS(X)
#undef X
    (void)fclose(out);
    assert_string_equal(told, wanted);
    free(told);
    free(wanted);
}

// The names are those of the symbols (upper case in the table; logs have them
// as life.h says).
static void
test_names(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        assert_non_null(life_state_name((enum job_state)i));
#define X(symbol, note)                                                        \
    assert_string_equal(life_state_name(JOB_##symbol), #symbol);
    JOB_STATES(X)
#undef X
#define X(symbol, note)                                                        \
    assert_string_equal(life_event_name(EV_##symbol), #symbol);
    JOB_EVENTS(X)
#undef X
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
