// log_json.h - a log line as a JSON object
//
// The objects of RFC 8259, in ASCII, one a line. What log.h calls fields is
// formatted as logfmt once; this turns the text into JSON, and takes names and
// types from the format, so a value cannot make a field of its own.
// Pure; any thread.
#ifndef COMMON_LOG_JSON_H
#define COMMON_LOG_JSON_H
#include <stdbool.h>
#include <stddef.h>

// Bytes that every object can do with.
#define LOG_JSON_BYTES_MIN 256

struct log_json {
    const char *ts;     // RFC 3339
    const char *level;  // of log.h
    const char *event;  // the first 64 bytes of it are used
    const char *fmt;    // as given to log_line(): key=... key=...
    const char *fields; // what came of it, the same in text
    size_t fields_len;
    bool is_cut; // fields is only the beginning
};

// Writes the object and nothing behind it into buf, of at least
// LOG_JSON_BYTES_MIN bytes, and returns its length (no '\0' behind it).
//
// A field is a number when its format says %d, %u or the like and nothing more,
// else a string. In strings \xHH of log_escape() is what it was, where that is
// UTF-8; a byte that is not, and a backslash, stay \xHH, so nothing is lost.
// Where there is no room, strings end early, further fields are left out, and
// "cut":true tells.
size_t log_json(const struct log_json *line, char *buf, size_t size);

#endif
