#include "common/conf.h"

#include "common/conf_help.h"
#include "common/conf_value.h"

#include <argp.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <zmq.h>

// Keys of options without a short flag; beyond every character.
enum { KEY_PRINT_CONFIG = 0x100, KEY_ROW };

enum source { FROM_DEFAULT, FROM_ENVIRONMENT, FROM_FLAG };

const struct conf_option conf_own_options[] = {
    {.name = "print-config",
     .help = "Print every setting and where it comes from"},
    {.name = "version", .short_flag = 'V', .help = "Print the version"},
    {.name = "help", .short_flag = 'h', .help = "Print this text"},
    {.name = NULL},
};
#define OWN_LEN (sizeof(conf_own_options) / sizeof(*conf_own_options))

// A row in use: where it came from and what happened to it.
struct slot {
    const struct conf_option *row;
    void *variable;
    enum source source;
};

struct parse {
    const struct conf_program *program;
    struct slot *slots;
    size_t slots_len;
    bool prints_config;
};

// --- Lists ---

// Returns 0 or -ENOMEM.
static int
list_add(struct conf_list *list, const char *text, size_t len)
{
    const char **items = realloc(list->items, (list->len + 1) * sizeof(*items));
    char *copy;

    if (!items)
        return -ENOMEM;
    list->items = items;
    copy = strndup(text, len);
    if (!copy)
        return -ENOMEM;
    items[list->len++] = copy;
    return 0;
}

// Adds each line that is not empty.
static int
list_add_lines(struct conf_list *list, const char *text)
{
    int err = 0;

    while (!err && *text) {
        size_t len = strcspn(text, "\n");

        if (len)
            err = list_add(list, text, len);
        text += len + (text[len] == '\n');
    }
    return err;
}

static void
list_fini(struct conf_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        free((void *)(uintptr_t)list->items[i]); // made by list_add()
    free(list->items);
    list->items = NULL;
    list->len = 0;
}

// --- Errors ---

static void usage_exit(const struct parse *parse) __attribute__((noreturn));

static void
usage_exit(const struct parse *parse)
{
    (void)fprintf(stderr, "Try '%s --help'\n", parse->program->name);
    exit(2);
}

static void memory_exit(const struct parse *parse) __attribute__((noreturn));

static void
memory_exit(const struct parse *parse)
{
    (void)fprintf(stderr, "%s: out of memory\n", parse->program->name);
    exit(2);
}

// What the user wrote, fit for a terminal: bounded, no control bytes.
static const char *
shown(const char *text, char buf[128])
{
    size_t len = 0;

    while (text[len] && len < 127) {
        buf[len] = text[len];
        if (iscntrl((unsigned char)buf[len]))
            buf[len] = '?';
        len++;
    }
    if (text[len])
        memcpy(buf + len - 3, "...", 3);
    buf[len] = '\0';
    return buf;
}

// "none of csv, json".
static void
print_choice(const char *choice)
{
    (void)fputs("none of ", stderr);
    for (; *choice; choice++) {
        if (*choice == '|')
            (void)fputs(", ", stderr);
        else
            (void)fputc(*choice, stderr);
    }
}

// where: "--ttl" or "URLSUM_TTL".
static void value_exit(const struct parse *parse, const struct conf_option *row,
                       const char *where, const char *text)
    __attribute__((noreturn));

static void
value_exit(const struct parse *parse, const struct conf_option *row,
           const char *where, const char *text)
{
    static const char *const nouns[] = {
        [CONF_BOOL] = "yes or no",
        [CONF_INT] = "a whole number",
        [CONF_SIZE] = "a size in bytes",
        [CONF_SECONDS] = "a number of seconds",
        [CONF_DAYS] = "a number of days",
        [CONF_RATE] = "a number and its unit, as 2/s, 30/m or 100/h",
    };
    char low[CONF_VALUE_MAX];
    char high[CONF_VALUE_MAX];
    char buf[128];

    (void)fprintf(stderr, "%s: %s: '%s' is ", parse->program->name, where,
                  shown(text, buf));
    if (row->type == CONF_CHOICE)
        print_choice(row->arg);
    else
        (void)fprintf(stderr, "not %s", nouns[row->type]);
    if (row->type != CONF_BOOL && row->type != CONF_CHOICE)
        (void)fprintf(stderr, " (%s to %s)",
                      conf_print_number(row->type, row->lowest, low),
                      conf_print_number(row->type, row->highest, high));
    (void)fprintf(stderr, ": %s\n", row->help);
    usage_exit(parse);
}

// --- Rows ---

const char *
conf_env_name(const struct conf_option *row, char name[CONF_ENV_NAME_MAX])
{
    size_t len =
        (size_t)snprintf(name, CONF_ENV_NAME_MAX, "URLSUM_%s", row->name);

    assert(len < CONF_ENV_NAME_MAX);
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '-' || name[i] == '.')
            name[i] = '_';
        else
            name[i] = (char)toupper((unsigned char)name[i]);
    }
    return name;
}

// True for a word of choice, which has '|' between its words.
static bool
is_chosen_from(const char *choice, const char *text)
{
    size_t len = strlen(text);

    for (;;) {
        size_t word_len = strcspn(choice, "|");

        if (word_len == len && memcmp(choice, text, len) == 0)
            return true;
        if (!choice[word_len])
            return false;
        choice += word_len + 1;
    }
}

bool
conf_is_list(const struct conf_option *row)
{
    return row->type == CONF_LIST || row->type == CONF_SECRETS;
}

// Returns 0, -EINVAL or -ENOMEM. A flag's list item is one item, whatever it
// holds.
static int
set_value(struct slot *slot, const char *text, enum source source)
{
    const struct conf_option *row = slot->row;
    int64_t number = 0;
    int err = -EINVAL;

    switch (row->type) {
    case CONF_BOOL:
        return conf_parse_bool(text, slot->variable);
    case CONF_STRING:
    case CONF_SECRET:
        *(const char **)slot->variable = text;
        return 0;
    case CONF_CHOICE:
        if (!is_chosen_from(row->arg, text))
            return -EINVAL;
        *(const char **)slot->variable = text;
        return 0;
    case CONF_LIST:
    case CONF_SECRETS:
        if (source == FROM_FLAG)
            return list_add(slot->variable, text, strlen(text));
        return list_add_lines(slot->variable, text);
    case CONF_INT:
        err = conf_parse_int(text, &number);
        break;
    case CONF_SIZE:
        err = conf_parse_size(text, &number);
        break;
    case CONF_SECONDS:
        err = conf_parse_seconds(text, &number);
        break;
    case CONF_DAYS:
        err = conf_parse_days(text, &number);
        break;
    case CONF_RATE:
        err = conf_parse_rate(text, &number);
        break;
    }
    if (err || number < row->lowest || number > row->highest)
        return -EINVAL;
    *(int64_t *)slot->variable = number;
    return 0;
}

static void
clear_value(struct slot *slot)
{
    switch (slot->row->type) {
    case CONF_BOOL:
        *(bool *)slot->variable = false;
        break;
    case CONF_STRING:
    case CONF_SECRET:
    case CONF_CHOICE:
        *(const char **)slot->variable = NULL;
        break;
    case CONF_LIST:
    case CONF_SECRETS:
        *(struct conf_list *)slot->variable = (struct conf_list){NULL, 0};
        break;
    case CONF_INT:
    case CONF_SIZE:
    case CONF_SECONDS:
    case CONF_DAYS:
    case CONF_RATE:
        *(int64_t *)slot->variable = 0;
        break;
    }
}

// Sets what no flag has set: from the environment, else as the row says.
static void
set_from_environment(struct parse *parse, struct slot *slot)
{
    char name[CONF_ENV_NAME_MAX];
    const char *text = getenv(conf_env_name(slot->row, name));
    int err;

    // An empty variable is as good as none: compose files make such.
    if (text && *text) {
        slot->source = FROM_ENVIRONMENT;
        err = set_value(slot, text, FROM_ENVIRONMENT);
        if (err == -ENOMEM)
            memory_exit(parse);
        if (err)
            value_exit(parse, slot->row, name, text);
    } else if (slot->row->initial) {
        err = set_value(slot, slot->row->initial, FROM_DEFAULT);
        if (err == -ENOMEM)
            memory_exit(parse);
        assert(!err); // the row contradicts itself
    }
}

static bool
is_secret(const struct conf_option *row)
{
    return row->type == CONF_SECRET || row->type == CONF_SECRETS;
}

static void
print_slot(const struct slot *slot)
{
    static const char *const sources[] = {"default", "environment", "flag"};
    const char *name = slot->row->name;
    const char *source = sources[slot->source];
    const char *text;
    const struct conf_list *list;
    char value[CONF_VALUE_MAX];

    if (is_secret(slot->row) && slot->source != FROM_DEFAULT) {
        (void)printf("%s= # %s, not shown\n", name, source);
        return;
    }
    switch (slot->row->type) {
    case CONF_BOOL:
        text = *(const bool *)slot->variable ? "yes" : "no";
        break;
    case CONF_STRING:
    case CONF_SECRET:
    case CONF_CHOICE:
        text = *(const char *const *)slot->variable;
        break;
    case CONF_LIST:
    case CONF_SECRETS:
        list = slot->variable;
        for (size_t i = 0; i < list->len; i++)
            (void)printf("%s=%s # %s\n", name, list->items[i], source);
        if (list->len)
            return;
        text = "";
        break;
    case CONF_INT:
    case CONF_SIZE:
    case CONF_SECONDS:
    case CONF_DAYS:
    case CONF_RATE:
    default:
        text = conf_print_number(slot->row->type,
                                 *(const int64_t *)slot->variable, value);
        break;
    }
    (void)printf("%s=%s # %s\n", name, text ? text : "", source);
}

// --- argp ---

static void
print_version(const struct parse *parse)
{
    int major, minor, patch;

    // A subcommand's name ("urlsum get") has the program's before the blank.
    (void)printf("%.*s %s\n", (int)strcspn(parse->program->name, " "),
                 parse->program->name, URLSUM_VERSION);
    zmq_version(&major, &minor, &patch);
    (void)printf("zeromq %d.%d.%d, libuv %s\n", major, minor, patch,
                 uv_version_string());
}

static void
set_flag(struct parse *parse, struct slot *slot, const char *text)
{
    char name[CONF_ENV_NAME_MAX];
    int err;

    slot->source = FROM_FLAG;
    err = set_value(slot, text ? text : "yes", FROM_FLAG);
    if (err == -ENOMEM)
        memory_exit(parse);
    if (err) {
        (void)snprintf(name, sizeof(name), "--%s", slot->row->name);
        value_exit(parse, slot->row, name, text);
    }
}

static error_t
on_key(int key, char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    char buf[128];

    switch (key) {
    case ARGP_KEY_INIT:
        // getopt says what is wrong; argp's own hint names --usage, which we
        // have not.
        state->err_stream = NULL;
        return 0;
    case 'h':
        conf_print_help(parse->program, stdout);
        exit(0);
    case 'V':
        print_version(parse);
        exit(0);
    case KEY_PRINT_CONFIG:
        parse->prints_config = true;
        return 0;
    case ARGP_KEY_ARG:
        if (parse->program->takes_arguments)
            return ARGP_ERR_UNKNOWN; // stays in argv
        (void)fprintf(stderr, "%s: unexpected argument '%s'\n",
                      parse->program->name, shown(arg, buf));
        usage_exit(parse);
    default:
        break;
    }
    for (size_t i = 0; i < parse->slots_len; i++) {
        int short_flag = parse->slots[i].row->short_flag;

        assert(short_flag != 'h' && short_flag != 'V'); // taken above
        if (key == (short_flag ? short_flag : KEY_ROW + (int)i)) {
            set_flag(parse, &parse->slots[i], arg);
            return 0;
        }
    }
    return ARGP_ERR_UNKNOWN;
}

// The rows as argp wants them, then the program's own three.
static struct argp_option *
make_options(const struct parse *parse)
{
    struct argp_option *options =
        calloc(parse->slots_len + OWN_LEN, sizeof(*options));

    if (!options)
        memory_exit(parse);
    for (size_t i = 0; i < parse->slots_len; i++) {
        const struct conf_option *row = parse->slots[i].row;

        options[i] = (struct argp_option){
            .name = row->name,
            .key = row->short_flag ? row->short_flag : KEY_ROW + (int)i,
            .arg = row->type == CONF_BOOL ? NULL
                   : row->arg             ? row->arg
                                          : "VALUE",
        };
    }
    for (size_t i = 0; i < OWN_LEN; i++) {
        const struct conf_option *row = &conf_own_options[i];

        options[parse->slots_len + i] = (struct argp_option){
            .name = row->name,
            .key = row->short_flag || !row->name ? row->short_flag
                                                 : KEY_PRINT_CONFIG,
        };
    }
    return options;
}

static size_t
count_rows(const struct conf_program *program)
{
    size_t count = 0;

    for (const struct conf_table *t = program->tables; t->rows; t++) {
        for (const struct conf_option *row = t->rows; row->name; row++)
            count++;
    }
    return count;
}

static void
make_slots(struct parse *parse, void *config)
{
    size_t at = 0;

    parse->slots_len = count_rows(parse->program);
    parse->slots = calloc(parse->slots_len + 1, sizeof(*parse->slots));
    if (!parse->slots)
        memory_exit(parse);
    for (const struct conf_table *t = parse->program->tables; t->rows; t++) {
        for (const struct conf_option *row = t->rows; row->name; row++) {
            struct slot *slot = &parse->slots[at++];

            slot->row = row;
            slot->variable = (char *)config + t->base + row->offset;
            clear_value(slot);
        }
    }
}

void
conf_parse(const struct conf_program *program, int argc, char **argv,
           void *config, int *out_first)
{
    struct parse parse = {.program = program};
    struct argp argp = {.parser = on_key};
    struct argp_option *options;
    char *argv0 = argv[0];
    int first = argc;
    error_t err;

    make_slots(&parse, config);
    options = make_options(&parse);
    argp.options = options;
    argv[0] = (char *)(uintptr_t)program->name; // whom getopt's messages name
    err = argp_parse(&argp, argc, argv, ARGP_NO_HELP, &first, &parse);
    argv[0] = argv0;
    if (err == ENOMEM)
        memory_exit(&parse);
    if (err)
        usage_exit(&parse);
    for (size_t i = 0; i < parse.slots_len; i++) {
        if (parse.slots[i].source != FROM_FLAG)
            set_from_environment(&parse, &parse.slots[i]);
    }
    if (parse.prints_config) {
        for (size_t i = 0; i < parse.slots_len; i++)
            print_slot(&parse.slots[i]);
        exit(0);
    }
    for (size_t i = 0; i < parse.slots_len && program->on_given; i++) {
        if (parse.slots[i].source != FROM_DEFAULT)
            program->on_given(config, parse.slots[i].row,
                              parse.slots[i].source == FROM_FLAG);
    }
    free(options);
    free(parse.slots);
    *out_first = first;
}

void
conf_fini(const struct conf_program *program, void *config)
{
    for (const struct conf_table *t = program->tables; t->rows; t++) {
        for (const struct conf_option *row = t->rows; row->name; row++) {
            void *variable = (char *)config + t->base + row->offset;

            if (conf_is_list(row))
                list_fini(variable);
        }
    }
}
