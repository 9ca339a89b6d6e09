#include "serve_info.h"

#include "event_json.h"
#include "server/server_limits.h"

static json_t *limits_object(const wilor_cli_serve_options *o, uint64_t max_pixels) {
    return json_pack("{s:I, s:I, s:i, s:i, s:i}", "max_body", (json_int_t)o->max_body,
                     "max_pixels", (json_int_t)max_pixels, "connections",
                     WILOR_SERVER_CLIENTS_MOST, "streams", WILOR_SERVER_STREAMS_MOST, "waiting",
                     WILOR_SERVER_JOBS_MOST);
}

char *wilor_cli_serve_info(const wilor_cli_serve_options *o, const wilor_cli_opened *opened) {
    uint64_t max_pixels = o->p.max_pixels ? o->p.max_pixels : WILOR_SERVER_PIXELS_MOST;
    json_t *info = wilor_cli_live_info(&o->p, opened, o->stream);
    json_t *own = json_pack("{s:o, s:b, s:b, s:b}", "limits", limits_object(o, max_pixels),
                            "source", o->source.source != NULL, "frames", o->share_frames,
                            "token", o->token[0] != 0);
    char *text = NULL;
    if (info && own && json_object_update(info, own) == 0)
        text = wilor_cli_json_text(info, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(info);
    json_decref(own);
    return text;
}
