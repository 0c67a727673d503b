#include "docs/manual/manual.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Bytes of a fragment or template; ours are some KiB.
#define FILE_BYTES_MAX (1024 * 1024)
#define PATH_BYTES_MAX 4096

static void
make_path(char path[PATH_BYTES_MAX], const char *fmt, va_list args)
{
    int len = vsnprintf(path, PATH_BYTES_MAX, fmt, args);

    if (len < 0 || len >= PATH_BYTES_MAX) {
        (void)fprintf(stderr, "generate: path too long: %.60s...\n", path);
        exit(1);
    }
}

static void fail(const char *path) __attribute__((noreturn));

static void
fail(const char *path)
{
    (void)fprintf(stderr, "generate: %s: %s\n", path, strerror(errno));
    exit(1);
}

FILE *
file_make(const char *fmt, ...)
{
    char path[PATH_BYTES_MAX];
    va_list args;
    FILE *file;

    va_start(args, fmt);
    make_path(path, fmt, args);
    va_end(args);
    for (char *slash = strchr(path + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            fail(path);
        *slash = '/';
    }
    file = fopen(path, "we");
    if (!file)
        fail(path);
    return file;
}

void
file_close(FILE *file)
{
    bool is_bad = ferror(file);

    if (fclose(file) || is_bad)
        fail("writing");
}

char *
file_read(const char *fmt, ...)
{
    char path[PATH_BYTES_MAX];
    char *text = malloc(FILE_BYTES_MAX);
    va_list args;
    size_t len;
    FILE *file;

    va_start(args, fmt);
    make_path(path, fmt, args);
    va_end(args);
    file = fopen(path, "re");
    if (!file && errno == ENOENT) {
        free(text);
        return NULL;
    }
    if (!file || !text)
        fail(path);
    len = fread(text, 1, FILE_BYTES_MAX - 1, file);
    if (ferror(file))
        fail(path);
    (void)fclose(file); // it was only read
    text[len] = '\0';
    return text;
}

// "urlsum-broker" as a name of functions: urlsum_broker.
static void
put_function(const char *name, FILE *out)
{
    for (; *name; name++)
        (void)fputc(isalnum((unsigned char)*name) ? *name : '_', out);
}

void
file_copy_template(const struct manual *manual, const char *name,
                   const struct page *program, FILE *out)
{
    char *text = file_read("%s/%s", manual->fragments_dir, name);
    const char *at = text;

    if (!text)
        fail(name);
    while (*at) {
        if (strncmp(at, "@PROGRAM@", 9) == 0) {
            (void)fputs(program->name, out);
            at += 9;
        } else if (strncmp(at, "@FUNCTION@", 10) == 0) {
            put_function(program->name, out);
            at += 10;
        } else {
            (void)fputc(*at++, out);
        }
    }
    free(text);
}
