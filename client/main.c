#include "client/commands.h"
#include "client/say.h"
#include "common/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char help_head[] =
    "Usage: urlsum [get] [OPTION...] [-i FILE] [URL...]\n"
    "       urlsum SUBCOMMAND [OPTION...] [BATCH]\n"
    "sha512sum for URLs: fetches each URL and prints the digest of its body.\n"
    "\n"
    "Subcommands (urlsum help SUBCOMMAND says more):\n";

static const char help_tail[] =
    "\n"
    "Without --broker or URLSUM_BROKER, get does all the work in this "
    "process;\n"
    "the other subcommands speak to a broker (default tcp://127.0.0.1:5550).\n"
    "\n"
    "Examples:\n"
    "  urlsum https://example.org/a.iso             as sha512sum prints it\n"
    "  urlsum -a sha256,md5 --format tag URL...     two digests, BSD lines\n"
    "  grep ^http notes | urlsum -i - -o SHA512SUMS a list, to a file\n"
    "  urlsum -i urls.gz --format jsonl --ordered   records in list order\n"
    "  urlsum results $(urlsum submit --broker tcp://b -i urls) \\\n"
    "         --broker tcp://b --follow             by a broker's fleet\n"
    "\n"
    "Exit codes: 0 every URL has its digest; 1 a URL failed (its reason is on\n"
    "stderr) or results could not be written; 2 usage; 3 no broker, or the\n"
    "batch is not complete; 130 interrupted, 143 terminated (a broker's batch\n"
    "goes on).\n"
    "\n"
    "robots.txt is not consulted: the list is explicit, as with curl.\n";

static void
print_help(FILE *to)
{
    (void)fputs(help_head, to);
    for (const struct command *c = commands; c->name; c++)
        (void)fprintf(to, "  %-9s %s\n", c->name, c->summary);
    (void)fputs(help_tail, to);
}

static const struct command *
find_command(const char *name)
{
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static int
help(int argc, char **argv)
{
    const struct command *command;
    char *args[] = {NULL, (char[]){"--help"}, NULL};

    if (argc < 2) {
        print_help(stdout);
        return fflush(stdout) ? EXIT_FAILED_URL : EXIT_GOOD;
    }
    command = find_command(argv[1]);
    if (argc > 2) {
        (void)fprintf(stderr, "urlsum: help takes one subcommand\n"
                              "Try 'urlsum --help'\n");
        return EXIT_USAGE;
    }
    if (!command) {
        (void)fprintf(stderr,
                      "urlsum: '%s' is not a subcommand\n"
                      "Try 'urlsum --help'\n",
                      argv[1]);
        return EXIT_USAGE;
    }
    args[0] = argv[1];
    return command->run(2, args);
}

// Ends as every filter does when its reader went away.
static int
end_by_pipe(void)
{
    sigset_t set;

    (void)sigemptyset(&set); // valid numbers: cannot fail
    (void)sigaddset(&set, SIGPIPE);
    if (signal(SIGPIPE, SIG_DFL) != SIG_ERR &&
        sigprocmask(SIG_UNBLOCK, &set, NULL) == 0)
        (void)raise(SIGPIPE);
    return EXIT_PIPE;
}

static int
run(const struct command *command, int argc, char **argv)
{
    int exit_code = command->run(argc, argv);

    return exit_code == EXIT_PIPE ? end_by_pipe() : exit_code;
}

int
main(int argc, char **argv)
{
    const struct command *command;

    if (program_fill_descriptors() != 0)
        return EXIT_INCOMPLETE; // nobody can be told
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    command = find_command(argv[1]);
    if (command)
        return run(command, argc - 1, argv + 1);
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return fflush(stdout) ? EXIT_FAILED_URL : EXIT_GOOD;
    }
    // A URL has at least one of these; a mistyped subcommand has none.
    if (argv[1][0] != '-' && !strpbrk(argv[1], "/.:")) {
        (void)fprintf(stderr,
                      "urlsum: '%s' is neither a subcommand nor a URL\n"
                      "Try 'urlsum --help'\n",
                      argv[1]);
        return EXIT_USAGE;
    }
    return run(&commands[0], argc, argv);
}
