// test_resume.c - every way a server can answer a request for what is missing
#include "fetcher/resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> // needs those above

#define TOTAL 1000
#define CUT_AT 400

// An answer under construction: "lines" of its header.
struct scene {
    struct answer fields;
    struct resume_answer answer;
    struct resume resume;
    const char *why;
};

static void
say(struct scene *scene, int status, uint64_t length, const char *lines)
{
    answer_reset(&scene->fields);
    while (*lines) {
        size_t len = strcspn(lines, "\n");

        struct wire_bytes name, value;

        assert_true(answer_split(lines, len, &name, &value));
        answer_add(&scene->fields, name, value);
        lines += len + (lines[len] == '\n');
    }
    scene->answer = (struct resume_answer){
        .status = status,
        .fields = &scene->fields,
        .length = length,
    };
}

static struct scene scene;

// A body of TOTAL bytes that was cut at CUT_AT, of a server with entity-tags.
static int
cut(void **state)
{
    *state = &scene;
    answer_fini(&scene.fields); // of the last one
    memset(&scene, 0, sizeof(scene));
    resume_init(&scene.resume);
    say(&scene, 200, TOTAL, "ETag: \"v1\"\nAccept-Ranges: bytes");
    resume_on_whole(&scene.resume, &scene.answer, true);
    assert_true(scene.resume.is_possible);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, CUT_AT),
                     RESUME_ASK);
    assert_true(scene.resume.is_range);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    answer_fini(&scene.fields);
    return 0;
}

static enum resume_step
judge(int status, uint64_t length, const char *lines)
{
    enum resume_step step;

    say(&scene, status, length, lines);
    step = resume_judge(&scene.resume, &scene.answer, CUT_AT, &scene.why);
    assert_int_equal(scene.why == NULL,
                     step == RESUME_GO_ON || step == RESUME_COMPLETE ||
                         (step == RESUME_FAIL_HTTP && !scene.why));
    return step;
}

static void
test_goes_on(void **state)
{
    (void)state;
    assert_int_equal(judge(206, TOTAL - CUT_AT,
                           "ETag: \"v1\"\nContent-Range: bytes 400-999/1000"),
                     RESUME_GO_ON);
    assert_int_equal(scene.resume.end, TOTAL);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_WELL, TOTAL),
                     RESUME_DONE);
    assert_int_equal(scene.resume.count, 1);
    assert_int_equal(scene.resume.restarts, 0);
}

// A server may give less than was asked for: the next request follows.
static void
test_goes_on_in_parts(void **state)
{
    (void)state;
    assert_int_equal(
        judge(206, 100, "ETag: \"v1\"\nContent-Range: bytes 400-499/1000"),
        RESUME_GO_ON);
    assert_int_equal(scene.resume.end, 500);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_WELL, 500),
                     RESUME_ASK);
    assert_int_equal(scene.resume.asked, 500);
    assert_int_equal(scene.resume.count, 2);
}

static void
expect_anew(uint64_t length, const char *lines)
{
    void *state;

    (void)cut(&state);
    if (judge(206, length, lines) != RESUME_ASK_ANEW)
        fail_msg("taken: %s", lines);
    assert_non_null(scene.why);
    assert_false(scene.resume.is_range);
    assert_int_equal(scene.resume.restarts, 1);
    // A second time it may not.
    (void)cut(&state);
    scene.resume.restarts = RESTARTS_MAX;
    assert_int_equal(judge(206, length, lines), RESUME_FAIL_CUT);
    (void)end(&state);
}

static void
test_wrong_partials(void **state)
{
    static const char *const lines[] = {
        // No Content-Range: also multipart/byteranges, which has it inside.
        "ETag: \"v1\"",
        "ETag: \"v1\"\nContent-Type: multipart/byteranges; boundary=x",
        "ETag: \"v1\"\nContent-Range: bytes 400-999",
        "ETag: \"v1\"\nContent-Range: bytes */1000",
        "ETag: \"v1\"\nContent-Range: items 400-999/1000",
        // Two of them.
        "ETag: \"v1\"\nContent-Range: bytes 400-999/1000\n"
        "Content-Range: bytes 0-999/1000",
        // Another version, or who knows which.
        "ETag: \"v2\"\nContent-Range: bytes 400-999/1000",
        "ETag: W/\"v1\"\nContent-Range: bytes 400-999/1000",
        "Content-Range: bytes 400-999/1000",
        "ETag: \"v1\"\nETag: \"v2\"\nContent-Range: bytes 400-999/1000",
        // Wrong places, wrong lengths.
        "ETag: \"v1\"\nContent-Range: bytes 399-998/1000",
        "ETag: \"v1\"\nContent-Range: bytes 401-1000/1001",
        "ETag: \"v1\"\nContent-Range: bytes 0-599/1000",
        "ETag: \"v1\"\nContent-Range: bytes 400-999/1001",
        "ETag: \"v1\"\nContent-Range: bytes 400-999/*\n"
        "Content-Encoding: gzip",
        "ETag: \"v1\"\nContent-Range: bytes 400-999/1000\n"
        "Content-Encoding: gzip",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        expect_anew(TOTAL - CUT_AT, lines[i]);
    // The message is longer or shorter than its range.
    expect_anew(TOTAL, "ETag: \"v1\"\nContent-Range: bytes 400-999/1000");
    expect_anew(599, "ETag: \"v1\"\nContent-Range: bytes 400-999/1000");
}

static void
test_whole_again(void **state)
{
    (void)state;
    assert_int_equal(judge(200, 1200, "ETag: \"v2\""), RESUME_REPLACE);
    assert_false(scene.resume.is_possible); // until the caller says it begins
    resume_on_whole(&scene.resume, &scene.answer, true);
    assert_int_equal(scene.resume.total, 1200);
    assert_string_equal(scene.resume.validator.text, "\"v2\"");
    // It may go on again, by the new version alone.
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, CUT_AT),
                     RESUME_ASK);
    assert_int_equal(
        judge(206, 800, "ETag: \"v2\"\nContent-Range: bytes 400-1199/1200"),
        RESUME_GO_ON);
    // But it does not begin anew a second time.
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, CUT_AT + 1),
                     RESUME_ASK);
    assert_int_equal(judge(200, 1200, "ETag: \"v2\""), RESUME_FAIL_CUT);
}

static void
test_no_such_range(void **state)
{
    (void)state;
    // Shrunken, or it says no length.
    assert_int_equal(judge(416, 0, "ETag: \"v1\"\nContent-Range: bytes */399"),
                     RESUME_ASK_ANEW);
    (void)cut(state);
    assert_int_equal(judge(416, 0, "ETag: \"v1\""), RESUME_ASK_ANEW);
    (void)cut(state);
    // All is there, says the server; the answer that began said otherwise.
    assert_int_equal(judge(416, 0, "ETag: \"v1\"\nContent-Range: bytes */400"),
                     RESUME_ASK_ANEW);
}

// A chunked body of which all came but the last chunk.
static void
test_complete(void **state)
{
    (void)state;
    scene.resume.total = scene.resume.end = RESUME_UNKNOWN;
    assert_int_equal(judge(416, 0, "ETag: \"v1\"\nContent-Range: bytes */400"),
                     RESUME_COMPLETE);
    // Of a new version that happens to end here.
    assert_int_equal(judge(416, 0, "ETag: \"v2\"\nContent-Range: bytes */400"),
                     RESUME_ASK_ANEW);
    (void)cut(state);
    scene.resume.total = scene.resume.end = RESUME_UNKNOWN;
    assert_int_equal(judge(416, 0, "Content-Range: bytes */400"),
                     RESUME_ASK_ANEW);
    (void)cut(state);
    scene.resume.total = RESUME_UNKNOWN;
    assert_int_equal(judge(416, 0, "ETag: \"v1\"\nContent-Range: bytes */401"),
                     RESUME_ASK_ANEW);
}

static void
test_length_that_nobody_told(void **state)
{
    (void)state;
    // The 206 tells it.
    scene.resume.total = RESUME_UNKNOWN;
    assert_int_equal(judge(206, RESUME_UNKNOWN,
                           "ETag: \"v1\"\nContent-Range: bytes 400-999/1000"),
                     RESUME_GO_ON);
    assert_int_equal(scene.resume.total, 1000);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_WELL, 999),
                     RESUME_ASK);
    // Neither does.
    (void)cut(state);
    scene.resume.total = RESUME_UNKNOWN;
    assert_int_equal(
        judge(206, 600, "ETag: \"v1\"\nContent-Range: bytes 400-999/*"),
        RESUME_ASK_ANEW);
    // The first answer did: good enough.
    (void)cut(state);
    assert_int_equal(
        judge(206, 600, "ETag: \"v1\"\nContent-Range: bytes 400-999/*"),
        RESUME_GO_ON);
    (void)cut(state);
    assert_int_equal(
        judge(206, 601, "ETag: \"v1\"\nContent-Range: bytes 400-1000/*"),
        RESUME_ASK_ANEW);
}

static void
test_failures(void **state)
{
    static const int busy[] = {408, 429, 500, 502, 503, 504};
    static const int refused[] = {301, 302, 304, 400, 401,
                                  403, 404, 410, 412, 451};

    for (size_t i = 0; i < sizeof(busy) / sizeof(*busy); i++) {
        (void)cut(state);
        assert_int_equal(judge(busy[i], 0, ""), RESUME_FAIL_HTTP);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        (void)cut(state);
        assert_int_equal(judge(refused[i], 0, ""), RESUME_ASK_ANEW);
        (void)cut(state);
        scene.resume.restarts = RESTARTS_MAX;
        assert_int_equal(judge(refused[i], 0, ""), RESUME_FAIL_HTTP);
    }
}

// --- The end of a message ---

static bool
begins(int status, const char *lines, bool is_raw)
{
    resume_init(&scene.resume);
    say(&scene, status, TOTAL, lines);
    resume_on_whole(&scene.resume, &scene.answer, is_raw);
    return scene.resume.is_possible;
}

static void
test_what_can_be_resumed(void **state)
{
    (void)state;
    assert_true(begins(200, "ETag: \"v1\"", true));
    assert_true(begins(200, "ETag: \"v1\"\nContent-Encoding: GZIP", true));
    assert_string_equal(scene.resume.encoding, "gzip");
    assert_true(begins(200, "ETag: \"v1\"\nContent-Encoding: identity", true));
    assert_string_equal(scene.resume.encoding, "");
    assert_true(begins(200,
                       "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n"
                       "Date: Sun, 06 Nov 1994 09:49:37 GMT",
                       true));
    assert_false(begins(200, "ETag: W/\"v1\"", true));
    assert_false(begins(200, "", true));
    assert_false(begins(200, "ETag: \"v1\"", false)); // decoded
    assert_true(scene.resume.total == RESUME_UNKNOWN);
    assert_false(begins(203, "ETag: \"v1\"", true));
    assert_false(begins(200, "ETag: \"v1\"\nAccept-Ranges: none", true));
    assert_false(begins(200,
                        "ETag: \"v1\"\nContent-Encoding: "
                        "a-coding-whose-name-is-much-too-long",
                        true));
    // What cannot be resumed ends as it always did.
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_WELL, TOTAL),
                     RESUME_DONE);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, CUT_AT),
                     RESUME_GIVE_UP);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_WELL, CUT_AT),
                     RESUME_GIVE_UP); // short is never well
}

static void
test_ends(void **state)
{
    (void)state;
    assert_true(begins(200, "ETag: \"v1\"", true));
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_BROKEN, CUT_AT),
                     RESUME_GIVE_UP);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, 0),
                     RESUME_GIVE_UP); // nothing to go on from
    assert_int_equal(scene.resume.count, 0);
}

static void
test_bounds(void **state)
{
    uint64_t size = 0;

    (void)state;
    assert_true(begins(200, "ETag: \"v1\"", true));
    // A byte each time.
    for (unsigned i = 1; i <= RESUMES_FREE; i++)
        assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, ++size),
                         RESUME_ASK);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, ++size),
                     RESUME_GIVE_UP);
    // Who brings a MiB each time may go on for ever.
    assert_true(begins(200, "ETag: \"v1\"", true));
    scene.resume.total = RESUME_UNKNOWN;
    for (unsigned i = 1; i <= 10 * RESUMES_FREE; i++)
        assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT,
                                       (uint64_t)i * RESUME_BYTES_EACH),
                         RESUME_ASK);
    // None at all, three times in a row.
    assert_true(begins(200, "ETag: \"v1\"", true));
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, 9),
                     RESUME_ASK);
    for (unsigned i = 1; i < RESUMES_IDLE_MAX; i++)
        assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, 9),
                         RESUME_ASK);
    assert_int_equal(resume_on_end(&scene.resume, RESUME_END_CUT, 9),
                     RESUME_GIVE_UP);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, cut, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_goes_on),
        CASE(test_goes_on_in_parts),
        CASE(test_wrong_partials),
        CASE(test_whole_again),
        CASE(test_no_such_range),
        CASE(test_complete),
        CASE(test_length_that_nobody_told),
        CASE(test_failures),
        CASE(test_what_can_be_resumed),
        CASE(test_ends),
        CASE(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
