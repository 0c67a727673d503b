// test_framing.c - fields that leave no doubt where a body ends, and others
#include "fetcher/answer.h"
#include "fetcher/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> // needs those above

#define LENGTHS "Content-Length"
#define CODINGS "Transfer-Encoding"

static const struct {
    const char *name, *first, *second;
    bool is_good;
} rows[] = {
    {LENGTHS, NULL, NULL, true},
    {LENGTHS, "0", NULL, true},
    {LENGTHS, "3000", NULL, true},
    {LENGTHS, "003000", NULL, true},
    {LENGTHS, "4611686018427387904", NULL, true},
    {LENGTHS, "3000", "3000", true},
    {LENGTHS, "3000 ,\t3000", "3000", true},
    {LENGTHS, "4611686018427387905", NULL, false},
    {LENGTHS, "9223372036854775808", NULL, false},
    {LENGTHS, "18446744073709554616", NULL, false},
    {LENGTHS, "99999999999999999999999999999999", NULL, false},
    {LENGTHS, "", NULL, false},
    {LENGTHS, "-1", NULL, false},
    {LENGTHS, "+1", NULL, false},
    {LENGTHS, "0x10", NULL, false},
    {LENGTHS, "1e3", NULL, false},
    {LENGTHS, "10.0", NULL, false},
    {LENGTHS, "10 bytes", NULL, false},
    {LENGTHS, "1 0", NULL, false},
    {LENGTHS, "10,", NULL, false},
    {LENGTHS, ",10", NULL, false},
    {LENGTHS, "10, 11", NULL, false},
    {LENGTHS, "10", "11", false},
    {LENGTHS, "10, 10", "11", false},
    {CODINGS, "chunked", NULL, true},
    {CODINGS, "Chunked", NULL, true},
    {CODINGS, "gzip, chunked", NULL, true},
    {CODINGS, "chunked", "gzip", true}, // libcurl's to refuse
    {CODINGS, "chunked, chunked", NULL, false},
    {CODINGS, "chunked", "CHUNKED", false},
};

static void
test_rows(void **state)
{
    struct answer answer = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *values[] = {rows[i].first, rows[i].second};
        struct wire_bytes name = {rows[i].name, strlen(rows[i].name)};
        const char *fault;

        answer_reset(&answer);
        for (size_t j = 0; j < 2; j++) {
            if (values[j])
                answer_add(&answer, name,
                           (struct wire_bytes){values[j], strlen(values[j])});
        }
        fault = framing_fault(&answer);
        if (rows[i].is_good != !fault)
            fail_msg("%s: %s, %s: %s", rows[i].name, rows[i].first,
                     rows[i].second, fault);
    }
    answer_fini(&answer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
