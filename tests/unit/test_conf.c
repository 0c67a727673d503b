// test_conf.c - the option table: precedence, ranges, messages, exit codes
//
// Every parse runs in a child, for a usage error ends the process; the child
// prints what it got.
#include "common/conf.h"
#include "common/conf_value.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka wants the four above.
#include <cmocka.h>

struct part {
    int64_t ttl_ms;
    const char *name;
    const char *shape; // of a table of its own
};

struct config {
    bool insecure;
    int64_t threads;
    int64_t memory;
    struct conf_list headers;
    struct part part; // filled by a second table
};

#define AT(field) offsetof(struct config, field)
static const struct conf_option rows[] = {
    {"insecure", 'k', CONF_BOOL, AT(insecure), NULL, 0, 0, NULL,
     "Trust everybody."},
    {"threads", 't', CONF_INT, AT(threads), "4", -1, 64, "N",
     "Threads at work."},
    {"buffer-memory", 0, CONF_SIZE, AT(memory), "256M", 65536, INT64_C(1) << 40,
     "SIZE", "Bytes of bodies on their way."},
    {"header", 'H', CONF_LIST, AT(headers), "a: 1\nb: 2", 0, 0, "LINE",
     "Header to send."},
    {.name = NULL},
};
static const struct conf_option part_rows[] = {
    {"ttl", 0, CONF_SECONDS, offsetof(struct part, ttl_ms), "10", 100, 3600000,
     "SECONDS", "Silence after which a worker is lost."},
    {"name", 'n', CONF_STRING, offsetof(struct part, name), NULL, 0, 0, "NAME",
     "Name for people."},
    {.name = NULL},
};
static const struct conf_table tables[] = {
    {rows, 0}, {part_rows, AT(part)}, {NULL, 0}};

static const struct conf_option shape_rows[] = {
    {"shape", 0, CONF_CHOICE, offsetof(struct part, shape), "round", 0, 0,
     "round|square", "What it looks like."},
    {.name = NULL},
};
static const struct conf_table shape_tables[] = {{shape_rows, AT(part)},
                                                 {NULL, 0}};

static struct conf_program program = {
    .name = "urlsum-test",
    .usage = "[URL...]",
    .doc = "Does something.\vIts epilogue.",
    .tables = tables,
    .takes_arguments = true,
};

static const char *const variables[] = {
    "URLSUM_INSECURE", "URLSUM_THREADS", "URLSUM_BUFFER_MEMORY",
    "URLSUM_HEADER",   "URLSUM_TTL",     "URLSUM_NAME"};

static char out[8192]; // what the child said
static char err[8192];

static void
print_and_exit(int argc, char **argv)
{
    struct config config;
    int first;

    memset(&config, 0xa5, sizeof(config)); // the parser must set everything
    conf_parse(&program, argc, argv, &config, &first);
    printf("insecure=%d threads=%" PRId64 " memory=%" PRId64 " ttl=%" PRId64
           " name=%s",
           config.insecure, config.threads, config.memory, config.part.ttl_ms,
           config.part.name ? config.part.name : "(null)");
    for (size_t i = 0; i < config.headers.len; i++)
        printf(" [%s]", config.headers.items[i]);
    for (int i = first; i < argc; i++)
        printf(" <%s>", argv[i]);
    printf(" argv0=%s\n", argv[0]);
    conf_fini(&program, &config);
    assert_null(config.headers.items);
    exit(0);
}

static void
read_all(FILE *file, char *buf, size_t size)
{
    size_t len;

    rewind(file);
    len = fread(buf, 1, size - 1, file);
    buf[len] = '\0';
    fclose(file);
}

// Runs a parse of args (NULL-ended) with one variable set, or none. Returns the
// exit code; out and err have what was printed.
static int
run(const char *variable, const char *value, ...)
{
    char *argv[16] = {(char *)(uintptr_t) "/usr/bin/whatever"};
    FILE *out_file = tmpfile();
    FILE *err_file = tmpfile();
    int argc = 1;
    int status;
    va_list args;
    pid_t pid;

    va_start(args, value);
    while ((argv[argc] = va_arg(args, char *)))
        argc++;
    va_end(args);
    assert_non_null(out_file);
    assert_non_null(err_file);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fileno(out_file), STDOUT_FILENO);
        dup2(fileno(err_file), STDERR_FILENO);
        for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
            unsetenv(variables[i]);
        unsetenv("ARGP_HELP_FMT");
        if (variable)
            setenv(variable, value, 1);
        print_and_exit(argc, argv);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_all(out_file, out, sizeof(out));
    read_all(err_file, err, sizeof(err));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_defaults(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, NULL, NULL), 0);
    assert_string_equal(out, "insecure=0 threads=4 memory=268435456 ttl=10000 "
                             "name=(null) [a: 1] [b: 2] "
                             "argv0=/usr/bin/whatever\n");
    assert_string_equal(err, "");
}

static void
test_flags(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, NULL, "http://a", "-kt5", "--ttl=2.5", "-H",
                         "c: \n3", "http://b", "--header", "", "--name", "x",
                         "--buffer-memory", "64k", "--", "-t", NULL),
                     0);
    assert_string_equal(out, "insecure=1 threads=5 memory=65536 ttl=2500 "
                             "name=x [c: \n3] [] <http://a> <http://b> <-t> "
                             "argv0=/usr/bin/whatever\n");
    assert_int_equal(run(NULL, NULL, "-t", "-1", "--threads", "7", NULL), 0);
    assert_non_null(strstr(out, "threads=7 ")); // the last one holds
}

static void
test_environment(void **state)
{
    (void)state;
    assert_int_equal(run("URLSUM_TTL", "0.1", NULL), 0);
    assert_non_null(strstr(out, " ttl=100 "));
    assert_int_equal(run("URLSUM_TTL", "0.1", "--ttl", "7", NULL), 0);
    assert_non_null(strstr(out, " ttl=7000 "));
    assert_int_equal(run("URLSUM_BUFFER_MEMORY", "1G", NULL), 0);
    assert_non_null(strstr(out, " memory=1073741824 "));
    assert_int_equal(run("URLSUM_HEADER", "x: 1\n\ny: 2\n", NULL), 0);
    assert_non_null(strstr(out, " [x: 1] [y: 2] argv0"));
    assert_int_equal(run("URLSUM_HEADER", "x: 1", "-H", "z: 1", NULL), 0);
    assert_non_null(strstr(out, " name=(null) [z: 1] argv0"));
    assert_int_equal(run("URLSUM_INSECURE", "Yes", NULL), 0);
    assert_non_null(strstr(out, "insecure=1"));
    assert_int_equal(run("URLSUM_INSECURE", "0", NULL), 0);
    assert_non_null(strstr(out, "insecure=0"));
    assert_int_equal(run("URLSUM_INSECURE", "false", "-k", NULL), 0);
    assert_non_null(strstr(out, "insecure=1"));
    // Empty is as good as none, even where it could not be read.
    assert_int_equal(run("URLSUM_THREADS", "", NULL), 0);
    assert_non_null(strstr(out, " threads=4 "));
    // A flag also hides what the environment has wrong.
    assert_int_equal(run("URLSUM_THREADS", "x", "-t1", NULL), 0);
}

static void
check_error(const char *want)
{
    char both[1024];

    (void)snprintf(both, sizeof(both), "urlsum-test: %s\n%s", want,
                   "Try 'urlsum-test --help'\n");
    assert_string_equal(err, both);
    assert_string_equal(out, "");
}

static void
test_errors(void **state)
{
    static const char ttl_row[] = "is not a number of seconds (0.1 to 3600): "
                                  "Silence after which a worker is lost.";
    char want[512];

    (void)state;
    assert_int_equal(run(NULL, NULL, "--ttl", "3x", NULL), 2);
    (void)snprintf(want, sizeof(want), "--ttl: '3x' %s", ttl_row);
    check_error(want);
    assert_int_equal(run(NULL, NULL, "--ttl", "3600.0001", NULL), 2);
    assert_int_equal(run(NULL, NULL, "--ttl", "0", NULL), 2);
    assert_int_equal(run("URLSUM_TTL", "\x1b[2J\n", NULL), 2);
    (void)snprintf(want, sizeof(want), "URLSUM_TTL: '?[2J?' %s", ttl_row);
    check_error(want);
    assert_int_equal(run(NULL, NULL, "-t", "65", NULL), 2);
    check_error("--threads: '65' is not a whole number (-1 to 64): "
                "Threads at work.");
    assert_int_equal(run(NULL, NULL, "-t", "-2", NULL), 2);
    assert_int_equal(run(NULL, NULL, "-t", "", NULL), 2);
    assert_int_equal(run(NULL, NULL, "-t", " 1", NULL), 2);
    assert_int_equal(run(NULL, NULL, "-t", "+1", NULL), 2);
    assert_int_equal(run(NULL, NULL, "-t", "1.0", NULL), 2);
    assert_int_equal(run(NULL, NULL, "-t", "99999999999999999999", NULL), 2);
    assert_int_equal(run(NULL, NULL, "--buffer-memory=1", NULL), 2);
    check_error("--buffer-memory: '1' is not a size in bytes (64K to 1T): "
                "Bytes of bodies on their way.");
    assert_int_equal(run("URLSUM_INSECURE", "maybe", NULL), 2);
    check_error("URLSUM_INSECURE: 'maybe' is not yes or no: Trust everybody.");
    assert_int_equal(run(NULL, NULL, "--wrong", NULL), 2);
    check_error("unrecognized option '--wrong'");
    assert_int_equal(run(NULL, NULL, "-kx", NULL), 2);
    check_error("invalid option -- 'x'");
    assert_int_equal(run(NULL, NULL, "--ttl", NULL), 2);
    check_error("option '--ttl' requires an argument");
    assert_int_equal(run(NULL, NULL, "--insecure=1", NULL), 2);
    check_error("option '--insecure' doesn't allow an argument");
}

static void
test_choice(void **state)
{
    static const char *const wrong[] = {
        "", "roun", "rounds", "Round", "quare", "square|", "round|square"};

    (void)state;
    program.tables = shape_tables;
    assert_int_equal(run(NULL, NULL, "--print-config", NULL), 0);
    assert_string_equal(out, "shape=round # default\n");
    assert_int_equal(run(NULL, NULL, "--shape=square", "--print-config", NULL),
                     0);
    assert_string_equal(out, "shape=square # flag\n");
    assert_int_equal(run("URLSUM_SHAPE", "square", "--print-config", NULL), 0);
    assert_string_equal(out, "shape=square # environment\n");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(run(NULL, NULL, "--shape", wrong[i], NULL), 2);
    assert_int_equal(run("URLSUM_SHAPE", "oval", NULL), 2);
    check_error("URLSUM_SHAPE: 'oval' is none of round, square: What it looks "
                "like.");
    assert_int_equal(run(NULL, NULL, "--help", NULL), 0);
    assert_non_null(strstr(out, "--shape=round|square"));
    program.tables = tables;
}

static void
test_no_arguments(void **state)
{
    (void)state;
    program.takes_arguments = false;
    assert_int_equal(run(NULL, NULL, "-k", "http://a", NULL), 2);
    check_error("unexpected argument 'http://a'");
    assert_int_equal(run(NULL, NULL, "-k", "--", "-k", NULL), 2);
    check_error("unexpected argument '-k'");
    assert_int_equal(run(NULL, NULL, "-k", NULL), 0);
    program.takes_arguments = true;
}

static void
test_long_error(void **state)
{
    char text[500];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(run(NULL, NULL, "-t", text, NULL), 2);
    assert_non_null(strstr(err, "xxx...' is not a whole number"));
    assert_true(strlen(err) < 300);
}

static void
test_help(void **state)
{
    (void)state;
    // A wrong variable must not stand between a user and the help.
    assert_int_equal(run("URLSUM_TTL", "x", "--help", NULL), 0);
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "Usage: urlsum-test [OPTION...] [URL...]"));
    assert_non_null(strstr(out, "Does something."));
    assert_non_null(strstr(out, "Its epilogue."));
    assert_non_null(strstr(out, "-t, --threads=N"));
    assert_non_null(strstr(out, "[default: 4]"));
    assert_non_null(strstr(out, "[default: 256M]"));
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        assert_non_null(strstr(out, variables[i]));
    // In the order of the rows, the program's own three at the end.
    assert_true(strstr(out, "--threads") < strstr(out, "--buffer-memory"));
    assert_true(strstr(out, "--ttl") < strstr(out, "--name"));
    assert_true(strstr(out, "--name") < strstr(out, "--help"));
    assert_non_null(strstr(out, "--print-config"));
    assert_null(strstr(out, "--usage"));
}

static void
test_version(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, NULL, "--version", NULL), 0);
    assert_true(strncmp(out, "urlsum-test " URLSUM_VERSION "\nzeromq ",
                        strlen("urlsum-test " URLSUM_VERSION "\nzeromq ")) ==
                0);
    program.name = "urlsum get";
    assert_int_equal(run(NULL, NULL, "--version", NULL), 0);
    assert_int_equal(
        strncmp(out, "urlsum " URLSUM_VERSION "\n", strlen("urlsum 0.0.0")), 0);
    assert_int_equal(run(NULL, NULL, "-t", "x", NULL), 2);
    assert_non_null(strstr(err, "urlsum get: --threads: 'x' is not"));
    assert_non_null(strstr(err, "Try 'urlsum get --help'\n"));
    program.name = "urlsum-test";
}

static void
test_print_config(void **state)
{
    (void)state;
    assert_int_equal(
        run("URLSUM_TTL", "0.25", "--print-config", "-k", "-nme", NULL), 0);
    assert_string_equal(out, "insecure=yes # flag\n"
                             "threads=4 # default\n"
                             "buffer-memory=256M # default\n"
                             "header=a: 1 # default\n"
                             "header=b: 2 # default\n"
                             "ttl=0.25 # environment\n"
                             "name=me # flag\n");
    // What is wrong is said rather than printed.
    assert_int_equal(run("URLSUM_TTL", "0.01", "--print-config", NULL), 2);
    assert_string_equal(out, "");
}

static void
check_size(const char *text, int64_t want)
{
    int64_t got = -7;

    assert_int_equal(conf_parse_size(text, &got), want < 0 ? -EINVAL : 0);
    assert_int_equal(got, want < 0 ? -7 : want);
}

static void
test_sizes(void **state)
{
    (void)state;
    check_size("0", 0);
    check_size("10", 10);
    check_size("64K", 65536);
    check_size("64k", 65536);
    check_size("2M", 2097152);
    check_size("1g", 1073741824);
    check_size("8191P", INT64_C(8191) << 50);
    check_size("8192P", -1);
    check_size("9223372036854775807", INT64_MAX);
    check_size("9223372036854775808", -1);
    check_size("", -1);
    check_size("K", -1);
    check_size("-1", -1);
    check_size("+1", -1);
    check_size(" 1", -1);
    check_size("1 K", -1);
    check_size("1KB", -1);
    check_size("1.5K", -1);
    check_size("1x", -1);
    check_size("0x10", -1);
}

static void
check_rate(const char *text, int64_t want, const char *printed)
{
    char shown[CONF_VALUE_MAX];
    int64_t got = -7;

    assert_int_equal(conf_parse_rate(text, &got), want < 0 ? -EINVAL : 0);
    assert_int_equal(got, want < 0 ? -7 : want);
    if (want >= 0)
        assert_string_equal(conf_print_number(CONF_RATE, got, shown), printed);
}

static void
test_rates(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "5/",
                                      "/s",
                                      "5/d",
                                      "-1/s",
                                      "5s",
                                      "5/s/s",
                                      "+5/s",
                                      " 5/s",
                                      "5/ s",
                                      "5/s ",
                                      "1e3/s",
                                      "0x5/s",
                                      "00",
                                      "1000001/s",
                                      "99999999999999999999/h"};

    (void)state;
    check_rate("0", 0, "0");
    check_rate("1/s", 3600000, "1/s");
    check_rate("2/S", 7200000, "2/s");
    check_rate("90/m", 5400000, "90/m");
    check_rate("60/m", 3600000, "1/s");
    check_rate("100/h", 100000, "100/h");
    check_rate("0.5/s", 1800000, "30/m");
    check_rate("0.001/h", 1, "0.001/h");
    check_rate("1000000/s", CONF_RATE_MAX, "1000000/s");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check_rate(bad[i], -1, NULL);
}

static void
check_seconds(const char *text, int64_t want)
{
    int64_t got = -7;

    assert_int_equal(conf_parse_seconds(text, &got), want < 0 ? -EINVAL : 0);
    assert_int_equal(got, want < 0 ? -7 : want);
}

static void
test_seconds(void **state)
{
    (void)state;
    check_seconds("0", 0);
    check_seconds("0.000", 0);
    check_seconds("3", 3000);
    check_seconds("2.5", 2500);
    check_seconds("2.05", 2050);
    check_seconds("0.0001", 1); // not 0, which often means "no limit"
    check_seconds("1.0000", 1000);
    check_seconds("1.9999", 2000);
    check_seconds("9223372036854774", INT64_C(9223372036854774000));
    check_seconds("9223372036854776", -1);
    check_seconds("", -1);
    check_seconds(".5", -1);
    check_seconds("5.", -1);
    check_seconds("-1", -1);
    check_seconds("1e3", -1);
    check_seconds("1s", -1);
    check_seconds("1,5", -1);
    check_seconds("inf", -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_flags),
        cmocka_unit_test(test_environment),  cmocka_unit_test(test_errors),
        cmocka_unit_test(test_no_arguments), cmocka_unit_test(test_long_error),
        cmocka_unit_test(test_help),         cmocka_unit_test(test_version),
        cmocka_unit_test(test_print_config), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_rates),        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_choice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
