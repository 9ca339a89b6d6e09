/* Live events as JSON, written straight into the buffer: a tree of values would be a thousand allocations
 * an event. Keys are our own and need no escapes. The numbers and the order of a hand's keys are event_json.c's,
 * which tests hold them to. */
#include "live_json.h"

#include "cli_text.h"
#include "predict_options.h"
#include <math.h>

typedef wilor_cli_buffer buffer;

static wilor_status done(const buffer *b, wilor_error *err) {
    return b->failed
               ? wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing an event")
               : WILOR_OK;
}

#define PUT(b, literal) wilor_cli_buffer_bytes(b, literal, sizeof(literal) - 1)

static void put_comma(buffer *b, bool on) {
    if (on)
        PUT(b, ",");
}

static void put_numbers(buffer *b, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        wilor_cli_buffer_bytes(b, i ? "," : "[", 1);
        wilor_cli_buffer_float(b, values[i]);
    }
    PUT(b, "]");
}

static void put_rows(buffer *b, const float *values, size_t count, size_t width) {
    PUT(b, "[");
    for (size_t i = 0; i < count; i++) {
        put_comma(b, i > 0);
        put_numbers(b, values + i * width, width);
    }
    PUT(b, "]");
}

/* A time: towards the past, whatever its sign. */
static void put_time(buffer *b, int64_t ns) {
    wilor_cli_buffer_integer(b, ns / 1000 - (ns % 1000 < 0));
}

/* A duration: to the nearest. */
static void put_span(buffer *b, int64_t ns) {
    wilor_cli_buffer_integer(b, ns > 0 ? ns / 1000 + (ns % 1000 >= 500) : 0);
}

static void put_bool(buffer *b, bool value) {
    wilor_cli_buffer_text(b, value ? "true" : "false");
}

/* ---------------------------------------------------------------- a hand */

static void put_place(buffer *b, const wilor_cli_live_hand *h) {
    PUT(b, ",\"wrist\":{\"p\":");
    float p[3];
    for (int i = 0; i < 3; i++)
        p[i] = h->keypoints_3d[0][i] + h->cam_t[i];
    put_numbers(b, p, 3);
    PUT(b, ",\"q\":");
    put_numbers(b, h->wrist_q, 4);
    PUT(b, "}");
    if (!h->has_velocity)
        return;
    PUT(b, ",\"vel\":{\"p\":");
    put_numbers(b, h->velocity, 3);
    PUT(b, ",\"w\":");
    put_numbers(b, h->angular_velocity, 3);
    PUT(b, "}");
}

static void put_mano(buffer *b, const wilor_cli_live_hand *h) {
    PUT(b, ",\"mano\":{\"global_orient\":");
    put_numbers(b, h->global_orient, 3);
    PUT(b, ",\"hand_pose\":");
    put_numbers(b, h->hand_pose, 45);
    PUT(b, ",\"betas\":");
    put_numbers(b, h->betas, 10);
    PUT(b, "}");
}

static void put_gesture(buffer *b, const wilor_gesture *g) {
    PUT(b, ",\"gesture\":{\"pinch_distance\":");
    wilor_cli_buffer_float(b, g->pinch_distance);
    PUT(b, ",\"pinch_strength\":");
    wilor_cli_buffer_float(b, g->pinch_strength);
    PUT(b, ",\"grab_strength\":");
    wilor_cli_buffer_float(b, g->grab_strength);
    PUT(b, ",\"grab_angle\":");
    wilor_cli_buffer_float(b, g->grab_angle);
    PUT(b, "}");
}

static void put_xr26(buffer *b, const wilor_xr_joint *joints) {
    PUT(b, ",\"xr26\":[");
    for (int i = 0; i < WILOR_CLI_XR_JOINTS; i++) {
        put_comma(b, i > 0);
        PUT(b, "{\"p\":");
        put_numbers(b, joints[i].position, 3);
        PUT(b, ",\"q\":");
        put_numbers(b, joints[i].orientation, 4);
        PUT(b, ",\"r\":");
        wilor_cli_buffer_float(b, joints[i].radius);
        PUT(b, ",\"f\":");
        wilor_cli_buffer_unsigned(b, joints[i].flags);
        PUT(b, "}");
    }
    PUT(b, "]");
}

static void put_included(buffer *b, const wilor_cli_live_event *e,
                         const wilor_cli_live_hand *h) {
    if (e->include & WILOR_CLI_MANO)
        put_mano(b, h);
    if (e->include & WILOR_CLI_GESTURE)
        put_gesture(b, &h->gesture);
    if (e->include & WILOR_CLI_ANGLES) {
        PUT(b, ",\"angles\":");
        put_rows(b, h->angles[0], WILOR_CLI_ANGLES_OF, 2);
    }
    if ((e->include & WILOR_CLI_XR26) && h->xr26[0].flags) /* all 26 joints, or nothing */
        put_xr26(b, h->xr26);
    if ((e->include & WILOR_CLI_VERTICES) && h->vertices_3d) {
        PUT(b, ",\"vertices\":");
        put_rows(b, h->vertices_3d, (size_t)e->vertices, 3);
    }
}

static void put_hand(buffer *b, const wilor_cli_live_event *e, const wilor_cli_live_hand *h) {
    static const char *const states[] = {"detected", "tracked", "predicted"};
    PUT(b, "{\"id\":");
    wilor_cli_buffer_unsigned(b, h->id);
    PUT(b, ",\"side\":");
    wilor_cli_buffer_text(b, h->side == WILOR_LEFT ? "\"left\"" : "\"right\"");
    PUT(b, ",\"conf\":");
    wilor_cli_buffer_float(b, h->conf);
    PUT(b, ",\"state\":\"");
    wilor_cli_buffer_text(b, states[h->state]);
    PUT(b, "\",\"age\":");
    put_span(b, h->age_ns);
    PUT(b, ",\"box\":");
    put_numbers(b, h->box, 4);
    PUT(b, ",\"crop\":");
    put_numbers(b, h->crop, 3);
    PUT(b, ",\"kp2d\":");
    put_rows(b, h->keypoints_2d[0], WILOR_CLI_POINTS, 2);
    if ((e->include & WILOR_CLI_DET) && h->has_detected_keypoints) {
        PUT(b, ",\"kp2d_det\":");
        put_rows(b, h->detected_keypoints[0], WILOR_CLI_POINTS, 3);
    }
    if (isfinite(h->fit_px)) {
        PUT(b, ",\"fit_px\":");
        wilor_cli_buffer_float(b, h->fit_px);
    }
    PUT(b, ",\"kp3d\":");
    put_rows(b, h->keypoints_3d[0], WILOR_CLI_POINTS, 3);
    PUT(b, ",\"cam_t\":");
    put_numbers(b, h->cam_t, 3);
    PUT(b, ",\"pred_cam\":");
    put_numbers(b, h->pred_cam, 3);
    put_place(b, h);
    put_included(b, e, h);
    PUT(b, "}");
}

/* ---------------------------------------------------------------- an event */

static void put_times(buffer *b, const wilor_cli_live_event *e) {
    static const char *const clocks[] = {"monotonic", "media", "client"};
    PUT(b, ",\"t_capture\":");
    put_time(b, e->t_capture);
    PUT(b, ",\"t_ready\":");
    put_time(b, e->t_ready);
    PUT(b, ",\"clock\":\"");
    wilor_cli_buffer_text(b, clocks[e->clock]);
    PUT(b, "\",\"t_utc\":");
    put_time(b, e->t_utc);
}

static void put_key_text(buffer *b, const char *key, const char *value) {
    wilor_cli_buffer_text(b, key);
    wilor_cli_buffer_string(b, value);
}

static void put_model(buffer *b, const wilor_cli_live_model *m) {
    put_key_text(b, ",\"model\":{\"name\":", m->name ? m->name : "wilor");
    if (m->label && *m->label)
        put_key_text(b, ",\"label\":", m->label);
    if (m->sha256 && *m->sha256)
        put_key_text(b, ",\"sha256\":", m->sha256);
    put_key_text(b, ",\"dtype\":", m->dtype ? m->dtype : "unknown");
    put_key_text(b, ",\"device\":", m->device ? m->device : "cpu");
    PUT(b, "}");
}

static void put_camera(buffer *b, const wilor_cli_live_event *e) {
    const double values[] = {e->fx, e->fy, e->cx, e->cy};
    static const char *const keys[] = {
        ",\"camera\":{\"fx\":", ",\"fy\":", ",\"cx\":", ",\"cy\":"};
    for (int i = 0; i < 4; i++) {
        wilor_cli_buffer_text(b, keys[i]);
        wilor_cli_buffer_float(b, (float)values[i]);
    }
    wilor_cli_buffer_text(b,
                          e->camera_given ? ",\"source\":\"given\"" : ",\"source\":\"guess\"");
    PUT(b, ",\"metric\":");
    put_bool(b, e->metric);
    PUT(b, "}");
}

static void put_extrinsics(buffer *b, const wilor_cli_pose *pose) {
    float p[3], q[4];
    for (int i = 0; i < 4; i++)
        q[i] = (float)pose->q[i];
    for (int i = 0; i < 3; i++)
        p[i] = (float)pose->p[i];
    PUT(b, ",\"extrinsics\":{\"p\":");
    put_numbers(b, p, 3);
    PUT(b, ",\"q\":");
    put_numbers(b, q, 4);
    PUT(b, "}");
}

static void put_timing(buffer *b, const wilor_cli_live_timing *t) {
    const int64_t spans[] = {t->wait, t->decode, t->detect, t->crop,
                             t->pose, t->post,   t->total};
    static const char *const keys[] = {",\"timing\":{\"wait\":",
                                       ",\"decode\":",
                                       ",\"detect\":",
                                       ",\"crop\":",
                                       ",\"pose\":",
                                       ",\"post\":",
                                       ",\"total\":"};
    for (int i = 0; i < 7; i++) {
        wilor_cli_buffer_text(b, keys[i]);
        put_span(b, spans[i]);
    }
    PUT(b, "}");
}

static void put_losses(buffer *b, const wilor_cli_live_event *e, unsigned dropped) {
    PUT(b, ",\"dropped\":");
    wilor_cli_buffer_unsigned(b, dropped);
    PUT(b, ",\"lost\":[");
    for (int i = 0; i < e->lost_count; i++) {
        put_comma(b, i > 0);
        wilor_cli_buffer_unsigned(b, e->lost[i]);
    }
    PUT(b, "]");
}

/* What every message begins with. */
static void begin(buffer *b, const char *type, const char *stream, const char *session) {
    wilor_cli_buffer_clear(b);
    PUT(b, "{\"v\":1");
    put_key_text(b, ",\"type\":", type);
    if (stream)
        put_key_text(b, ",\"stream\":", stream);
    if (session)
        put_key_text(b, ",\"session\":", session);
}

wilor_status wilor_cli_live_json_dropped(buffer *b, const wilor_cli_live_event *e,
                                         unsigned dropped, wilor_error *err) {
    begin(b, "hands", e->stream, e->session);
    PUT(b, ",\"seq\":");
    wilor_cli_buffer_unsigned(b, e->seq);
    PUT(b, ",\"frame\":");
    wilor_cli_buffer_unsigned(b, e->frame);
    put_times(b, e);
    PUT(b, ",\"image\":{\"w\":");
    wilor_cli_buffer_integer(b, e->width);
    PUT(b, ",\"h\":");
    wilor_cli_buffer_integer(b, e->height);
    PUT(b, ",\"mirrored\":");
    put_bool(b, e->mirrored);
    PUT(b, "}");
    if (e->model)
        put_model(b, e->model);
    put_camera(b, e);
    if (e->extrinsics)
        put_extrinsics(b, e->extrinsics);
    put_timing(b, &e->timing);
    put_losses(b, e, dropped);
    PUT(b, ",\"hands\":[");
    for (int i = 0; i < e->n; i++) {
        put_comma(b, i > 0);
        put_hand(b, e, &e->hands[i]);
    }
    PUT(b, "]}");
    return done(b, err);
}

wilor_status wilor_cli_live_json(buffer *b, const wilor_cli_live_event *e, wilor_error *err) {
    return wilor_cli_live_json_dropped(b, e, e->dropped, err);
}

/* ---------------------------------------------------------------- other messages */

wilor_status wilor_cli_live_json_hello(buffer *b, const wilor_cli_stream_name *name,
                                       const char *info, wilor_error *err) {
    begin(b, "hello", name->stream, name->session);
    if (info) {
        PUT(b, ",\"info\":");
        wilor_cli_buffer_text(b, info);
    }
    PUT(b, "}");
    return done(b, err);
}

wilor_status wilor_cli_live_json_status(buffer *b, const wilor_cli_stream_name *name,
                                        const char *status, const char *detail,
                                        wilor_error *err) {
    begin(b, "status", name->stream, name->session);
    put_key_text(b, ",\"status\":", status);
    if (detail)
        put_key_text(b, ",\"detail\":", detail);
    PUT(b, "}");
    return done(b, err);
}

wilor_status wilor_cli_live_json_error(buffer *b, const wilor_cli_stream_name *name, int code,
                                       const char *message, wilor_error *err) {
    begin(b, "error", name->stream, name->session);
    PUT(b, ",\"code\":");
    wilor_cli_buffer_integer(b, code);
    put_key_text(b, ",\"message\":", message);
    PUT(b, "}");
    return done(b, err);
}

wilor_status wilor_cli_live_json_bye(buffer *b, const wilor_cli_stream_name *name, uint64_t seq,
                                     const char *reason, wilor_error *err) {
    begin(b, "bye", name->stream, name->session);
    PUT(b, ",\"seq\":");
    wilor_cli_buffer_unsigned(b, seq);
    if (reason)
        put_key_text(b, ",\"reason\":", reason);
    PUT(b, "}");
    return done(b, err);
}
