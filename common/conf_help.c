#include "common/conf_help.h"

#include "common/conf.h"

#include <string.h>

// argp's own help is not used: with glibc 2.36 blanks of some lines of longer
// texts stand in the wrong place (seen in `urlsum get --help`).

enum { WIDTH = 79, TEXT_COLUMN = 29 };

// Where the next word goes. Words are kept on one line until it is full.
struct page {
    FILE *out;
    size_t margin; // of the lines that wrapping begins
    size_t column;
    size_t blanks; // that go before the next word, when it is on this line
};

static void
put_newline(struct page *page)
{
    (void)fputc('\n', page->out);
    page->column = 0;
    page->blanks = 0;
}

static void
move_to(struct page *page, size_t column)
{
    for (; page->column < column; page->column++)
        (void)fputc(' ', page->out);
}

static void
put_word(struct page *page, const char *word, size_t len)
{
    if (page->column > page->margin &&
        page->column + page->blanks + len > WIDTH) {
        put_newline(page);
        move_to(page, page->margin);
    }
    move_to(page, page->column + page->blanks);
    page->blanks = 0;
    (void)fwrite(word, 1, len, page->out);
    page->column += len;
}

// Blanks and ends of lines stay as they are, but where a line is wrapped.
static void
put_text(struct page *page, const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end) {
        size_t word = strcspn(text, " \n");

        if (word > (size_t)(end - text))
            word = (size_t)(end - text);
        if (word)
            put_word(page, text, word);
        else if (*text == ' ')
            page->blanks++;
        else
            put_newline(page);
        text += word ? word : 1;
    }
}

static void
puts_text(struct page *page, const char *text)
{
    put_text(page, text, strlen(text));
}

// " [env: URLSUM_THREADS]"
static void
put_note(struct page *page, const char *name, const char *value)
{
    char note[2 * CONF_ENV_NAME_MAX]; // rows' initial values are words

    (void)snprintf(note, sizeof(note), " [%s: %s]", name, value);
    puts_text(page, note);
}

// "  -t, --threads=N            Sentence [default: 4] [env: URLSUM_THREADS]"
static void
put_option(struct page *page, const struct conf_option *row, bool is_own)
{
    char env[CONF_ENV_NAME_MAX];
    int len = row->short_flag ? fprintf(page->out, "  -%c, --%s",
                                        row->short_flag, row->name)
                              : fprintf(page->out, "      --%s", row->name);

    page->column = len > 0 ? (size_t)len : 0;
    if (row->type != CONF_BOOL) {
        len = fprintf(page->out, "=%s", row->arg ? row->arg : "VALUE");
        page->column += len > 0 ? (size_t)len : 0;
    }
    if (page->column >= TEXT_COLUMN)
        put_newline(page);
    move_to(page, TEXT_COLUMN);
    page->margin = TEXT_COLUMN;
    puts_text(page, row->help);
    if (conf_is_list(row))
        puts_text(page, " [may be repeated]");
    if (row->initial && *row->initial && row->type != CONF_BOOL)
        put_note(page, "default", row->initial);
    if (!is_own)
        put_note(page, "env", conf_env_name(row, env));
    put_newline(page);
    page->margin = 0;
}

void
conf_print_help(const struct conf_program *program, FILE *out)
{
    struct page page = {.out = out};
    size_t first = strcspn(program->doc, "\v");

    (void)fprintf(out, "Usage: %s [OPTION...]%s%s\n", program->name,
                  program->usage ? " " : "",
                  program->usage ? program->usage : "");
    put_text(&page, program->doc, first);
    (void)fputs("\n\n", out);
    page.column = 0;
    for (const struct conf_table *t = program->tables; t->rows; t++) {
        for (const struct conf_option *row = t->rows; row->name; row++)
            put_option(&page, row, false);
    }
    for (const struct conf_option *row = conf_own_options; row->name; row++)
        put_option(&page, row, true);
    if (program->doc[first] == '\v') {
        put_newline(&page);
        puts_text(&page, program->doc + first + 1);
        put_newline(&page);
    }
}
