/* Text that grows in memory: for the event stream, where an event is written into the buffer of the one
 * before. Nothing is allocated once the buffer has the size of the longest event. */
#ifndef WILOR_CLI_TEXT_BUFFER_H
#define WILOR_CLI_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WILOR_CLI_FLOAT_TEXT = 24 };

/* The shortest decimal that reads back as the same float, with a point or an exponent as jansson writes reals; "null"
 * when it is not finite. Ends with a zero; its length comes back. */
size_t wilor_cli_float_text(char out[WILOR_CLI_FLOAT_TEXT], float value);

typedef struct wilor_cli_buffer {
    char *text; /* used bytes, and a zero behind them once something was added */
    size_t used, room;
    bool failed; /* there was no memory: what was added since is lost */
} wilor_cli_buffer;

/* A zeroed buffer is an empty one. */
void wilor_cli_buffer_clear(
    wilor_cli_buffer *b); /* empty, `failed` taken back; the room stays */
void wilor_cli_buffer_free(wilor_cli_buffer *b);

void wilor_cli_buffer_bytes(wilor_cli_buffer *b, const char *bytes, size_t count);
void wilor_cli_buffer_text(wilor_cli_buffer *b, const char *text);
void wilor_cli_buffer_integer(wilor_cli_buffer *b, int64_t value);
void wilor_cli_buffer_unsigned(wilor_cli_buffer *b, uint64_t value);
/* wilor_cli_float_text's. */
void wilor_cli_buffer_float(wilor_cli_buffer *b, float value);
/* A JSON string in quotes: controls, quote and backslash escaped, bytes that are not UTF-8 as U+FFFD. */
void wilor_cli_buffer_string(wilor_cli_buffer *b, const char *text);

#endif
