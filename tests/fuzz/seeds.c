// seeds.c - writes the fuzzers' seeds from the encoders: one a kind
//
// usage: fuzz_seeds DIRECTORY (with wire/ and api/ in it)
#include "proto/wire.h"
#include "urlsum.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(literal) ((struct wire_bytes){literal, sizeof(literal) - 1})

static const char *directory;
static struct wire_buf *buf;

static void
save(const char *folder, const char *name, const void *bytes, size_t len)
{
    char path[4096];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s/%s", directory, folder, name);
    file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void
save_wire(const char *name)
{
    save("wire", name, wire_buf_data(buf), wire_buf_len(buf));
}

static void
write_dialogue(void)
{
    struct wire_hello hello = {.version_min = 1,
                               .version_max = 2,
                               .role = WIRE_FETCHER,
                               .name = BYTES("host/1"),
                               .capacity = 256,
                               .instance = UINT64_C(0x8badf00ddeadbeef),
                               .epoch = 1};
    const struct wire_vouched vouched[] = {{UINT64_C(1) << 40, 1}, {7, 2}};

    wire_put_hello(buf, &hello);
    save_wire("hello_fetcher");
    hello.role = WIRE_HASHER;
    hello.capacity = 0;
    hello.algorithms[0] = BYTES("sha512");
    hello.algorithms[1] = BYTES("sha512/256");
    hello.algorithms_len = 2;
    wire_put_hello(buf, &hello);
    save_wire("hello_hasher");
    wire_put_welcome(buf,
                     &(struct wire_welcome){1, 7, 3, 8000, 4 << 20, 1 << 20});
    save_wire("welcome");
    wire_put_ping(buf, 8000);
    save_wire("ping");
    wire_put_pong(buf, 3, vouched, 2);
    save_wire("pong");
    wire_put_pong(buf, 0, NULL, 0);
    save_wire("pong_empty");
    wire_put_bye(buf, true);
    save_wire("bye");
    wire_put_error(buf, WIRE_ERROR_NO_SESSION, "say HELLO first");
    save_wire("error");
}

static void
write_profile(void)
{
    static const struct wire_bytes headers[] = {BYTES("X-A: b"), BYTES("X-C;")};
    static const struct wire_bytes resolve[] = {BYTES("h:80:1.2.3.4,::1")};
    struct wire_profile profile;

    wire_profile_init(&profile);
    wire_put_profile(buf, 0, &profile);
    save_wire("profile_empty");
    profile.insecure = 1;
    profile.ip_version = 6;
    profile.user = BYTES("me:x");
    profile.proxy = BYTES("http://h:1");
    profile.headers = headers;
    profile.headers_len = 2;
    profile.resolve = resolve;
    profile.resolve_len = 1;
    wire_put_profile(buf, 1, &profile);
    save_wire("profile");
}

static void
write_fetching(void)
{
    const uint64_t job = UINT64_C(1) << 40;
    const struct wire_segment wholes[] = {
        {.job = job, .attempt = 1, .length = 300, .flags = WIRE_SEGMENT_LAST},
        {.job = job + 1, .attempt = 2, .flags = WIRE_SEGMENT_LAST, .suite = 1}};
    const struct wire_segment parts[] = {
        {.job = job, .attempt = 1, .offset = 1 << 20, .length = 65536},
        {.job = job, .attempt = 1, .offset = 17 << 16, .length = 65536},
        {.job = job,
         .attempt = 1,
         .offset = 18 << 16,
         .length = 9,
         .flags = 1}};
    const struct wire_bytes suites[] = {BYTES("sha512"),
                                        BYTES("sha512,sha256,md5")};
    const struct wire_job jobs[] = {{job, 1, BYTES("http://localhost/a")},
                                    {job + 1, 2, BYTES("https://[::1]/b?c#d")}};
    struct wire_request request;

    wire_request_init(&request);
    wire_put_jobs(buf, &request, jobs, 1);
    save_wire("jobs");
#define X(key, field, highest)                                                 \
    request.field = (uint64_t)(key) < (highest) ? (key) : (highest);
    WIRE_REQUEST_FIELDS(X)
#undef X
    wire_put_jobs(buf, &request, jobs, 2);
    save_wire("jobs_request");
    wire_put_body(buf, wholes, 1);
    save_wire("body_whole");
    wire_put_body(buf, parts, 3);
    save_wire("body_parts");
    write_profile();
    wire_put_hash(buf, suites, 2, wholes, 2);
    save_wire("hash_wholes");
    wire_put_hash(buf, suites, 1, parts, 3);
    save_wire("hash_parts");
}

static void
write_outcomes(void)
{
    const uint64_t job = UINT64_C(1) << 40;
    struct wire_fetched fetched[2] = {
        {.job = job, .attempt = 1, .outcome = FAIL_OK, .size = 300},
        {.job = job + 1, .attempt = 2, .outcome = FAIL_HTTP}};
    const struct wire_digest digest = {
        .job = job,
        .attempt = 1,
        .size = 300,
        .digests_len = 2,
        .digests = {BYTES("0123456789abcdef"), BYTES("0123456789abcdef0123")}};
    const struct wire_credit credit = {job, 1, 65536};
    const struct wire_aborted aborted = {job, 1, WIRE_ABORT_GAP};

    wire_facts_init(&fetched[0].facts);
    wire_facts_init(&fetched[1].facts);
    wire_put_fetched(buf, fetched, 2);
    save_wire("fetched");
#define X(key, field) fetched[1].facts.field = key;
    WIRE_FACT_NUMBERS(X)
#undef X
#define X(key, field) fetched[1].facts.field = BYTES(#field);
    WIRE_FACT_STRINGS(X)
#undef X
    wire_put_fetched(buf, fetched, 2);
    save_wire("fetched_facts");
    wire_put_digests(buf, 5, &digest, 1);
    save_wire("digests");
    wire_put_credit(buf, 1 << 20, &credit, 1);
    save_wire("credit");
    wire_put_abort(buf, &aborted, 1);
    save_wire("abort");
}

static void
save_request(const char *name, Urlsum__V1__Request *request)
{
    unsigned char bytes[1024];

    request->id = 7;
    request->version = 1;
    if (urlsum__v1__request__get_packed_size(request) > sizeof(bytes))
        abort();
    save("api", name, bytes, urlsum__v1__request__pack(request, bytes));
}

static void
write_api(void)
{
    Urlsum__V1__Request request = URLSUM__V1__REQUEST__INIT;
    Urlsum__V1__CreateBatch create = URLSUM__V1__CREATE_BATCH__INIT;
    Urlsum__V1__BatchOptions options = URLSUM__V1__BATCH_OPTIONS__INIT;
    Urlsum__V1__SubmitUrls submit = URLSUM__V1__SUBMIT_URLS__INIT;
    Urlsum__V1__CloseBatch closing = URLSUM__V1__CLOSE_BATCH__INIT;
    Urlsum__V1__GetResults results = URLSUM__V1__GET_RESULTS__INIT;
    char id[] = "batch-1", sha512[] = "sha512", md5[] = "md5";
    unsigned char url[] = "http://localhost/a";
    char *algorithms[] = {sha512, md5};
    ProtobufCBinaryData urls[] = {{sizeof(url) - 1, url}, {0, NULL}};

    options.retry_is_case = URLSUM__V1__BATCH_OPTIONS__RETRY_IS_RETRY;
    options.retry = 5;
    options.max_filesize_is_case =
        URLSUM__V1__BATCH_OPTIONS__MAX_FILESIZE_IS_MAX_FILESIZE;
    options.max_filesize = UINT64_C(1) << 40;
    create.id = id;
    create.algorithms = algorithms;
    create.n_algorithms = 2;
    create.options = &options;
    request.what_case = URLSUM__V1__REQUEST__WHAT_CREATE;
    request.create = &create;
    save_request("create", &request);
    submit.batch = id;
    submit.first_seq = 4096;
    submit.urls = urls;
    submit.n_urls = 2;
    request.what_case = URLSUM__V1__REQUEST__WHAT_SUBMIT;
    request.submit = &submit;
    save_request("submit", &request);
    closing.batch = id;
    closing.size = 4098;
    request.what_case = URLSUM__V1__REQUEST__WHAT_CLOSE;
    request.close = &closing;
    save_request("close", &request);
    results.batch = id;
    results.after = 300;
    results.by_seq = 1;
    results.wait_ms = 1000;
    request.what_case = URLSUM__V1__REQUEST__WHAT_RESULTS;
    request.results = &results;
    save_request("results", &request);
}

int
main(int argc, char **argv)
{
    if (argc != 2 || wire_buf_new(&buf) != 0) {
        (void)fprintf(stderr, "usage: fuzz_seeds DIRECTORY\n");
        return 2;
    }
    directory = argv[1];
    write_dialogue();
    write_fetching();
    write_outcomes();
    write_api();
    wire_buf_free(&buf);
    return 0;
}
