// fish.c - a `complete` line for each option, behind completion.fish
#include "docs/manual/manual.h"

#include <string.h>

#define BRIEF_MAX 120

struct lines {
    const struct page *program;
    const struct page *page;
    FILE *out;
};

// 'text' for fish.
static void
put_quoted(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
    (void)fputc('\'', out);
}

// What may follow the flag, or be an argument.
static void
put_candidates(const struct value *value, FILE *out)
{
    switch (value->kind) {
    case VALUE_ABSENT:
    case VALUE_ANY:
        break;
    case VALUE_FILE:
        (void)fputs(" -F", out);
        break;
    case VALUE_DIR:
        (void)fputs(" -a '(__fish_complete_directories)'", out);
        break;
    case VALUE_WORDS:
    case VALUE_STARTS:
        (void)fputs(" -a ", out);
        put_quoted(value->words, out);
        break;
    case VALUE_LIST:
        (void)fprintf(out, " -a '(__urlsum_list %s)'", value->words);
        break;
    case VALUE_BATCH:
        (void)fputs(" -a '(__urlsum_batches)'", out);
        break;
    }
}

static void
put_head(const struct lines *lines)
{
    (void)fprintf(lines->out, "complete -c %s", lines->program->name);
    if (lines->page->command)
        (void)fprintf(lines->out, " -n '__urlsum_is %s'", lines->page->command);
}

static void
put_row(const struct conf_option *row, void *arg)
{
    const struct lines *lines = arg;
    char brief[BRIEF_MAX];
    struct value value;

    value_of_row(row, &value);
    text_brief(row->help, brief, sizeof(brief));
    put_head(lines);
    if (row->short_flag)
        (void)fprintf(lines->out, " -s %c", row->short_flag);
    (void)fprintf(lines->out, " -l %s", row->name);
    if (value.kind == VALUE_FILE)
        (void)fputs(" -r", lines->out);
    else if (value.kind != VALUE_ABSENT)
        (void)fputs(" -x", lines->out); // no files instead
    put_candidates(&value, lines->out);
    (void)fputs(" -d ", lines->out);
    put_quoted(brief, lines->out);
    (void)fputc('\n', lines->out);
}

static void
put_page(const struct page *program, const struct page *page, FILE *out)
{
    struct lines lines = {program, page, out};
    struct value value;

    page_each_row(page, put_row, &lines);
    value_of_usage(page->program->usage, &value);
    if (value.kind == VALUE_ABSENT || value.kind == VALUE_ANY)
        return;
    put_head(&lines);
    put_candidates(&value, out);
    (void)fputc('\n', out);
}

static void
put_commands(const struct manual *manual, FILE *out)
{
    (void)fputs("set -g __urlsum_commands help", out);
    for (size_t i = 0; i < manual->pages_len; i++) {
        if (manual->pages[i].command)
            (void)fprintf(out, " %s", manual->pages[i].command);
    }
    (void)fputs("\ncomplete -c urlsum -n __urlsum_is_first -a help "
                "-d 'say more about a subcommand'\n",
                out);
    for (size_t i = 0; i < manual->pages_len; i++) {
        const struct page *page = &manual->pages[i];

        if (!page->command)
            continue;
        (void)fprintf(out,
                      "complete -c urlsum -n '__urlsum_is_first; "
                      "or __urlsum_is_help' -a %s -d ",
                      page->command);
        put_quoted(page->summary, out);
        (void)fputc('\n', out);
    }
}

void
fish_write(const struct manual *manual, const struct page *program)
{
    FILE *out =
        file_make("%s/%s/fish/vendor_completions.d/%s.fish", manual->out_dir,
                  page_package(program), program->name);

    file_copy_template(manual, "completion.fish", program, out);
    if (page_is_client(program)) {
        put_commands(manual, out);
        for (size_t i = 0; i < manual->pages_len; i++) {
            if (manual->pages[i].command)
                put_page(program, &manual->pages[i], out);
        }
    } else {
        put_page(program, program, out);
    }
    file_close(out);
}
