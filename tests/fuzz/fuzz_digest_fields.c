// Digest fields: a header section in, and what was kept must be possible,
// bounded, and the same after its way as a fact. A second run reads the input
// as such a fact.
#include "fetcher/answer.h"
#include "fetcher/digest_fields.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_fact(const struct digest_fields *fields)
{
    char text[WIRE_FACT_MAX];
    struct wire_bytes rest = {
        text, declared_write(fields->items, fields->len, text, sizeof(text))};
    struct declared item;

    for (size_t i = 0; declared_next(&rest, &item); i++) {
        if (i >= fields->len || item.source != fields->items[i].source ||
            item.algorithm != fields->items[i].algorithm ||
            item.is_other != fields->items[i].is_other ||
            memcmp(item.digest, fields->items[i].digest,
                   declared_algorithm_bytes(item.algorithm)) != 0)
            abort();
    }
    if (rest.len)
        abort(); // we could not read what we wrote
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    struct wire_bytes rest = {at, size};
    struct digest_fields fields = {0};
    struct declared item;
    size_t left = size;

    while (left) {
        const char *end = memchr(at, '\n', left);
        size_t len = end ? (size_t)(end - at) + 1 : left;
        struct wire_bytes name, value;

        if (answer_split(at, len, &name, &value))
            digest_fields_add(&fields, name, value, len % 7 == 0);
        at += len;
        left -= len;
    }
    if (fields.len > DIGEST_FIELDS_MAX)
        abort();
    digest_fields_mark(&fields, size % 3 == 0, size % 2 == 0);
    check_fact(&fields);
    while (declared_next(&rest, &item)) {
        if (item.source >= DECLARED_SOURCE_COUNT ||
            item.algorithm >= DECLARED_ALGORITHM_COUNT)
            abort();
    }
    return 0;
}
