/* A live event, and what else a stream says, as JSON: one object, no newline in or behind it. docs/events.md.
 *
 * Every function empties the buffer first and gives ERR_NOMEM when there was no memory; then the buffer's
 * content is of no use. Any thread, a buffer each. */
#ifndef WILOR_CLI_LIVE_JSON_H
#define WILOR_CLI_LIVE_JSON_H

#include "live_event.h"
#include "text_buffer.h"

wilor_status wilor_cli_live_json(wilor_cli_buffer *b, const wilor_cli_live_event *e,
                                 wilor_error *err);
/* The same with another count of dropped frames: of a client that is slower than the stream. */
wilor_status wilor_cli_live_json_dropped(wilor_cli_buffer *b, const wilor_cli_live_event *e,
                                         unsigned dropped, wilor_error *err);

/* Who speaks: NULL leaves a key out. */
typedef struct wilor_cli_stream_name {
    const char *stream, *session;
} wilor_cli_stream_name;

/* info: JSON text of an object, what GET /info gives; NULL for none. */
wilor_status wilor_cli_live_json_hello(wilor_cli_buffer *b, const wilor_cli_stream_name *name,
                                       const char *info, wilor_error *err);
/* status: "opened", "lost", "reloaded" …; detail: NULL, or a line for people. */
wilor_status wilor_cli_live_json_status(wilor_cli_buffer *b, const wilor_cli_stream_name *name,
                                        const char *status, const char *detail,
                                        wilor_error *err);
/* code: as in problem+json, 400 … 599; message: a line for people. */
wilor_status wilor_cli_live_json_error(wilor_cli_buffer *b, const wilor_cli_stream_name *name,
                                       int code, const char *message, wilor_error *err);
/* seq: of the last event, 0 for none; reason: NULL, "end of file", "interrupted" … */
wilor_status wilor_cli_live_json_bye(wilor_cli_buffer *b, const wilor_cli_stream_name *name,
                                     uint64_t seq, const char *reason, wilor_error *err);

#endif
