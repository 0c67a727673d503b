// say.h - lines for people on stderr, beside the progress line
//
// One thread. Every line begins with `urlsum: ` and is one write(2).
#ifndef CLIENT_SAY_H
#define CLIENT_SAY_H
struct progress;
struct text;

// Exit codes; README.md and --help say the same.
enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FAILED_URL = 1, // or results could not be written
    EXIT_USAGE = 2,
    EXIT_INCOMPLETE = 3, // broker unreachable, or the batch is not finished
    EXIT_SIGNAL = 128,   // + the signal's number: 130 is SIGINT
    EXIT_PIPE = 141,     // nobody reads the results any more, as SIGPIPE says
};

// The progress line that has to make way for every line. NULL: none.
void say_set_progress(struct progress *progress);

// Takes the progress line off the terminal, for what goes there otherwise.
void say_clear(void);

// Writes one line; foreign text must have passed text_printable().
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Writes lines that are whole already, and empties lines.
void say_lines(struct text *lines);

#endif
