// json.h - writes RFC 8259 JSON into a text; the caller keeps it well-formed
//
// Commas are put where they belong. A name is a C string of ours; values may be
// anybody's bytes.
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

struct json {
    struct text *out; // borrowed
    bool needs_comma;
};

// Opens and closes; name is NULL inside arrays and at the top.
void json_open_object(struct json *json, const char *name);
void json_close_object(struct json *json);
void json_open_array(struct json *json, const char *name);
void json_close_array(struct json *json);

// A string value. What is not UTF-8 becomes U+FFFD, one for each bad byte: a
// caller who must not lose it checks first (text_is_utf8).
void json_string(struct json *json, const char *name, const char *bytes,
                 size_t len);
void json_puts(struct json *json, const char *name, const char *string);
void json_u64(struct json *json, const char *name, uint64_t value);
void json_i64(struct json *json, const char *name, int64_t value);
void json_bool(struct json *json, const char *name, bool value);
// Strings of hex digits and of base64.
void json_hex(struct json *json, const char *name, const unsigned char *bytes,
              size_t len);
void json_base64(struct json *json, const char *name,
                 const unsigned char *bytes, size_t len);

#endif
