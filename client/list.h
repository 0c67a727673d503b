// list.h - what is to be fetched: the -i files in their order, then the URLs
// of the command line
#ifndef CLIENT_LIST_H
#define CLIENT_LIST_H
#include <stddef.h>

struct list;

// Opens every file; "-" is stdin. Returns 0, or a negative errno when one
// cannot be opened, or -EINVAL when one of urls names a file: list_error() (of
// *out_list, which is set then too) has the sentence. The caller owns
// *out_list; names and URLs are borrowed for its life.
int list_open(const char *const *files, size_t files_len,
              const char *const *urls, size_t urls_len, struct list **out_list);
void list_free(struct list **list);

// As input_next(): 1, 0 at the end, -EAGAIN, or an error.
int list_next(struct list *list, const char **out_url, size_t *out_len)
    __attribute__((warn_unused_result));

// As input_read() and input_fd(), of the file in turn. After -EAGAIN only.
void list_read(struct list *list);
int list_fd(const struct list *list);

// One sentence, for people.
const char *list_error(const struct list *list);

#endif
