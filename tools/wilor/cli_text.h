/* Text in and out of the program: errors, quoted names, UTF-8, strict numbers. */
#ifndef WILOR_CLI_TEXT_H
#define WILOR_CLI_TEXT_H

#include "system.h"
#include "wilor/wilor.h"
#include <stdbool.h>

#if defined(__GNUC__)
#define WILOR_CLI_PRINTF(fmt, args) __attribute__((format(WILOR_SYS_PRINTF, fmt, args)))
#else
#define WILOR_CLI_PRINTF(fmt, args)
#endif

/* Fill *err with one line and return status. */
wilor_status wilor_cli_fail(wilor_error *err, wilor_status status, const char *format, ...)
    WILOR_CLI_PRINTF(3, 4);

/* status with the text of errno's value: "'path': what: No such file or directory". */
wilor_status wilor_cli_fail_errno(wilor_error *err, const char *path, const char *what,
                                  int code);

/* A name as it may stand in a message: in quotes, what is not printable escaped, at most 200
 * bytes of it. Returns buf->text. */
typedef struct wilor_cli_quoted {
    char text[256];
} wilor_cli_quoted;

const char *wilor_cli_quote(wilor_cli_quoted *buf, const char *name);

/* The code point at *s and how many bytes it takes (1 … 4). What is not UTF-8 gives U+FFFD,
 * byte by byte. *s must not be the terminating zero. */
size_t wilor_cli_utf8_next(const char *s, uint32_t *code);

/* A copy that is sound UTF-8, bad bytes replaced by U+FFFD; the caller frees. NULL: no memory. */
char *wilor_cli_utf8_copy(const char *name);

/* The part of a path behind its last slash. */
const char *wilor_cli_base_name(const char *path);

/* Where the ending (".jpg") of the path's last part begins: its end when it has none, as in
 * ".hidden". */
const char *wilor_cli_ending(const char *path);

/* Strict numbers: plain decimal, all of the text, finite. False: not one, or outside low …
 * high. */
bool wilor_cli_parse_double(const char *text, double low, double high, double *out);
bool wilor_cli_parse_long(const char *text, long low, long high, long *out);
/* A whole number with k, M or G (10³, 10⁶, 10⁹) after it, at least 1. */
bool wilor_cli_parse_count(const char *text, uint64_t *out);
/* count numbers with commas between them. *rest is set to what follows the last one's comma, or
 * to the end of text; with rest == NULL nothing may follow. */
bool wilor_cli_parse_list(const char *text, size_t count, double *out, const char **rest);

/* The value of --dtype; `who` is what the message begins with ("bench: "). */
#define WILOR_CLI_DTYPES "auto|f32|f32x|f16|bf16|int8|int4"
wilor_status wilor_cli_parse_dtype(const char *who, const char *text, wilor_dtype *out,
                                   wilor_error *err);

/* "random:NAME" stands for weights by formula (wilor_model_options, wilor_detector_options). */
bool wilor_cli_is_formula(const char *path);
/* A file that an option names (NULL: it was not given) and that is simply not there: ERR_MISSING, which
 * is another thing than a file that is wrong. */
wilor_status wilor_cli_check_file(const char *option, const char *path, wilor_error *err);

#endif
