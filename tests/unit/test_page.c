// Pages as a client reads them: with the code generated from urlsum.proto.
#include "broker/facts.h"
#include "broker/page.h"
#include "urlsum.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORDS_MAX 600

static unsigned char noise[URL_BYTES_MAX];

static void
make_noise(void)
{
    unsigned seed = 5;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)rand_r(&seed);
}

static void
check_record(const Urlsum__V1__Record *got, const struct store_record *record,
             const struct suite *suite)
{
    size_t used = 0;

    assert_int_equal(got->seq, record->seq);
    assert_int_equal(got->url.len, record->url_len);
    assert_memory_equal(got->url.data, record->url, record->url_len);
    assert_string_equal(got->outcome, fail_name(record->outcome));
    assert_int_equal(got->size, record->size);
    assert_int_equal(got->http_status, record->http_status);
    assert_int_equal(got->attempts, record->tries);
    assert_int_equal(got->n_digests, record->digests_len ? suite->len : 0);
    for (size_t i = 0; i < got->n_digests; i++) {
        assert_int_equal(got->digests[i].len, suite->digest_bytes[i]);
        assert_memory_equal(got->digests[i].data, record->digests + used,
                            suite->digest_bytes[i]);
        used += suite->digest_bytes[i];
    }
    assert_int_equal(got->facts != NULL, record->facts_len != 0);
    assert_int_equal(got->base.n_unknown_fields, 0);
}

static Urlsum__V1__Reply *
through(struct page *page, uint64_t id, uint64_t cursor, bool is_end,
        Urlsum__V1__Batch *batch)
{
    unsigned char *packed = malloc(urlsum__v1__batch__get_packed_size(batch));
    Urlsum__V1__Reply *reply;
    size_t len;

    assert_non_null(packed);
    len = urlsum__v1__batch__pack(batch, packed);
    assert_int_equal(page_add_tail(page, cursor, is_end, packed, len), 0);
    assert_int_equal(page_wrap(page, id), 0);
    free(packed);
    reply = urlsum__v1__reply__unpack(NULL, page->len, page->data);
    assert_non_null(reply);
    page_fini(page);
    assert_int_equal(reply->id, id);
    assert_int_equal(reply->what_case, URLSUM__V1__REPLY__WHAT_RESULTS);
    assert_int_equal(reply->results->cursor, cursor);
    assert_int_equal(reply->results->end, is_end);
    assert_non_null(reply->results->batch);
    return reply;
}

static void
test_empty(void **state)
{
    Urlsum__V1__Batch batch = URLSUM__V1__BATCH__INIT;
    char id[] = "b";
    struct page page = {0};
    Urlsum__V1__Reply *reply;

    (void)state;
    batch.id = id;
    batch.submitted = 12;
    reply = through(&page, 0, 0, false, &batch);
    assert_int_equal(reply->results->n_records, 0);
    assert_string_equal(reply->results->batch->id, "b");
    assert_int_equal(reply->results->batch->submitted, 12);
    urlsum__v1__reply__free_unpacked(reply, NULL);
    // Nothing at all was ever put into this one.
    assert_int_equal(page_wrap(&page, UINT64_MAX), 0);
    reply = urlsum__v1__reply__unpack(NULL, page.len, page.data);
    assert_non_null(reply);
    assert_true(reply->id == UINT64_MAX);
    urlsum__v1__reply__free_unpacked(reply, NULL);
    page_fini(&page);
    page_fini(&page);
}

static struct store_record
random_record(unsigned *seed, const struct suite *suite,
              const unsigned char *facts, size_t facts_len)
{
    static const uint64_t bounds[] = {0,
                                      1,
                                      127,
                                      128,
                                      16383,
                                      16384,
                                      UINT32_MAX,
                                      (UINT64_C(1) << 40) - 1,
                                      WIRE_SIZE_MAX,
                                      UINT64_MAX};
    static const size_t lengths[] = {0, 1, 100, 127, 128, 4000, URL_BYTES_MAX};
    struct store_record record = {
        .seq = bounds[(unsigned)rand_r(seed) % 10],
        .size = bounds[(unsigned)rand_r(seed) % 10],
        .http_status = (uint32_t)bounds[(unsigned)rand_r(seed) % 7],
        .tries = (uint32_t)bounds[(unsigned)rand_r(seed) % 7],
        .outcome = (enum fail)((unsigned)rand_r(seed) % FAIL_COUNT),
        .url = (const char *)noise,
        .url_len = lengths[(unsigned)rand_r(seed) % 7],
        .digests = noise + 11,
    };

    if (rand_r(seed) % 2)
        record.digests_len = suite->total_bytes;
    if (rand_r(seed) % 2) {
        record.facts = facts;
        record.facts_len = facts_len;
    }
    return record;
}

static void
walk(const char *algorithms, unsigned seed)
{
    struct store_record records[RECORDS_MAX];
    Urlsum__V1__Batch batch = URLSUM__V1__BATCH__INIT;
    struct suite suite;
    struct page page = {0};
    struct wire_facts facts;
    unsigned char *data = NULL;
    size_t data_len = 0;
    Urlsum__V1__Reply *reply;

    wire_facts_init(&facts);
    facts.etag = (struct wire_bytes){"\"e\"", 3};
    assert_int_equal(facts_encode(&facts, "f", &data, &data_len), 0);
    assert_int_equal(suite_parse(algorithms, &suite), 0);
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        records[i] = random_record(&seed, &suite, data, data_len);
        assert_int_equal(page_add_record(&page, &records[i], &suite), 0);
    }
    reply = through(&page, 7, 99, true, &batch);
    assert_int_equal(reply->results->n_records, RECORDS_MAX);
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        const Urlsum__V1__Record *got = reply->results->records[i];

        check_record(got, &records[i], &suite);
        if (got->facts) {
            assert_string_equal(got->facts->etag, "\"e\"");
            assert_string_equal(got->facts->fetcher, "f");
        }
    }
    urlsum__v1__reply__free_unpacked(reply, NULL);
    free(data);
}

static void
test_records(void **state)
{
    (void)state;
    walk("sha512", 1);
    walk("md5", 2);
    walk("sha512,sha256,md5", 3);
    walk("sha512,sha3-512,blake2b512,sha384,sha256,sha224,sha1,md5", 4);
}

// Every record length around those where its own length takes a byte more.
static void
test_length_steps(void **state)
{
    struct store_record record = {.url = (const char *)noise};
    struct suite suite;

    (void)state;
    assert_int_equal(suite_parse("sha512", &suite), 0);
    for (size_t len = 0; len < 17000; len += len == 200 ? 16000 : 1) {
        struct page page = {0};
        Urlsum__V1__ResultsPage *got;

        record.url_len = len;
        assert_int_equal(page_add_record(&page, &record, &suite), 0);
        assert_int_equal(page_add_record(&page, &record, &suite), 0);
        got = urlsum__v1__results_page__unpack(NULL, page.len, page.data);
        assert_non_null(got);
        assert_int_equal(got->n_records, 2);
        check_record(got->records[0], &record, &suite);
        check_record(got->records[1], &record, &suite);
        urlsum__v1__results_page__free_unpacked(got, NULL);
        page_fini(&page);
    }
}

// Digests of another suite's length cannot be told apart: none is shown.
static void
test_odd_digests(void **state)
{
    struct store_record record = {
        .url = "u", .url_len = 1, .digests = noise, .digests_len = 63};
    struct suite suite;
    struct page page = {0};
    Urlsum__V1__ResultsPage *got;

    (void)state;
    assert_int_equal(suite_parse("sha512", &suite), 0);
    assert_int_equal(page_add_record(&page, &record, &suite), 0);
    got = urlsum__v1__results_page__unpack(NULL, page.len, page.data);
    assert_non_null(got);
    assert_int_equal(got->records[0]->n_digests, 0);
    urlsum__v1__results_page__free_unpacked(got, NULL);
    page_fini(&page);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_length_steps),
        cmocka_unit_test(test_odd_digests),
    };

    make_noise();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
