// generate.c - writes manual pages and completions for all programs
//
//   generate OUT_DIR FRAGMENTS_DIR DATE
//
// OUT_DIR gets a folder for each program, laid out as below /usr/share.
#include "broker/broker.h"
#include "client/commands.h"
#include "docs/manual/manual.h"
#include "fetcher/fetcher.h"
#include "hasher/hasher.h"

#include <assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

bool
page_is_client(const struct page *page)
{
    return page->command || strcmp(page->name, "urlsum") == 0;
}

const char *
page_package(const struct page *page)
{
    return page_is_client(page) ? "urlsum" : page->name;
}

void
page_each_row(const struct page *page,
              void (*fn)(const struct conf_option *row, void *arg), void *arg)
{
    for (const struct conf_table *t = page->program->tables; t->rows; t++) {
        for (const struct conf_option *row = t->rows; row->name; row++)
            fn(row, arg);
    }
    for (const struct conf_option *row = conf_own_options; row->name; row++)
        fn(row, arg);
}

static void
add_page(struct manual *manual, const char *command, const char *summary,
         const struct conf_program *program)
{
    struct page *page = &manual->pages[manual->pages_len++];

    assert(manual->pages_len <= PAGES_MAX);
    *page = (struct page){
        .command = command, .summary = summary, .program = program};
    (void)snprintf(page->name, sizeof(page->name), "%s", program->name);
    // "urlsum get" has the page urlsum-get.
    for (char *blank = strchr(page->name, ' '); blank;
         blank = strchr(blank, ' '))
        *blank = '-';
}

static void
list_pages(struct manual *manual)
{
    add_page(manual, NULL, "sha512sum for URLs", &cmd_get_program);
    (void)strcpy(manual->pages[0].name, "urlsum");
    for (const struct command *c = commands; c->name; c++)
        add_page(manual, c->name, c->summary, c->program);
    add_page(manual, NULL, NULL, &broker_program);
    add_page(manual, NULL, NULL, &fetcher_program);
    add_page(manual, NULL, NULL, &hasher_program);
}

static bool
has_page(const struct manual *manual, const char *name, size_t len)
{
    for (size_t i = 0; i < manual->pages_len; i++) {
        if (strlen(manual->pages[i].name) == len &&
            strncmp(manual->pages[i].name, name, len) == 0)
            return true;
    }
    return false;
}

// Exits when a fragment is of no page: it would never be read.
static void
check_fragments(const struct manual *manual)
{
    DIR *dir = opendir(manual->fragments_dir);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *suffix = strstr(entry->d_name, ".man");

        if (suffix && !has_page(manual, entry->d_name,
                                (size_t)(suffix - entry->d_name))) {
            (void)fprintf(stderr, "generate: %s is of no program\n",
                          entry->d_name);
            exit(1);
        }
    }
    if (dir)
        (void)closedir(dir); // it was only read
}

int
main(int argc, char **argv)
{
    struct manual manual = {.pages_len = 0};

    if (argc != 4) {
        (void)fprintf(stderr, "usage: generate OUT_DIR FRAGMENTS_DIR DATE\n");
        return 2;
    }
    manual.out_dir = argv[1];
    manual.fragments_dir = argv[2];
    manual.date = argv[3];
    list_pages(&manual);
    check_fragments(&manual);
    for (size_t i = 0; i < manual.pages_len; i++) {
        const struct page *page = &manual.pages[i];

        roff_write(&manual, page);
        if (page->command)
            continue; // part of urlsum's
        bash_write(&manual, page);
        zsh_write(&manual, page);
        fish_write(&manual, page);
    }
    return 0;
}
