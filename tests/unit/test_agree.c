// Declared digests against computed ones, and suites that grow by them.
#include "broker/agree.h"

#include "proto/declared.h"
#include "relay_scene.h"
#include "urlsum.pb-c.h"

#define MD5_OF_SCENE "64696765737400000000000000000000"
#define MD5_OTHER "00696765737400000000000000000000"

static void
say_declared(struct scene *scene, size_t i, uint64_t size, const char *declared)
{
    struct wire_fetched item = {.job = scene->jobs[i].job,
                                .attempt = scene->jobs[i].attempt,
                                .outcome = FAIL_OK,
                                .size = size};

    wire_facts_init(&item.facts);
    item.facts.http_status = 200;
    item.facts.declared = (struct wire_bytes){declared, strlen(declared)};
    wire_put_fetched(scene->fetcher.buf, &item, 1);
    peer_say(&scene->fetcher, false, 0);
}

static void
say_suite(struct scene *scene, size_t i, const char *one, const char *two)
{
    struct wire_suite item = {
        .job = scene->jobs[i].job,
        .attempt = scene->jobs[i].attempt,
        .algorithms_len = two ? 2 : 1,
        .algorithms = {{one, strlen(one)}, {two, two ? strlen(two) : 0}}};

    wire_put_suite(scene->fetcher.buf, &item, 1);
    peer_say(&scene->fetcher, false, 0);
}

static void
expect_suite(struct scene *scene, const char *suite)
{
    const struct wire_bytes *got;

    peer_expect(&scene->hasher, WIRE_HASH);
    got = &scene->hasher.message.body.suites[0];
    if (got->len != strlen(suite) || memcmp(got->at, suite, got->len) != 0)
        fail_msg("%.*s and not %s", (int)got->len, got->at, suite);
}

static void
say_digests(struct scene *scene, size_t i, uint64_t size, const size_t *bytes,
            size_t len)
{
    static const char digest[64] = "digest";
    struct wire_digest item = {.job = scene->jobs[i].job,
                               .attempt = scene->jobs[i].attempt,
                               .size = size,
                               .digests_len = len};

    for (size_t k = 0; k < len; k++)
        item.digests[k] = (struct wire_bytes){digest, bytes[k]};
    wire_put_digests(scene->hasher.buf, 1, &item, 1);
    peer_say(&scene->hasher, false, 0);
}

// The one record's facts.
static Urlsum__V1__Facts *
read_facts(struct scene *scene, size_t digests_len)
{
    struct store_results results;
    const struct store_record *record =
        world_read_record(scene->world, scene->batch->number, &results);
    Urlsum__V1__Facts *facts;

    assert_int_equal(record->outcome, FAIL_OK);
    assert_int_equal(record->digests_len, digests_len);
    facts = urlsum__v1__facts__unpack(NULL, record->facts_len, record->facts);
    assert_non_null(facts);
    store_results_fini(&results);
    return facts;
}

// Compared where the batch has the algorithm, else only recorded.
static void
test_compared(void **state)
{
    struct scene *scene = scene_new("sha512,md5", 1, 256 * MIB);
    static const size_t bytes[] = {64, 16};
    Urlsum__V1__Facts *facts;

    (void)state;
    say_declared(scene, 0, 5,
                 "repr-digest:md5:" MD5_OF_SCENE ",x-goog-hash:crc32c:01020304"
                 ",x-amz-checksum:md5:" MD5_OTHER ":other");
    say_part(scene, 0, 0, 5, true);
    expect_suite(scene, "sha512,md5");
    say_digests(scene, 0, 5, bytes, 2);
    facts = read_facts(scene, 80);
    assert_int_equal(facts->n_declared, 3);
    assert_true(facts->digest_agrees);
    assert_true(facts->declared[0]->agrees);
    assert_int_equal(facts->declared[1]->agrees_is_case, 0);
    assert_int_equal(facts->declared[2]->agrees_is_case, 0);
    assert_string_equal(facts->declared[2]->source, "x-amz-checksum");
    urlsum__v1__facts__free_unpacked(facts, NULL);
    scene_free(scene);
}

// The digest stands, and the record says that the server declares another one.
static void
test_differs(void **state)
{
    struct scene *scene = scene_new("sha512,md5", 1, 256 * MIB);
    static const size_t bytes[] = {64, 16};
    Urlsum__V1__Facts *facts;

    (void)state;
    say_declared(scene, 0, 5, "content-md5:md5:" MD5_OTHER ",nonsense");
    say_part(scene, 0, 0, 5, true);
    say_digests(scene, 0, 5, bytes, 2);
    facts = read_facts(scene, 80);
    assert_int_equal(facts->n_declared, 1);
    assert_int_not_equal(facts->digest_agrees_is_case, 0);
    assert_false(facts->digest_agrees);
    assert_int_not_equal(facts->declared[0]->agrees_is_case, 0);
    assert_false(facts->declared[0]->agrees);
    assert_int_equal(facts->declared[0]->computed.len, 16);
    assert_memory_equal(facts->declared[0]->computed.data, "digest", 6);
    urlsum__v1__facts__free_unpacked(facts, NULL);
    scene_free(scene);
}

// What is declared is computed too, beside what the batch has, and is not among
// the record's digests.
static void
test_suite_grows(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);
    static const size_t bytes[] = {64, 20, 16};
    Urlsum__V1__Facts *facts;

    (void)state;
    say_suite(scene, 0, "sha512", "sha3-256"); // has it; not of the table
    assert_int_equal(job_at(scene, 0)->also, 0);
    say_suite(scene, 0, "md5", "sha1");
    say_part(scene, 0, 0, 3, false);
    expect_suite(scene, "sha512,sha1,md5");
    say_declared(scene, 0, 5,
                 "digest:md5:" MD5_OF_SCENE ",digest:sha1:" MD5_OF_SCENE
                 "00000000");
    say_part(scene, 0, 3, 2, true);
    expect_suite(scene, "sha512,sha1,md5");
    say_digests(scene, 0, 5, bytes, 3);
    facts = read_facts(scene, 64);
    assert_true(facts->digest_agrees);
    assert_true(facts->declared[0]->agrees);
    assert_true(facts->declared[1]->agrees);
    urlsum__v1__facts__free_unpacked(facts, NULL);
    scene_free(scene);
}

static void
test_wrong_digests(void **state)
{
    static const size_t lengths[][3] = {{64, 0}, {64, 20}, {64, 16, 16}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct scene *scene = scene_new("sha512", 1, 256 * MIB);

        say_suite(scene, 0, "md5", NULL);
        say_whole(scene, 0, 5);
        say_digests(scene, 0, 5, lengths[i], i + 1);
        expect_refused(scene, &scene->hasher,
                       i == 1 ? "a digest of the wrong length"
                              : "not one digest an algorithm");
        // The next attempt begins without: its fetcher says it again.
        assert_int_equal(job_at(scene, 0)->state, JOB_QUEUED);
        scene_free(scene);
    }
}

static void
test_too_late(void **state)
{
    struct scene *scene = scene_new("sha512", 2, 256 * MIB);

    (void)state;
    scene->jobs[1].attempt++;
    say_suite(scene, 1, "md5", NULL); // of an attempt that is not: ignored
    assert_false(scene->fetcher.session->is_gone);
    say_part(scene, 0, 0, 3, false);
    say_suite(scene, 0, "md5", NULL);
    expect_refused(scene, &scene->fetcher, "SUITE of a body that has begun");
    scene_free(scene);
}

// Bodies of one message, each with its suite.
static void
test_mixed(void **state)
{
    struct scene *scene = scene_new("sha512", 3, 256 * MIB);
    struct wire_segment all[3];

    (void)state;
    say_suite(scene, 1, "md5", NULL);
    say_suite(scene, 2, "sha1", "md5");
    for (size_t i = 0; i < 3; i++) {
        say_fetched(scene, i, FAIL_OK, 1);
        all[i] = segment(scene, i, 0, 1, true);
    }
    say_body(&scene->fetcher, all, 3);
    peer_expect(&scene->hasher, WIRE_HASH);
    assert_int_equal(scene->hasher.message.body.suites_len, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(scene->hasher.message.body.segments[i].suite, i);
    assert_memory_equal(scene->hasher.message.body.suites[2].at,
                        "sha512,sha1,md5", 15);
    scene_free(scene);
}

// No hasher has it: then without, rather than never.
static void
test_nobody_can(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    free(scene->hasher.session->algorithms);
    scene->hasher.session->algorithms = strdup(",sha512,");
    say_suite(scene, 0, "md5", NULL);
    say_whole(scene, 0, 5);
    expect_suite(scene, "sha512");
    assert_int_equal(job_at(scene, 0)->also, 0);
    say_digest(scene, 1, 0, 5, 64, 1);
    assert_int_equal(job_at(scene, 0)->state, JOB_DONE);
    scene_free(scene);
}

static void
test_full_suite(void **state)
{
    struct scene *scene = scene_new("sha512", 1, 256 * MIB);

    (void)state;
    assert_int_equal(suite_parse("sha512,sha384,sha224,sha3-224,sha3-256,"
                                 "sha3-384,sha3-512",
                                 &scene->batch->suite),
                     0);
    say_suite(scene, 0, "md5", "sha256");
    assert_int_equal(job_at(scene, 0)->also, 1u << DECLARED_MD5);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compared),
        cmocka_unit_test(test_differs),
        cmocka_unit_test(test_suite_grows),
        cmocka_unit_test(test_wrong_digests),
        cmocka_unit_test(test_too_late),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_nobody_can),
        cmocka_unit_test(test_full_suite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
