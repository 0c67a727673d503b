#include "client/commands.h"
#include "client/say.h"
#include "common/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const struct command commands[] = {
    {"get", "fetch URLs and print their digests (also without its name)",
     cmd_get},
    {"submit", "hand a list to a broker and print the batch's id", cmd_submit},
    {"status", "how far a batch is; without BATCH: all batches", cmd_status},
    {"results", "print what a batch has so far, or --follow it to its end",
     cmd_results},
    {"wait", "wait until a batch is finished", cmd_wait},
    {"cancel", "cancel a batch", cmd_cancel},
    {"workers", "which fetchers and hashers a broker has", cmd_workers},
    {NULL, NULL, NULL},
};

static const char help_head[] =
    "Usage: urlsum [get] [OPTION...] [-i FILE] [URL...]\n"
    "       urlsum SUBCOMMAND [OPTION...] [BATCH]\n"
    "sha512sum for URLs: fetches each URL and prints the digest of its body.\n"
    "\n"
    "Subcommands (urlsum SUBCOMMAND --help says more):\n";

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
    "batch is not complete; 130 interrupted (a broker's batch goes on).\n"
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
        return command->run(argc - 1, argv + 1);
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
    return cmd_get(argc, argv);
}
