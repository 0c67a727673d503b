// utf8.h - characters in bytes
//
// Pure; any thread.
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H
#include <stddef.h>
#include <stdint.h>

// Length of the well-formed UTF-8 sequence (RFC 3629) that bytes begin with,
// 0 when they do not.
size_t utf8_len(const unsigned char *bytes, size_t len);

// The character at bytes; step is what utf8_len() said of it, not 0.
uint32_t utf8_char(const unsigned char *bytes, size_t step);

#endif
