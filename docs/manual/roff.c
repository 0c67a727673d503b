// roff.c - one man(7) page from an option table and a fragment
//
// A fragment is man(7) source in sections (.SH NAME of the section). What the
// table gives comes first in its section, then the fragment's part of it.
#include "common/conf_value.h"
#include "docs/manual/manual.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// A ceiling from here on is none that anybody reaches: not told.
#define BEYOND_REACH (INT64_C(1) << 40)

// Lines of the source end at the first blank behind so many bytes.
#define LINE_BYTES 55

// --- Text ---

// One character of running text.
static void
put_char(char c, FILE *out)
{
    switch (c) {
    case '\\':
        (void)fputs("\\e", out);
        break;
    case '\'':
        (void)fputs("\\(aq", out);
        break;
    case '~':
        (void)fputs("\\(ti", out);
        break;
    case '^':
        (void)fputs("\\(ha", out);
        break;
    default:
        (void)fputc(c, out);
    }
}

// A word as typed: its hyphens are minus signs.
static void
put_literal(const char *word, size_t len, FILE *out)
{
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '-')
            (void)fputs("\\-", out);
        else
            put_char(word[i], out);
    }
}

static size_t
flag_length(const char *text)
{
    size_t len = strspn(text, "-");

    if (len < 1 || len > 2 || !isalpha((unsigned char)text[len]))
        return 0;
    while (isalnum((unsigned char)text[len]) || text[len] == '-')
        len++;
    return len;
}

static size_t
variable_length(const char *text)
{
    if (strncmp(text, "URLSUM_", 7) != 0)
        return 0;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
}

static size_t
italic_length(const char *text, const char *arg)
{
    size_t len = arg ? strlen(arg) : 0;

    if (!len || strncmp(text, arg, len) != 0 ||
        isalnum((unsigned char)text[len]))
        return 0;
    return len;
}

// True for a blank where the source's line may end: behind a sentence, or when
// it is long.
static bool
is_break(const char *blank, const char *begin, const char *end)
{
    if (blank + 1 == end || blank[1] == '.' || blank[1] == '\'')
        return false; // a request, at the beginning of a line
    return blank - begin > LINE_BYTES ||
           (blank > begin && strchr(".;", blank[-1]));
}

// Running text: flags and variables bold, the option's value as its row calls
// it italic; a line ends with its sentence.
static void
put_text(const char *text, size_t len, const char *arg, FILE *out)
{
    const char *end = text + len;
    const char *begin = text; // of the line
    bool begins_word = true;

    if (*text == '.' || *text == '\'')
        (void)fputs("\\&", out);
    while (text < end) {
        size_t bold = begins_word ? flag_length(text) : 0;
        size_t italic = begins_word ? italic_length(text, arg) : 0;

        bold = bold ? bold : begins_word ? variable_length(text) : 0;
        if (bold || italic) {
            // At the beginning of a word \% forbids hyphens, inside it asks for
            // one.
            if (text == begin || text[-1] == ' ')
                (void)fputs("\\%", out);
            (void)fputs(bold ? "\\fB" : "\\fI", out);
            put_literal(text, bold + italic, out);
            (void)fputs("\\fR", out);
            text += bold + italic;
        } else if (*text == '-' && begins_word) {
            (void)fputs("\\-", out); // a lone one stands for stdin
            text++;
        } else if (*text == ' ' && is_break(text, begin, end)) {
            (void)fputc('\n', out);
            begin = ++text;
        } else {
            put_char(*text++, out);
        }
        begins_word = !isalnum((unsigned char)text[-1]);
    }
}

// Paragraphs with an empty line between.
static void
put_paragraphs(const char *text, size_t len, FILE *out)
{
    const char *end = text + len;

    while (text < end) {
        const char *stop = strstr(text, "\n\n");

        if (!stop || stop > end)
            stop = end;
        put_text(text, (size_t)(stop - text), NULL, out);
        (void)fputc('\n', out);
        text = stop + strspn(stop, "\n");
        if (text < end)
            (void)fputs(".PP\n", out);
    }
}

// --- Options ---

static void
put_flags(const struct conf_option *row, FILE *out)
{
    const char *arg = row->arg ? row->arg : "VALUE";

    (void)fputs(".TP\n", out);
    if (row->short_flag)
        (void)fprintf(out, "\\fB\\-%c\\fR, ", row->short_flag);
    (void)fputs("\\fB\\-\\-", out);
    put_literal(row->name, strlen(row->name), out);
    (void)fputs("\\fR", out);
    if (row->type == CONF_CHOICE) {
        (void)fputs("=\\fB", out);
        for (; *arg; arg++) {
            if (*arg == '|')
                (void)fputs("\\fR|\\fB", out);
            else
                put_literal(arg, 1, out);
        }
        (void)fputs("\\fR", out);
    } else if (row->type != CONF_BOOL) {
        (void)fprintf(out, "=\\fI%s\\fR", arg);
    }
    (void)fputc('\n', out);
}

static void
put_range(const struct conf_option *row, FILE *out)
{
    char low[CONF_VALUE_MAX], high[CONF_VALUE_MAX];
    bool has_default = row->initial && *row->initial;

    switch (row->type) {
    case CONF_INT:
    case CONF_SIZE:
    case CONF_SECONDS:
    case CONF_DAYS:
    case CONF_RATE:
        break;
    case CONF_BOOL:
    case CONF_STRING:
    case CONF_SECRET:
    case CONF_CHOICE:
    case CONF_LIST:
    case CONF_SECRETS:
        return;
    }
    conf_print_number(row->type, row->lowest, low);
    conf_print_number(row->type, row->highest, high);
    if (row->highest < BEYOND_REACH)
        (void)fprintf(out, "%srom %s to %s", has_default ? "; f" : "F", low,
                      high);
    else if (row->lowest)
        (void)fprintf(out, "%st least %s", has_default ? "; a" : "A", low);
    else if (!has_default)
        return;
    if (!has_default)
        (void)fputs(". ", out);
}

static void
put_option(const struct conf_option *row, void *arg)
{
    bool is_own = row >= conf_own_options && row < conf_own_options + 3;
    bool has_default = row->initial && *row->initial && row->type != CONF_BOOL;
    size_t len = strlen(row->help);
    char name[CONF_ENV_NAME_MAX];
    FILE *out = arg;

    put_flags(row, out);
    put_text(row->help, len, row->arg, out);
    (void)fputs(len && row->help[len - 1] != '.' ? ".\n" : "\n", out);
    if (conf_is_list(row))
        (void)fputs("More than one may be given.\n", out);
    if (is_own)
        return;
    (void)fputs(".br\n", out);
    if (has_default) {
        (void)fputs("Default: \\fB", out);
        put_literal(row->initial, strlen(row->initial), out);
        (void)fputs("\\fR", out);
    }
    put_range(row, out);
    if (has_default)
        (void)fputs(". ", out);
    (void)fprintf(out, "Variable: \\%%\\fB%s\\fR.\n", conf_env_name(row, name));
}

// --- What --help says last ---

static const char codes_head[] = "Exit codes: ";

// Where the sentences about exit codes begin in the text behind \v; its end
// when there are none.
static const char *
find_codes(const char *epilogue)
{
    const char *codes = strstr(epilogue, codes_head);

    return codes ? codes : epilogue + strlen(epilogue);
}

// "Exit codes: 0 good; 1 a URL failed, or so; 2 usage." as a list.
static void
put_codes(const char *codes, FILE *out)
{
    codes += strlen(codes_head);
    while (*codes && *codes != '.') {
        const char *end;
        size_t digits, len;

        codes += strspn(codes, "; ");
        digits = strspn(codes, "0123456789");
        (void)fprintf(out, ".TP\n.B %.*s\n", (int)digits, codes);
        codes += digits;
        codes += strspn(codes, ", ");
        // A code begins behind "; ".
        for (end = strstr(codes, "; "); end && !isdigit((unsigned char)end[2]);)
            end = strstr(end + 1, "; ");
        len = end ? (size_t)(end - codes) : strlen(codes) - 1; // its '.'
        if (len) {
            (void)fputc(toupper((unsigned char)*codes), out);
            put_text(codes + 1, len - 1, NULL, out);
        } else {
            (void)fputs("All went well", out);
        }
        (void)fputs(".\n", out);
        codes += len;
    }
}

// --- Sections ---

// Writes the fragment's part of the section, if it has one.
static void
put_fragment(const char *fragment, const char *section, FILE *out)
{
    char head[80];
    const char *at, *end;

    (void)snprintf(head, sizeof(head), ".SH %s\n", section);
    at = fragment ? strstr(fragment, head) : NULL;
    if (!at)
        return;
    at += strlen(head);
    end = strstr(at, "\n.SH ");
    (void)fprintf(out, "%.*s\n", (int)(end ? (size_t)(end - at) : strlen(at)),
                  at);
}

// No stretched blanks; \\% elsewhere: what is typed is never hyphenated.
static void
put_title(const struct manual *manual, const struct page *page, FILE *out)
{
    (void)fputs(".\\\" Made from the option tables; edit docs/manual.\n.TH ",
                out);
    for (const char *c = page->name; *c; c++)
        (void)fputc(toupper((unsigned char)*c), out);
    (void)fprintf(out, " 1 %s \"urlsum %s\" \"urlsum manual\"\n.ad l\n",
                  manual->date, URLSUM_VERSION);
}

static void
put_name(const struct page *page, FILE *out)
{
    (void)fprintf(out, ".SH NAME\n%s", page->name);
    if (page->summary) {
        (void)fputs(" \\- ", out);
        put_text(page->summary, strlen(page->summary), NULL, out);
    }
    (void)fputc('\n', out);
}

static void
put_synopsis(const struct page *page, FILE *out)
{
    const char *usage = page->program->usage ? page->program->usage : "";

    (void)fputs(".SH SYNOPSIS\n", out);
    if (page_is_client(page) && !page->command)
        return; // two forms: the fragment has them
    (void)fputs("\\fB", out);
    put_literal(page->program->name, strlen(page->program->name), out);
    (void)fputs("\\fR [\\fIOPTION\\fR]...", out);
    if (*usage)
        (void)fputc(' ', out);
    while (*usage) {
        size_t len = strspn(usage, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

        if (len)
            (void)fprintf(out, "\\fI%.*s\\fR", (int)len, usage);
        else
            put_literal(usage, len = 1, out);
        usage += len;
    }
    (void)fputc('\n', out);
}

static void
put_description(const struct page *page, FILE *out)
{
    const char *doc = page->program->doc;
    const char *epilogue = strchr(doc, '\v');
    size_t len = epilogue ? (size_t)(epilogue - doc) : strlen(doc);

    (void)fputs(".SH DESCRIPTION\n", out);
    if (page_is_client(page) && !page->command)
        return; // get's description is on its own page
    put_paragraphs(doc, len, out);
    if (!epilogue)
        return;
    len = (size_t)(find_codes(epilogue + 1) - (epilogue + 1));
    if (len)
        (void)fputs(".PP\n", out);
    put_paragraphs(epilogue + 1, len, out);
}

static void
put_commands(const struct manual *manual, FILE *out)
{
    (void)fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < manual->pages_len; i++) {
        const struct page *page = &manual->pages[i];

        if (!page->command)
            continue;
        (void)fprintf(out, ".TP\n\\%%\\fBurlsum\\-%s\\fR(1)\n", page->command);
        (void)fputc(toupper((unsigned char)*page->summary), out);
        put_text(page->summary + 1, strlen(page->summary) - 1, NULL, out);
        (void)fputs(".\n", out);
    }
}

static void
put_exit_status(const struct page *page, FILE *out)
{
    const char *epilogue = strchr(page->program->doc, '\v');

    (void)fputs(".SH EXIT STATUS\n", out);
    if (epilogue)
        put_codes(find_codes(epilogue), out);
}

static void
put_environment(FILE *out)
{
    (void)fputs(".SH ENVIRONMENT\n"
                "Each option can be given as the variable that stands with it, "
                "too.\n"
                "The option wins over the variable;\n"
                "an empty variable is as good as none.\n"
                "Of an option that may be given more than once the variable "
                "has one value a line;\n"
                "of one without value it has 1, yes or true, or 0, no or "
                "false.\n",
                out);
}

static void
put_see_also(const struct manual *manual, const struct page *page, FILE *out)
{
    const char *separator = "";

    (void)fputs(".SH SEE ALSO\n", out);
    for (size_t i = 0; i < manual->pages_len; i++) {
        if (&manual->pages[i] == page)
            continue;
        (void)fprintf(out, "%s\\%%\\fB", separator);
        put_literal(manual->pages[i].name, strlen(manual->pages[i].name), out);
        (void)fputs("\\fR(1)", out);
        separator = ",\n";
    }
    (void)fputc('\n', out);
}

// What the table gives for a section, its heading included; true when it gives
// anything.
static bool
put_generated(const struct manual *manual, const struct page *page,
              const char *section, FILE *out)
{
    if (strcmp(section, "NAME") == 0)
        put_name(page, out);
    else if (strcmp(section, "SYNOPSIS") == 0)
        put_synopsis(page, out);
    else if (strcmp(section, "DESCRIPTION") == 0)
        put_description(page, out);
    else if (strcmp(section, "COMMANDS") == 0 && page_is_client(page) &&
             !page->command)
        put_commands(manual, out);
    else if (strcmp(section, "EXIT STATUS") == 0)
        put_exit_status(page, out);
    else if (strcmp(section, "ENVIRONMENT") == 0)
        put_environment(out);
    else if (strcmp(section, "SEE ALSO") == 0)
        put_see_also(manual, page, out);
    else
        return false;
    return true;
}

// Exits when the fragment has a section that no page has.
static void
check_sections(const char *fragment, const char *const *sections,
               const char *name)
{
    char head[80];

    for (const char *at = strstr(fragment, ".SH "); at;
         at = strstr(at + 1, "\n.SH ")) {
        const char *const *s = sections;

        at += *at == '\n';
        do {
            if (!*s) {
                (void)fprintf(stderr, "generate: %s: no section \"%.*s\"\n",
                              name, (int)strcspn(at, "\n"), at);
                exit(1);
            }
            (void)snprintf(head, sizeof(head), ".SH %s\n", *s++);
        } while (strncmp(at, head, strlen(head)) != 0);
    }
}

void
roff_write(const struct manual *manual, const struct page *page)
{
    static const char *const sections[] = {
        "NAME",        "SYNOPSIS",    "DESCRIPTION", "COMMANDS", "OPTIONS",
        "EXIT STATUS", "ENVIRONMENT", "FILES",       "SIGNALS",  "NOTES",
        "SECURITY",    "EXAMPLES",    "SEE ALSO",    NULL,
    };
    FILE *out = file_make("%s/%s/man/man1/%s.1", manual->out_dir,
                          page_package(page), page->name);
    char *fragment = file_read("%s/%s.man", manual->fragments_dir, page->name);
    char head[80];

    if (fragment)
        check_sections(fragment, sections, page->name);
    put_title(manual, page, out);
    for (const char *const *section = sections; *section; section++) {
        bool is_begun = put_generated(manual, page, *section, out);

        if (strcmp(*section, "OPTIONS") == 0) {
            (void)fputs(".SH OPTIONS\n", out);
            put_fragment(fragment, *section, out);
            page_each_row(page, put_option, out);
            continue;
        }
        (void)snprintf(head, sizeof(head), ".SH %s\n", *section);
        if (!is_begun && fragment && strstr(fragment, head))
            (void)fputs(head, out);
        put_fragment(fragment, *section, out);
    }
    free(fragment);
    file_close(out);
}
