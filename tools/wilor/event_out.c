/* The stream of events. An event is one write of one buffer, so that a reader never sees half a
 * line from an event that could not be built. */
#include "event_out.h"

#include "event_json.h"
#include "text_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static wilor_status fail(wilor_cli_event_out *o, wilor_error *err) {
    o->closed = errno == EPIPE && !o->file.file;
    return wilor_cli_fail(err, WILOR_ERR_IO, "%s: cannot write: %s", o->name, strerror(errno));
}

static wilor_status emit(wilor_cli_event_out *o, const char *text, wilor_error *err) {
    return fputs(text, o->to) < 0 ? fail(o, err) : WILOR_OK;
}

static wilor_status flush(wilor_cli_event_out *o, wilor_error *err) {
    return fflush(o->to) != 0 ? fail(o, err) : WILOR_OK;
}

wilor_status wilor_cli_event_out_open(wilor_cli_event_out *o, const char *path, bool pretty,
                                      bool array, wilor_error *err) {
    *o = (wilor_cli_event_out){.pretty = pretty, .array = array};
    if (!path || !strcmp(path, "-")) {
        o->to = stdout;
        o->name = "standard output";
    } else {
        wilor_status st = wilor_cli_temp_open(&o->file, path, err);
        if (st != WILOR_OK)
            return st;
        o->to = o->file.file;
        o->name = path;
    }
    return array ? emit(o, "[", err) : WILOR_OK;
}

void wilor_cli_event_out_adopt(wilor_cli_event_out *o, const wilor_cli_temp_file *file) {
    *o = (wilor_cli_event_out){.keep = true, .file = *file, .to = file->file};
    o->name = o->file.path;
}

enum { LINE = 80 };

/* Whether value belongs on one line however long that is: a scalar, or a list of scalars. */
static bool is_flat(const json_t *value) {
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        if (json_is_array(entry) || json_is_object(entry))
            return false;
    }
    return !json_is_object(value);
}

static void new_line(wilor_cli_buffer *to, const char *before, int depth) {
    wilor_cli_buffer_text(to, before);
    wilor_cli_buffer_text(to, "\n");
    for (int i = 0; i < depth; i++)
        wilor_cli_buffer_text(to, " ");
}

/* A line where the value is short or a list of numbers, else a line an entry: jansson's own
 * indentation would give every number a line. False: no memory. */
static bool print_readable(wilor_cli_buffer *to, json_t *value, int depth) {
    char *text = wilor_cli_json_text(value, JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
    bool ok = text != NULL;
    if (ok && (strlen(text) <= LINE || is_flat(value))) {
        wilor_cli_buffer_text(to, text);
    } else if (ok && json_is_array(value)) {
        for (size_t i = 0; ok && i < json_array_size(value); i++) {
            new_line(to, i ? "," : "[", depth + 1);
            ok = print_readable(to, json_array_get(value, i), depth + 1);
        }
        new_line(to, "", depth);
        wilor_cli_buffer_text(to, "]");
    } else if (ok) {
        const char *key, *before = "{";
        json_t *entry;
        json_object_foreach(value, key, entry) {
            new_line(to, before, depth + 1);
            wilor_cli_buffer_text(to, "\""); /* our keys are plain */
            wilor_cli_buffer_text(to, key);
            wilor_cli_buffer_text(to, "\": ");
            ok = ok && print_readable(to, entry, depth + 1);
            before = ",";
        }
        new_line(to, "", depth);
        wilor_cli_buffer_text(to, "}");
    }
    free(text);
    return ok;
}

static char *readable(json_t *event) {
    wilor_cli_buffer to = {0};
    if (print_readable(&to, event, 0) && !to.failed)
        return to.text;
    wilor_cli_buffer_free(&to);
    return NULL;
}

char *wilor_cli_event_out_text(const wilor_cli_event_out *o, json_t *event) {
    return o->pretty ? readable(event)
                     : wilor_cli_json_text(event, JSON_REAL_PRECISION(9) | JSON_COMPACT);
}

wilor_status wilor_cli_event_out_put(wilor_cli_event_out *o, const char *text,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (o->array)
        st = emit(o, o->count ? ",\n" : "\n", err);
    if (st == WILOR_OK)
        st = emit(o, text, err);
    if (st == WILOR_OK && !o->array)
        st = emit(o, "\n", err);
    o->count++;
    return st == WILOR_OK ? flush(o, err) : st;
}

wilor_status wilor_cli_event_out_bytes(wilor_cli_event_out *o, const void *data, size_t size,
                                       wilor_error *err) {
    o->count++;
    return fwrite(data, 1, size, o->to) == size ? flush(o, err) : fail(o, err);
}

wilor_status wilor_cli_event_out_finish(wilor_cli_event_out *o, wilor_error *err) {
    wilor_status st = o->array ? emit(o, o->count ? "\n]\n" : "]\n", err) : WILOR_OK;
    if (st == WILOR_OK)
        st = flush(o, err);
    if (st == WILOR_OK && o->file.file)
        st = wilor_cli_temp_commit(&o->file, err);
    wilor_cli_event_out_discard(o);
    return st;
}

void wilor_cli_event_out_discard(wilor_cli_event_out *o) {
    if (o->keep && o->file.path) {
        free(o->file.path);
        o->file.path = NULL; /* so that it is not removed */
    }
    wilor_cli_temp_discard(&o->file);
    o->to = NULL;
}
