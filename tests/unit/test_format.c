// Exact bytes of every format, and beside the real sha512sum's.
#include "client/format.h"

#include "client/json.h"
#include "client/options.h"
#include "client/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// SHA-512 and MD5 of "abc" (FIPS 180-2 C.1, RFC 1321 A.5).
#define ABC_SHA512                                                             \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"         \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define ABC_SHA512_BASE64                                                      \
    "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q"  \
    "86A4qmslPpUyknw=="
#define ABC_MD5 "900150983cd24fb0d6963f7d28e17f72"

struct sample {
    Urlsum__V1__Record record;
    Urlsum__V1__Facts facts;
    ProtobufCBinaryData digests[2];
    unsigned char bytes[2][64];
    char url[256];
};

static size_t
unhex(const char *hex, unsigned char *out)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (unsigned char)byte;
    }
    return len;
}

static void
make_sample(struct sample *sample, const char *url, size_t url_len)
{
    static char ok[] = "ok";

    urlsum__v1__record__init(&sample->record);
    urlsum__v1__facts__init(&sample->facts);
    assert_true(url_len <= sizeof(sample->url));
    memcpy(sample->url, url, url_len);
    sample->digests[0].data = sample->bytes[0];
    sample->digests[0].len = unhex(ABC_SHA512, sample->bytes[0]);
    sample->digests[1].data = sample->bytes[1];
    sample->digests[1].len = unhex(ABC_MD5, sample->bytes[1]);
    sample->record.seq = 7;
    sample->record.url.data = (uint8_t *)sample->url;
    sample->record.url.len = url_len;
    sample->record.outcome = ok;
    sample->record.size = 3;
    sample->record.http_status = 200;
    sample->record.attempts = 1;
    sample->record.n_digests = 2;
    sample->record.digests = sample->digests;
    sample->record.facts = &sample->facts;
}

static struct format
make_format(enum format_kind kind, const char *algorithms)
{
    struct format format = {.kind = kind};
    char why[256];

    assert_null(
        options_parse_algorithms(algorithms, &format, why, sizeof(why)));
    return format;
}

static void
expect_bytes(const struct text *text, const char *expected, size_t len)
{
    assert_false(text->is_broken);
    if (text->len != len || (len && memcmp(text->at, expected, len) != 0))
        fail_msg("got:\n%.*s\nwanted:\n%.*s", (int)text->len,
                 text->at ? text->at : "", (int)len, expected);
}

static void
expect_record(const struct format *format, const struct sample *sample,
              const char *expected, size_t len)
{
    struct text text = {0};

    format_record(format, &sample->record, &text);
    expect_bytes(&text, expected, len);
    text_fini(&text);
}

// String literals here may hold NUL bytes.
#define EXPECT(format, sample, literal)                                        \
    expect_record(format, sample, literal, sizeof(literal) - 1)
#define SAMPLE(sample, literal)                                                \
    make_sample(sample, literal, sizeof(literal) - 1)

static void
sum_is_gnu(void **state)
{
    struct format format = make_format(FORMAT_SUM, "sha512");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "http://h/a b");
    EXPECT(&format, &sample, ABC_SHA512 "  http://h/a b\n");
    SAMPLE(&sample, "a\\b\nc\rd");
    EXPECT(&format, &sample, "\\" ABC_SHA512 "  a\\\\b\\nc\\rd\n");
    // Bytes that are not UTF-8, and NUL, are kept.
    SAMPLE(&sample, "a\xff\0b");
    EXPECT(&format, &sample, ABC_SHA512 "  a\xff\0b\n");
    format.is_zero_ended = true;
    SAMPLE(&sample, "a\\b\nc\rd");
    EXPECT(&format, &sample, ABC_SHA512 "  a\\b\nc\rd\0");
}

static void
sum_has_a_line_for_each_algorithm(void **state)
{
    struct format format = make_format(FORMAT_SUM, "sha512,md5");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "u");
    EXPECT(&format, &sample, ABC_SHA512 "  u\n" ABC_MD5 "  u\n");
}

static void
tag_is_gnu(void **state)
{
    struct format format = make_format(FORMAT_TAG, "sha512,md5");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "http://h/(x)");
    EXPECT(&format, &sample,
           "SHA512 (http://h/(x)) = " ABC_SHA512 "\n"
           "MD5 (http://h/(x)) = " ABC_MD5 "\n");
    SAMPLE(&sample, "a\\b");
    EXPECT(&format, &sample,
           "\\SHA512 (a\\\\b) = " ABC_SHA512 "\n"
           "\\MD5 (a\\\\b) = " ABC_MD5 "\n");
    format.is_zero_ended = true;
    EXPECT(&format, &sample,
           "SHA512 (a\\b) = " ABC_SHA512 "\0MD5 (a\\b) = " ABC_MD5 "\0");
}

static void
tag_names(void **state)
{
    static const char *const pairs[][2] = {
        {"sha1", "SHA1 ("},          {"sha3-256", "SHA3-256 ("},
        {"blake2b512", "BLAKE2b ("}, {"sha512-256", "SHA512-256 ("},
        {"blake2s256", "BLAKE2s ("},
    };
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "u");
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        struct format format = make_format(FORMAT_TAG, pairs[i][0]);
        struct text text = {0};

        format_record(&format, &sample.record, &text);
        assert_true(text.len > strlen(pairs[i][1]));
        assert_memory_equal(text.at, pairs[i][1], strlen(pairs[i][1]));
        text_fini(&text);
    }
}

// What the program of that name prints for files named so is what we print for
// URLs named so.
static void
compare_to_program(const char *command, const struct format *format)
{
    static const char *const names[] = {"plain", "b\\s", "n\nl", "c\rr",
                                        "a b",   "é",    "-x",   "*"};
    char folder[] = "/tmp/urlsum-test-XXXXXX";
    char line[1024];

    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct sample sample;
        struct text text = {0};
        FILE *file = fopen(names[i], "w");
        size_t len;

        assert_non_null(file);
        assert_int_equal(fputs("abc", file) < 0, 0);
        assert_int_equal(fclose(file), 0);
        (void)snprintf(line, sizeof(line), "%s -- '%s'", command, names[i]);
        file = popen(line, "r");
        assert_non_null(file);
        len = fread(line, 1, sizeof(line), file);
        (void)pclose(file); // an absent program gives no bytes
        assert_int_equal(unlink(names[i]), 0);
        if (!len)
            skip();
        make_sample(&sample, names[i], strlen(names[i]));
        format_record(format, &sample.record, &text);
        expect_bytes(&text, line, len);
        text_fini(&text);
    }
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void
sum_is_the_real_programs(void **state)
{
    struct format format = make_format(FORMAT_SUM, "sha512");

    (void)state;
    compare_to_program("sha512sum", &format);
    format.is_zero_ended = true;
    compare_to_program("sha512sum -z", &format);
}

static void
tag_is_the_real_programs(void **state)
{
    struct format format = make_format(FORMAT_TAG, "sha512");

    (void)state;
    compare_to_program("sha512sum --tag", &format);
    format.is_zero_ended = true;
    compare_to_program("sha512sum --tag -z", &format);
}

static void
sri_is_base64(void **state)
{
    struct format format = make_format(FORMAT_SRI, "sha512");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "u");
    EXPECT(&format, &sample, "sha512-" ABC_SHA512_BASE64 "  u\n");
}

static void
jsonl_of_success(void **state)
{
    static char final_url[] = "http://h/\"q\"\x01\x7f";
    static char etag[] = "\"a\xff\"";
    struct format format = make_format(FORMAT_JSONL, "sha512,md5");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "http://h/\\\xc3\xa9\n");
    sample.facts.final_url = final_url;
    sample.facts.etag = etag;
    sample.facts.http_version = 11;
    sample.facts.total_us = UINT64_MAX;
    EXPECT(&format, &sample,
           "{\"seq\":7,\"url\":\"http://h/\\\\\xc3\xa9\\u000a\","
           "\"outcome\":\"ok\",\"size\":3,\"digests\":{\"sha512\":\"" ABC_SHA512
           "\",\"md5\":\"" ABC_MD5 "\"},\"http_status\":200,\"attempts\":1,"
           "\"final_url\":\"http://h/\\\"q\\\"\\u0001\\u007f\","
           "\"etag\":\"\\\"a\xef\xbf\xbd\\\"\",\"http_version\":11,"
           "\"total_us\":18446744073709551615}\n");
}

static void
jsonl_keeps_what_is_not_utf8(void **state)
{
    static char outcome[] = "connect";
    static char message[] = "refused";
    struct format format = make_format(FORMAT_JSONL, "sha512");
    struct sample sample;

    (void)state;
    SAMPLE(&sample, "a\xff\0");
    sample.record.outcome = outcome;
    sample.record.n_digests = 0;
    sample.record.size = 0;
    sample.record.http_status = 0;
    sample.facts.curl_code = 7;
    sample.facts.message = message;
    EXPECT(&format, &sample,
           "{\"seq\":7,\"url_bytes\":\"Yf8A\",\"outcome\":\"connect\","
           "\"attempts\":1,\"message\":\"refused\",\"curl_code\":7}\n");
    sample.record.facts = NULL;
    EXPECT(&format, &sample,
           "{\"seq\":7,\"url_bytes\":\"Yf8A\",\"outcome\":\"connect\","
           "\"attempts\":1}\n");
}

static void
utf8_is_rfc3629(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\xaf",         "\xc1\xbf", "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xc3",     "\xf4\x90\x80\x80",
        "\xf5\x80",     "\xe2\x82",         "\xc3("};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void
csv_is_rfc4180(void **state)
{
    static char outcome[] = "http";
    static char type[] = "text/html; charset=x";
    struct format format = make_format(FORMAT_CSV, "md5");
    struct sample sample;
    struct text text = {0};
    static const char header[] =
        "seq,url,outcome,size,http_status,attempts,md5,message,final_url,"
        "content_type,etag,last_modified,content_encoding,remote,fetcher,"
        "hasher,curl_code,"
        "http_version,tls_version,redirects,dns_us,connect_us,tls_us,first_"
        "byte_us,"
        "total_us,resumes,unframed,decoded,digest_agrees,declared\r\n";

    (void)state;
    format_header(&format, &text);
    expect_bytes(&text, header, strlen(header));
    text_fini(&text);
    SAMPLE(&sample, "http://h/\"a\",b\n\xff");
    sample.digests[0] = sample.digests[1];
    sample.record.n_digests = 1;
    sample.facts.content_type = type;
    sample.facts.redirects = 2;
    EXPECT(&format, &sample,
           "7,\"http://h/\"\"a\"\",b\n\xff\",ok,3,200,1," ABC_MD5
           ",,,\"text/html; charset=x\",,,,,,,,,,2,,,,,,,,,,\r\n");
    sample.record.outcome = outcome;
    sample.record.n_digests = 0;
    sample.record.http_status = 404;
    sample.record.facts = NULL;
    SAMPLE(&sample, "u");
    sample.record.outcome = outcome;
    sample.record.n_digests = 0;
    sample.record.http_status = 404;
    sample.record.facts = NULL;
    EXPECT(&format, &sample, "7,u,http,,404,1,,,,,,,,,,,,,,,,,,,,,,,,\r\n");
}

static void
declared_digests(void **state)
{
    static uint8_t said[] = {0xab, 0xcd}, computed[] = {0x12, 0x34};
    Urlsum__V1__Declared items[2], *list[2] = {&items[0], &items[1]};
    struct format csv = make_format(FORMAT_CSV, "md5");
    struct format jsonl = make_format(FORMAT_JSONL, "md5");
    struct sample sample;
    struct text text = {0};

    (void)state;
    SAMPLE(&sample, "u");
    sample.digests[0] = sample.digests[1];
    sample.record.n_digests = 1;
    sample.facts.resumes = 3;
    sample.facts.unframed = true;
    assert_false(format_differs(&sample.record));
    for (size_t i = 0; i < 2; i++) {
        urlsum__v1__declared__init(&items[i]);
        items[i].source = (char *)"digest";
        items[i].algorithm = (char *)"md5";
        items[i].digest = (ProtobufCBinaryData){2, said};
    }
    sample.facts.declared = list;
    sample.facts.n_declared = 2;
    EXPECT(
        &csv, &sample,
        "7,u,ok,3,200,1," ABC_MD5
        ",,,,,,,,,,,,,,,,,,,3,true,,,\"digest:md5:abcd digest:md5:abcd\"\r\n");
    assert_false(format_differs(&sample.record)); // nothing was compared
    items[1].agrees_is_case = URLSUM__V1__DECLARED__AGREES_IS_AGREES;
    items[1].computed = (ProtobufCBinaryData){2, computed};
    sample.facts.digest_agrees_is_case =
        URLSUM__V1__FACTS__DIGEST_AGREES_IS_DIGEST_AGREES;
    assert_true(format_differs(&sample.record));
    format_difference(&sample.record, &text);
    expect_bytes(&text,
                 "urlsum: u: WARNING: its server declares (digest) md5 abcd, "
                 "but the body that came has 1234\n",
                 strlen("urlsum: u: WARNING: its server declares (digest) md5 "
                        "abcd, but the body that came has 1234\n"));
    text_fini(&text);
    EXPECT(&jsonl, &sample,
           "{\"seq\":7,\"url\":\"u\",\"outcome\":\"ok\",\"size\":3,"
           "\"digests\":{\"md5\":\"" ABC_MD5 "\"},\"http_status\":200,"
           "\"attempts\":1,\"resumes\":3,\"unframed\":true,"
           "\"digest_agrees\":false,\"declared\":["
           "{\"source\":\"digest\",\"algorithm\":\"md5\",\"digest\":\"abcd\"},"
           "{\"source\":\"digest\",\"algorithm\":\"md5\",\"digest\":\"abcd\","
           "\"agrees\":false,\"computed\":\"1234\"}]}\n");
    sample.facts.digest_agrees = items[1].agrees = true;
    assert_false(format_differs(&sample.record));
    format_difference(&sample.record, &text);
    assert_int_equal(text.len, 0);
    text_fini(&text);
}

static void
header_is_csvs_alone(void **state)
{
    struct text text = {0};

    (void)state;
    for (enum format_kind kind = FORMAT_SUM; kind <= FORMAT_SRI; kind++) {
        struct format format = make_format(kind, "sha512");

        if (kind == FORMAT_CSV)
            continue;
        format_header(&format, &text);
        assert_int_equal(text.len, 0);
    }
}

static void
failures_are_lines_on_stderr(void **state)
{
    static char connect[] = "connect", http[] = "http", url[] = "invalid_url",
                newer[] = "newer", message[] = "Failed\nto connect";
    struct sample sample;
    struct text text = {0};
    struct format format = make_format(FORMAT_SUM, "sha512");

#define EXPECT_FAILURE(literal)                                                \
    do {                                                                       \
        text.len = 0;                                                          \
        format_failure(&sample.record, &text);                                 \
        expect_bytes(&text, literal, sizeof(literal) - 1);                     \
    } while (0)

    (void)state;
    SAMPLE(&sample, "http://h/\x1b[2J\xc2\x9b\xc3\xa9\\");
    sample.record.outcome = http;
    sample.record.http_status = 404;
    EXPECT_FAILURE("urlsum: http://h/\\x1b[2J\\xc2\\x9b\xc3\xa9\\x5c: "
                   "http 404\n");
    EXPECT(&format, &sample, "");
    SAMPLE(&sample, "u");
    sample.record.outcome = connect;
    sample.facts.curl_code = 7;
    sample.facts.message = message;
    EXPECT_FAILURE("urlsum: u: connect: (7) Failed\\x0ato connect\n");
    sample.record.facts = NULL;
    sample.record.outcome = url;
    EXPECT_FAILURE("urlsum: u: invalid_url: no scheme; write http:// or "
                   "https:// before it\n");
    SAMPLE(&sample, "http://h/a ");
    sample.record.facts = NULL;
    sample.record.outcome = url;
    EXPECT_FAILURE("urlsum: http://h/a : invalid_url: a blank in it; write "
                   "%20, or nothing where it is the list's\n");
    SAMPLE(&sample, "http://:x");
    sample.record.facts = NULL;
    sample.record.outcome = url;
    EXPECT_FAILURE("urlsum: http://:x: invalid_url: not a URL that libcurl can "
                   "read\n");
    sample.record.outcome = newer;
    EXPECT_FAILURE("urlsum: http://:x: newer\n");
    text_fini(&text);
}

static void
checks(void **state)
{
    struct format sri = make_format(FORMAT_SRI, "sha256,sha384,sha512");
    struct format md5 = make_format(FORMAT_SRI, "md5");
    struct format csv = make_format(FORMAT_CSV, "md5");
    enum format_kind kind = FORMAT_SUM;
    char choice[] = FORMAT_CHOICE;
    unsigned words = 0;

    (void)state;
    assert_null(format_check(&sri));
    assert_non_null(format_check(&md5));
    assert_null(format_check(&csv));
    csv.is_zero_ended = true;
    assert_non_null(format_check(&csv));
    assert_int_equal(format_parse("jsonl", &kind), 0);
    assert_int_equal(kind, FORMAT_JSONL);
    assert_true(format_parse("json", &kind) < 0);
    assert_true(format_parse("", &kind) < 0);
    for (char *word = strtok(choice, "|"); word; word = strtok(NULL, "|")) {
        assert_int_equal(format_parse(word, &kind), 0);
        assert_int_equal(kind, words++);
    }
    assert_int_equal(words, FORMAT_SRI + 1);
}

static void
algorithms_get_their_usual_names(void **state)
{
    struct format format =
        make_format(FORMAT_SUM, "SHA-512,sha2-256,MD5,blake2b-512,SHA3-256");
    static const char *const wrong[] = {
        "",
        ",",
        "md5,",
        ",md5",
        "nosuch",
        "md5,MD5",
        "null",
        "sha512,sha-512",
        "shake128",
        "md5 ",
        "sha1,sha224,sha256,sha384,sha512,md5,sha3-256,sha3-512,blake2s256",
        "sha512sha512sha512sha512sha512sha512sha512"};
    char why[256];

    (void)state;
    assert_int_equal(format.algorithms_len, 5);
    assert_string_equal(format.algorithms[0], "sha512");
    assert_string_equal(format.algorithms[1], "sha256");
    assert_string_equal(format.algorithms[2], "md5");
    assert_string_equal(format.algorithms[3], "blake2b512");
    assert_string_equal(format.algorithms[4], "sha3-256");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        if (!options_parse_algorithms(wrong[i], &format, why, sizeof(why)))
            fail_msg("'%s' was accepted", wrong[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_is_gnu),
        cmocka_unit_test(sum_has_a_line_for_each_algorithm),
        cmocka_unit_test(tag_is_gnu),
        cmocka_unit_test(tag_names),
        cmocka_unit_test(sum_is_the_real_programs),
        cmocka_unit_test(tag_is_the_real_programs),
        cmocka_unit_test(sri_is_base64),
        cmocka_unit_test(jsonl_of_success),
        cmocka_unit_test(jsonl_keeps_what_is_not_utf8),
        cmocka_unit_test(utf8_is_rfc3629),
        cmocka_unit_test(csv_is_rfc4180),
        cmocka_unit_test(declared_digests),
        cmocka_unit_test(header_is_csvs_alone),
        cmocka_unit_test(failures_are_lines_on_stderr),
        cmocka_unit_test(checks),
        cmocka_unit_test(algorithms_get_their_usual_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
