// bash.c - a table for completion.bash
//
// A line a flag: "SUBCOMMAND FLAG KIND WORD...". A program without subcommands
// has "-" for it, and arguments have "-" for the flag.
#include "docs/manual/manual.h"

#include <string.h>

struct table {
    const char *command;
    FILE *out;
};

static void
put_value(const struct value *value, FILE *out)
{
    (void)fprintf(out, " %s%s%s\n", value_kind_name(value->kind),
                  *value->words ? " " : "", value->words);
}

static void
put_row(const struct conf_option *row, void *arg)
{
    const struct table *table = arg;
    struct value value;

    value_of_row(row, &value);
    (void)fprintf(table->out, "%s --%s", table->command, row->name);
    put_value(&value, table->out);
    if (row->short_flag) {
        (void)fprintf(table->out, "%s -%c", table->command, row->short_flag);
        put_value(&value, table->out);
    }
}

static void
put_table(const struct page *page, const char *command, FILE *out)
{
    struct table table = {command, out};
    struct value value;

    page_each_row(page, put_row, &table);
    value_of_usage(page->program->usage, &value);
    (void)fprintf(out, "%s -", command);
    put_value(&value, out);
}

void
bash_write(const struct manual *manual, const struct page *program)
{
    FILE *out =
        file_make("%s/%s/bash-completion/completions/%s", manual->out_dir,
                  page_package(program), program->name);

    file_copy_template(manual, "completion.bash", program, out);
    if (page_is_client(program)) {
        for (size_t i = 0; i < manual->pages_len; i++) {
            if (manual->pages[i].command)
                put_table(&manual->pages[i], manual->pages[i].command, out);
        }
    } else {
        put_table(program, "-", out);
    }
    (void)fputs("'\n", out);
    file_close(out);
}
