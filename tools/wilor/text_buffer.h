/* Text that grows in memory: for the event stream, where an event is written into the buffer of the one
 * before. Nothing is allocated once the buffer has the size of the longest event. */
#ifndef WILOR_CLI_TEXT_BUFFER_H
#define WILOR_CLI_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* The shortest decimal that reads back as the same float or double, always with a point or an exponent, as
 * jansson writes reals; "null" when it is not finite. Of a float: wilor_cli_json_float's number. */
void wilor_cli_buffer_float(wilor_cli_buffer *b, float value);
void wilor_cli_buffer_double(wilor_cli_buffer *b, double value);
/* A JSON string in quotes: controls, quote and backslash escaped, bytes that are not UTF-8 as U+FFFD. */
void wilor_cli_buffer_string(wilor_cli_buffer *b, const char *text);

#endif
