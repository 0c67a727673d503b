// zsh.c - a function for each subcommand, behind completion.zsh
#include "docs/manual/manual.h"

#include <string.h>

#define BRIEF_MAX 120

struct specs {
    const char *function; // prefix of the program's functions
    FILE *out;
};

// Text inside a quoted spec: what would end it or a part of it is escaped.
static void
put_escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            (void)fputs("'\\'", out);
        else if (strchr("[]:\\", *text))
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

// ":MESSAGE:ACTION" of a value.
static void
put_action(const struct value *value, const char *message, const char *function,
           FILE *out)
{
    (void)fputc(':', out);
    put_escaped(message, out);
    (void)fputc(':', out);
    switch (value->kind) {
    case VALUE_ABSENT:
    case VALUE_ANY:
        (void)fputc(' ', out); // a value of which nothing is known
        break;
    case VALUE_FILE:
        (void)fputs("_files", out);
        break;
    case VALUE_DIR:
        (void)fputs("_files -/", out);
        break;
    case VALUE_WORDS:
        (void)fprintf(out, "(%s)", value->words);
        break;
    case VALUE_LIST:
        (void)fprintf(out, "_sequence compadd - %s", value->words);
        break;
    case VALUE_STARTS:
        (void)fputs("compadd -S \"\" -- ", out);
        put_escaped(value->words, out); // a colon would begin another value
        break;
    case VALUE_BATCH:
        (void)fprintf(out, "_%s_batches", function);
        break;
    }
}

static void
put_row(const struct conf_option *row, void *arg)
{
    const struct specs *specs = arg;
    FILE *out = specs->out;
    const char *equals = row->type == CONF_BOOL ? "" : "=";
    char brief[BRIEF_MAX];
    struct value value;

    value_of_row(row, &value);
    text_brief(row->help, brief, sizeof(brief));
    (void)fputs(" \\\n        ", out);
    if (conf_is_list(row))
        (void)fputs("'*'", out);
    else if (row->short_flag)
        (void)fprintf(out, "'(-%c --%s)'", row->short_flag, row->name);
    if (row->short_flag)
        (void)fprintf(out, "{-%c%s,--%s%s}", row->short_flag,
                      *equals ? "+" : "", row->name, equals);
    else
        (void)fprintf(out, "--%s%s", row->name, equals);
    (void)fputs("'[", out);
    put_escaped(brief, out);
    (void)fputc(']', out);
    if (*equals)
        put_action(&value, row->arg ? row->arg : "VALUE", specs->function, out);
    (void)fputc('\'', out);
}

// "[URL...]": any number of them.
static void
put_arguments(const char *usage, const struct specs *specs)
{
    char name[64];
    struct value value;

    value_of_usage(usage, &value);
    if (value.kind == VALUE_ABSENT)
        return;
    usage += strspn(usage, "[");
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(usage, ".]"),
                   usage);
    (void)fprintf(specs->out, " \\\n        '%s",
                  strstr(usage, "...") ? "*" : "");
    put_action(&value, name, specs->function, specs->out);
    (void)fputc('\'', specs->out);
}

static void
put_function(const struct page *page, const char *name,
             const struct specs *specs)
{
    (void)fprintf(specs->out,
                  "_%s_%s() {\n    _arguments -s -S :", specs->function, name);
    page_each_row(page, put_row, (void *)(uintptr_t)specs);
    put_arguments(page->program->usage, specs);
    (void)fputs("\n}\n\n", specs->out);
}

static void
put_dispatch(const struct manual *manual, FILE *out)
{
    (void)fputs("_urlsum() {\n    local -a commands=(\n", out);
    for (size_t i = 0; i < manual->pages_len; i++) {
        if (!manual->pages[i].command)
            continue;
        (void)fprintf(out, "        '%s:", manual->pages[i].command);
        put_escaped(manual->pages[i].summary, out);
        (void)fputs("'\n", out);
    }
    (void)fputs("        'help:say more about a subcommand'\n    )\n\n"
                "    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                "        _describe -t commands subcommand commands\n"
                "        _urlsum_command_get\n"
                "    elif [[ $words[2] == help ]]; then\n"
                "        (( CURRENT == 3 )) && "
                "_describe -t commands subcommand commands\n"
                "    elif (( $+functions[_urlsum_command_$words[2]] )); then\n"
                "        local command=$words[2]\n"
                "        shift words\n"
                "        (( CURRENT-- ))\n"
                "        _urlsum_command_$command\n"
                "    else\n"
                "        _urlsum_command_get\n"
                "    fi\n}\n\n_urlsum \"$@\"\n",
                out);
}

void
zsh_write(const struct manual *manual, const struct page *program)
{
    FILE *out = file_make("%s/%s/zsh/site-functions/_%s", manual->out_dir,
                          page_package(program), program->name);
    struct specs specs = {"urlsum", out};
    char function[64];
    char name[64];

    (void)snprintf(function, sizeof(function), "%s", program->name);
    for (char *dash = strchr(function, '-'); dash; dash = strchr(dash, '-'))
        *dash = '_';
    specs.function = function;
    file_copy_template(manual, "completion.zsh", program, out);
    if (page_is_client(program)) {
        for (size_t i = 0; i < manual->pages_len; i++) {
            if (!manual->pages[i].command)
                continue;
            (void)snprintf(name, sizeof(name), "command_%s",
                           manual->pages[i].command);
            put_function(&manual->pages[i], name, &specs);
        }
        put_dispatch(manual, out);
    } else {
        put_function(program, "options", &specs);
        (void)fprintf(out, "_%s_options \"$@\"\n", function);
    }
    file_close(out);
}
