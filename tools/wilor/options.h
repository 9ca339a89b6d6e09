/* A small strict reader of command lines: long options with `--x value` and `--x=value`, `-o
 * value`,
 * `-h`, and `--` before operands that begin with a dash. */
#ifndef WILOR_CLI_OPTIONS_H
#define WILOR_CLI_OPTIONS_H

#include "cli_text.h"
#include <stdio.h>

enum {
    WILOR_CLI_REPEAT = 1,
    WILOR_CLI_HIDDEN = 2,
    WILOR_CLI_PICTURES = 4 /* of commands that take pictures one by one, not of streams */
};

typedef struct wilor_cli_option {
    const char *name;  /* "--bbox", or a short one: "-o" */
    const char *value; /* how the value is shown in the help; NULL: the option takes none */
    const char *help;  /* lines with \n between them */
    int id;            /* 0 … 63, the caller's name for it */
    int flags;
    const char *missing; /* not NULL: an option that is known but not there yet, and why */
} wilor_cli_option;

typedef struct wilor_cli_parser {
    const char *command; /* "predict": for the messages */
    const wilor_cli_option *options;
    size_t count;
    void *user;
    wilor_status (*option)(void *user, const wilor_cli_option *o, const char *value,
                           wilor_error *err);
    wilor_status (*operand)(void *user, const char *text, wilor_error *err);
    bool bare;   /* what option and operand say lacks the command's name: it is put before it */
    int without; /* options with one of these flags do not exist for this command */
    uint64_t seen; /* out: bit id of each option that was given */
    /* NULL, or a further table, with a user, an option function and a `seen` of its own. */
    struct wilor_cli_parser *more;
} wilor_cli_parser;

/* Every error is WILOR_ERR_ARG with a line that names the option and the value. */
wilor_status wilor_cli_parse(wilor_cli_parser *p, int argc, char **argv, wilor_error *err);

/* An error's text with the command's name before it; WILOR_OK goes through. */
wilor_status wilor_cli_in_command(wilor_status st, const char *command, wilor_error *err);

/* The options that exist, a paragraph each; `without` as in the parser. */
void wilor_cli_print_options(const wilor_cli_option *options, size_t count, FILE *to);
void wilor_cli_print_options_without(const wilor_cli_option *options, size_t count, int without,
                                     FILE *to);

/* The candidate most like `word`, or NULL when none is near. stride: bytes from one to the
 * next. */
const char *wilor_cli_nearest(const char *word, const char *const *names, size_t count,
                              size_t stride);

#endif
