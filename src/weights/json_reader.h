/* A strict reader of small JSON texts (safetensors headers), value by value.
 *
 *     if (wilor_json_begin(&j, '{'))
 *         while (wilor_json_next(&j, '}')) {
 *             if (!wilor_json_key(&j, &key, &n)) …
 *
 * The first mistake sets error and leaves the reader failing; so loops end, and one look at
 * error at the end is enough. */
#ifndef WILOR_JSON_READER_H
#define WILOR_JSON_READER_H

#include "chunk_pool.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WILOR_JSON_DEPTH = 64 };

typedef struct wilor_json {
    const char *begin, *at, *end;
    wilor_pool *pool;  /* decoded strings live here */
    const char *error; /* constant text, or NULL */
    bool no_memory;    /* the error is that */
    bool fresh;        /* just after an opening bracket */
} wilor_json;

/* Text of RFC 8259 in UTF-8, which is checked here. */
void wilor_json_init(wilor_json *j, const char *text, size_t length, wilor_pool *pool);

bool wilor_json_begin(wilor_json *j, char bracket); /* '{' or '[' */
/* True: another element follows. False: the closing bracket was read, or there is an error. */
bool wilor_json_next(wilor_json *j, char closing);
bool wilor_json_key(wilor_json *j, const char **text, size_t *length);    /* with its colon */
bool wilor_json_string(wilor_json *j, const char **text, size_t *length); /* terminated */
/* A whole number from 0 to 2^63 - 1, without fraction or exponent. */
bool wilor_json_size(wilor_json *j, int64_t *out);
bool wilor_json_null(wilor_json *j);   /* true and read when null comes next; never an error */
bool wilor_json_skip(wilor_json *j);   /* any one value, nested at most WILOR_JSON_DEPTH deep */
bool wilor_json_finish(wilor_json *j); /* nothing but blanks is left, and no error was met */

#endif
