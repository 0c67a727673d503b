#include "client/list.h"

#include "client/input.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct list {
    struct input **inputs; // files_len of them; NULL once read
    size_t files_len, files_at;
    const char *const *urls;
    size_t urls_len, urls_at;
    char why[512];
};

// Who knows sha512sum names the list itself, or "-".
static bool
is_file(const char *url)
{
    return strcmp(url, "-") == 0 ||
           (!strstr(url, "://") && access(url, F_OK) == 0);
}

int
list_open(const char *const *files, size_t files_len, const char *const *urls,
          size_t urls_len, struct list **out_list)
{
    struct list *list = calloc(1, sizeof(*list));
    int err = 0;

    if (!list)
        return -ENOMEM;
    *out_list = list;
    list->urls = urls;
    list->urls_len = urls_len;
    list->inputs = calloc(files_len + 1, sizeof(*list->inputs));
    if (!list->inputs)
        return -ENOMEM;
    list->files_len = files_len;
    for (size_t i = 0; i < files_len && !err; i++) {
        err = input_open(files[i], &list->inputs[i]);
        if (err)
            (void)snprintf(list->why, sizeof(list->why), "%s: %s", files[i],
                           strerror(-err));
    }
    for (size_t i = 0; i < urls_len && !err; i++) {
        if (is_file(urls[i])) {
            (void)snprintf(list->why, sizeof(list->why),
                           "%s is not a URL; -i %s reads a list from there",
                           urls[i], urls[i]);
            err = -EINVAL;
        }
    }
    return err;
}

void
list_free(struct list **list)
{
    if (!*list)
        return;
    for (size_t i = 0; i < (*list)->files_len; i++)
        input_free(&(*list)->inputs[i]);
    free((*list)->inputs);
    free(*list);
    *list = NULL;
}

int
list_next(struct list *list, const char **out_url, size_t *out_len)
{
    while (list->files_at < list->files_len) {
        struct input **input = &list->inputs[list->files_at];
        int got = input_next(*input, out_url, out_len);

        if (got < 0 && got != -EAGAIN)
            (void)snprintf(list->why, sizeof(list->why), "%s",
                           input_error(*input));
        if (got != 0)
            return got;
        input_free(input);
        list->files_at++;
    }
    if (list->urls_at == list->urls_len)
        return 0;
    *out_url = list->urls[list->urls_at++];
    *out_len = strlen(*out_url);
    return 1;
}

void
list_read(struct list *list)
{
    assert(list->files_at < list->files_len);
    input_read(list->inputs[list->files_at]);
}

int
list_fd(const struct list *list)
{
    assert(list->files_at < list->files_len);
    return input_fd(list->inputs[list->files_at]);
}

const char *
list_error(const struct list *list)
{
    return list->why;
}
