// wishes.h - how requests are to be made: -H, -u, --proxy and their like
//
// What curl calls so means the same here. All of it travels with the batch, to
// whichever fetcher gets it; files are read here. What cannot be sent is
// refused before anybody hears of it.
#ifndef CLIENT_WISHES_H
#define CLIENT_WISHES_H
#include "client/options.h"
#include "urlsum.pb-c.h"

struct wish_options {
    struct conf_list headers; // lines, or @FILE
    const char *user;         // USER:PASSWORD, or @FILE
    const char *proxy;
    bool is_insecure;
    struct conf_list resolve;
    bool is_ipv4, is_ipv6;
    bool is_http1_1, is_http2;
    bool is_compressed;
    bool is_any_status;
};
extern const struct conf_option wish_options[];

// What a file held: len bytes and an end. NULL: it was not read.
struct wish_file {
    char *text;
    size_t len;
};

// Made of them. Zeroed is an empty one.
struct wishes {
    Urlsum__V1__Profile profile;
    bool has_profile;
    struct wish_file lines, user, pem;
};

// user_agent and cacert (a file): NULL when they are not to travel. Returns 0,
// or an exit code after it has said what is wrong. The caller owns *out_wishes
// in either case.
int wishes_read(const struct wish_options *options, const char *user_agent,
                const char *cacert, struct wishes *out_wishes);
void wishes_fini(struct wishes *wishes);

// Reads a file with CA certificates and looks at each. Returns 0, or an exit
// code after it has said what is wrong. *out_pem is the caller's in either
// case, as one of its wishes.
int wishes_check_cacert(const char *path, struct wish_file *out_pem);

// Says so when secrets among them would go to the broker for all to see.
void wishes_warn(const struct wishes *wishes,
                 const struct connection_options *connection);

// Puts them into a batch's options, which borrow from wishes.
void wishes_to_batch(const struct given *given,
                     const struct wish_options *options,
                     const struct wishes *wishes,
                     Urlsum__V1__BatchOptions *out_options);

#endif
