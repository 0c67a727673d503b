// Facts as the generated code reads them.
#include "broker/facts.h"
#include "urlsum.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Urlsum__V1__Facts *
through(const struct wire_facts *facts, const char *fetcher, const char *hasher)
{
    unsigned char *data = NULL, more[WIRE_NAME_MAX + 4];
    size_t len = 0, more_len = 0;
    Urlsum__V1__Facts *out;

    assert_int_equal(facts_encode(facts, fetcher, &data, &len), 0);
    if (hasher) {
        more_len = facts_encode_hasher(hasher, more);
        assert_true(more_len <= sizeof(more));
        data = realloc(data, len + more_len);
        assert_non_null(data);
        memcpy(data + len, more, more_len);
    }
    out = urlsum__v1__facts__unpack(NULL, len + more_len, data);
    assert_non_null(out);
    free(data);
    return out;
}

static void
test_nothing_known(void **state)
{
    struct wire_facts facts;
    Urlsum__V1__Facts *out;

    (void)state;
    wire_facts_init(&facts);
    out = through(&facts, "f", NULL);
    assert_int_equal(out->curl_code, 0);
    assert_string_equal(out->message, "");
    assert_string_equal(out->final_url, "");
    assert_int_equal(out->total_us, 0);
    assert_string_equal(out->fetcher, "f");
    assert_string_equal(out->hasher, "");
    urlsum__v1__facts__free_unpacked(out, NULL);
}

// Each field lands in its namesake and nowhere else.
static void
test_every_field(void **state)
{
    struct wire_facts facts;
    Urlsum__V1__Facts *out;

    (void)state;
    wire_facts_init(&facts);
#define X(key, field) facts.field = key;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) facts.field = (struct wire_bytes){#field, strlen(#field)};
    WIRE_FACT_STRINGS(X)
#undef X
    out = through(&facts, "host/1", "host/2");
#define X(field) assert_int_equal(out->field, facts.field);
    X(curl_code)
    X(http_version)
    X(redirects)
    X(dns_us)
    X(connect_us)
    X(tls_us)
    X(first_byte_us)
    X(total_us)
#undef X
#define X(field) assert_string_equal(out->field, #field);
    X(message)
    X(final_url)
    X(content_type)
    X(etag)
    X(last_modified)
    X(remote)
#undef X
    assert_int_equal(out->resumes, facts.resumes);
    assert_true(out->unframed);
    assert_int_equal(out->n_declared, 0); // that comes with the digests
    assert_string_equal(out->fetcher, "host/1");
    assert_string_equal(out->hasher, "host/2");
    assert_int_equal(out->base.n_unknown_fields, 0);
    urlsum__v1__facts__free_unpacked(out, NULL);
}

static void
test_bytes_that_are_no_text(void **state)
{
    struct wire_facts facts;
    Urlsum__V1__Facts *out;

    (void)state;
    wire_facts_init(&facts);
    facts.etag = (struct wire_bytes){"\"a\0b\xff\r\n\x7f~\"", 10};
    facts.content_type = (struct wire_bytes){"", 0};
    out = through(&facts, "f", NULL);
    assert_string_equal(out->etag, "\"a?b????~\"");
    assert_string_equal(out->content_type, "");
    urlsum__v1__facts__free_unpacked(out, NULL);
}

// Whatever the wire lets pass is kept whole.
static void
test_largest(void **state)
{
    char *big = malloc(URL_BYTES_MAX);
    char name[WIRE_NAME_MAX + 1] = {0};
    struct wire_facts facts;
    Urlsum__V1__Facts *out;

    (void)state;
    assert_non_null(big);
    memset(big, 'x', URL_BYTES_MAX);
    memset(name, 'n', WIRE_NAME_MAX);
    wire_facts_init(&facts);
#define X(key, field) facts.field = WIRE_FACT_TIME_MAX;
    WIRE_FACT_NUMBERS(X)
#undef X
    facts.curl_code = facts.http_version = facts.redirects = WIRE_FACT_CODE_MAX;
    facts.resumes = WIRE_FACT_CODE_MAX;
#define X(key, field) facts.field = (struct wire_bytes){big, WIRE_FACT_MAX};
    WIRE_FACT_STRINGS(X)
#undef X
    facts.message.len = WIRE_TEXT_MAX;
    facts.final_url.len = URL_BYTES_MAX;
    out = through(&facts, name, name);
    assert_int_equal(strlen(out->message), WIRE_TEXT_MAX);
    assert_int_equal(strlen(out->final_url), URL_BYTES_MAX);
    assert_int_equal(strlen(out->content_type), WIRE_FACT_MAX);
    assert_int_equal(strlen(out->etag), WIRE_FACT_MAX);
    assert_int_equal(strlen(out->last_modified), WIRE_FACT_MAX);
    assert_int_equal(strlen(out->remote), WIRE_FACT_MAX);
    assert_int_equal(out->total_us, WIRE_FACT_TIME_MAX);
    assert_int_equal(out->redirects, WIRE_FACT_CODE_MAX);
    assert_string_equal(out->hasher, name);
    urlsum__v1__facts__free_unpacked(out, NULL);
    free(big);
}

static void
test_declared(void **state)
{
    struct facts_declared items[FACTS_DECLARED_MAX];
    Urlsum__V1__Facts *out;
    unsigned char *data = NULL;
    size_t len = 0;

    (void)state;
    memset(items, 0, sizeof(items));
    for (size_t i = 0; i < FACTS_DECLARED_MAX; i++) {
        items[i].said.algorithm = DECLARED_MD5;
        items[i].said.digest[15] = (unsigned char)i;
    }
    items[1].computed = (struct wire_bytes){"0123456789abcdef", 16};
    items[1].agrees = true;
    assert_int_equal(facts_encode_declared(items, 2, &data, &len), 0);
    out = urlsum__v1__facts__unpack(NULL, len, data);
    assert_non_null(out);
    assert_int_equal(out->n_declared, 2);
    assert_int_equal(out->digest_agrees_is_case,
                     URLSUM__V1__FACTS__DIGEST_AGREES_IS_DIGEST_AGREES);
    assert_true(out->digest_agrees);
    assert_string_equal(out->declared[0]->source, "repr-digest");
    assert_string_equal(out->declared[0]->algorithm, "md5");
    assert_int_equal(out->declared[0]->agrees_is_case, 0);
    assert_int_equal(out->declared[1]->digest.len, 16);
    assert_int_equal(out->declared[1]->digest.data[15], 1);
    assert_true(out->declared[1]->agrees);
    assert_int_equal(out->declared[1]->computed.len, 0);
    urlsum__v1__facts__free_unpacked(out, NULL);
    free(data);
    // One that differs among many; none that could be compared.
    items[1].agrees = false;
    assert_int_equal(
        facts_encode_declared(items, FACTS_DECLARED_MAX, &data, &len), 0);
    out = urlsum__v1__facts__unpack(NULL, len, data);
    assert_int_equal(out->n_declared, FACTS_DECLARED_MAX);
    assert_false(out->digest_agrees);
    assert_int_not_equal(out->digest_agrees_is_case, 0);
    assert_memory_equal(out->declared[1]->computed.data, "0123456789abcdef",
                        16);
    urlsum__v1__facts__free_unpacked(out, NULL);
    free(data);
    assert_int_equal(facts_encode_declared(items, 1, &data, &len), 0);
    out = urlsum__v1__facts__unpack(NULL, len, data);
    assert_int_equal(out->digest_agrees_is_case, 0);
    urlsum__v1__facts__free_unpacked(out, NULL);
    free(data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_declared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
