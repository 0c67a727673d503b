#include "client/refusal.h"

#include "client/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// Of the broker's own sentence, bytes that are shown.
#define SHOWN_BYTES_MAX 800

int
refusal_errno(const Urlsum__V1__Error *error)
{
    switch ((int)error->code) { // a newer broker may know more of them
    case URLSUM__V1__ERROR__CODE__NO_SUCH_BATCH:
        return -ENOENT;
    case URLSUM__V1__ERROR__CODE__CONFLICT:
        return -EEXIST;
    case URLSUM__V1__ERROR__CODE__BAD_REQUEST:
        return -EINVAL;
    default:
        return -EREMOTE;
    }
}

void
refusal_text(const Urlsum__V1__Error *error, char *out, size_t size)
{
    static const char *const codes[] = {
        [URLSUM__V1__ERROR__CODE__UNSPECIFIED] = "error",
        [URLSUM__V1__ERROR__CODE__BAD_REQUEST] = "bad request",
        [URLSUM__V1__ERROR__CODE__NO_SUCH_BATCH] = "no such batch",
        [URLSUM__V1__ERROR__CODE__CONFLICT] = "conflict",
        [URLSUM__V1__ERROR__CODE__UNAVAILABLE] = "not available",
        [URLSUM__V1__ERROR__CODE__TOO_LARGE] = "too large",
        [URLSUM__V1__ERROR__CODE__VERSION] = "version",
    };
    size_t code = (size_t)error->code;
    struct text text = {0};

    text_puts(&text, "the broker says: ");
    if (error->text[0])
        text_printable(&text, error->text, strlen(error->text),
                       SHOWN_BYTES_MAX);
    else
        text_puts(&text, code < sizeof(codes) / sizeof(*codes) ? codes[code]
                                                               : "error");
    text_putc(&text, '\0');
    (void)snprintf(out, size, "%s", text.is_broken ? "out of memory" : text.at);
    text_fini(&text);
}
