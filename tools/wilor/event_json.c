/* Building events.
 *
 * Every jansson call that fails gives NULL or -1, and a NULL handed on fails in its turn, so
 * that one flag at the end of each object says whether memory was enough. */
#include "event_json.h"

#include "live_hand.h"
#include "predict_options.h"
#include "text_buffer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *wilor_cli_json_float(float value) {
    char text[WILOR_CLI_FLOAT_TEXT];
    wilor_cli_float_text(text, value);
    return isfinite(value) ? json_real(strtod(text, NULL)) : json_null();
}

typedef struct json_text {
    char *text;
    size_t used, room;
    bool full;
} json_text;

static int append_text(const char *part, size_t size, void *user) {
    json_text *t = user;
    if (!t->full && size >= t->room - t->used) { /* with the final zero */
        size_t room = t->room;
        while (room <= SIZE_MAX / 4 && size >= room - t->used)
            room *= 2;
        char *grown = size < room - t->used ? realloc(t->text, room) : NULL;
        t->full = !grown;
        t->text = grown ? grown : t->text;
        t->room = grown ? room : t->room;
    }
    if (t->full)
        return -1;
    memcpy(t->text + t->used, part, size);
    t->used += size;
    return 0;
}

char *wilor_cli_json_text(const json_t *value, size_t flags) {
    json_text t = {.room = 4096};
    t.text = malloc(t.room);
    if (t.text && json_dump_callback(value, append_text, &t, flags) == 0 && !t.full) {
        t.text[t.used] = 0;
        return t.text;
    }
    free(t.text);
    return NULL;
}

static void put(json_t *object, const char *key, json_t *value, bool *ok) {
    if (json_object_set_new(object, key, value) != 0)
        *ok = false;
}

static void push(json_t *array, json_t *value, bool *ok) {
    if (json_array_append_new(array, value) != 0)
        *ok = false;
}

static json_t *numbers(const float *values, size_t count, bool *ok) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        push(array, wilor_cli_json_float(values[i]), ok);
    return array;
}

static json_t *rows(const float *values, size_t count, size_t width, bool *ok) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        push(array, numbers(values + i * width, width, ok), ok);
    return array;
}

static json_t *microseconds(double ms) {
    return json_integer(ms > 0 && ms < 1e12 ? (json_int_t)(ms * 1000 + 0.5) : 0);
}

static json_t *wrist(const float *keypoints, const float *cam_t, const float *orient,
                     bool *ok) {
    float p[3], q[4];
    for (int i = 0; i < 3; i++)
        p[i] = keypoints[i] + cam_t[i];
    wilor_cli_quaternion(orient, q);
    json_t *object = json_object();
    put(object, "p", numbers(p, 3, ok), ok);
    put(object, "q", numbers(q, 4, ok), ok);
    return object;
}

static json_t *mano(const wilor_hands *hands, size_t h, bool *ok) {
    json_t *object = json_object();
    put(object, "global_orient", numbers(hands->global_orient + 3 * h, 3, ok), ok);
    put(object, "hand_pose", numbers(hands->hand_pose + 45 * h, 45, ok), ok);
    put(object, "betas", numbers(hands->betas + 10 * h, 10, ok), ok);
    return object;
}

static json_t *gesture(const float *keypoints, bool *ok) {
    wilor_gesture g;
    json_t *object = json_object();
    wilor_hand_gesture(keypoints, &g);
    put(object, "pinch_distance", wilor_cli_json_float(g.pinch_distance), ok);
    put(object, "pinch_strength", wilor_cli_json_float(g.pinch_strength), ok);
    put(object, "grab_strength", wilor_cli_json_float(g.grab_strength), ok);
    put(object, "grab_angle", wilor_cli_json_float(g.grab_angle), ok);
    return object;
}

/* All 26 joints, or nothing. */
static void put_xr26(json_t *object, const wilor_model *model, const wilor_hands *hands, int h,
                     bool *ok) {
    enum { JOINTS = 26 };

    wilor_xr_joint joints[JOINTS];
    if (wilor_hand_xr26(model, hands, h, joints, NULL) != WILOR_OK)
        return;
    json_t *array = json_array();
    for (int i = 0; i < JOINTS; i++) {
        json_t *joint = json_object();
        put(joint, "p", numbers(joints[i].position, 3, ok), ok);
        put(joint, "q", numbers(joints[i].orientation, 4, ok), ok);
        put(joint, "r", wilor_cli_json_float(joints[i].radius), ok);
        put(joint, "f", json_integer((json_int_t)joints[i].flags), ok);
        push(array, joint, ok);
    }
    put(object, "xr26", array, ok);
}

static json_t *angles(const wilor_model *model, const wilor_hands *hands, size_t h,
                      wilor_side side, bool *ok) {
    float values[30];
    wilor_hand_angles(model, hands->hand_pose + 45 * h, side, values);
    return rows(values, 15, 2, ok);
}

static void put_place(json_t *object, const wilor_hands *hands, size_t h, bool *ok) {
    put(object, "box", numbers(hands->box + 4 * h, 4, ok), ok);
    put(object, "crop", numbers(hands->crop + 3 * h, 3, ok), ok);
    put(object, "kp2d", rows(hands->keypoints_2d + 42 * h, 21, 2, ok), ok);
}

static void put_detected(json_t *object, const wilor_cli_event *e, const wilor_hands *hands,
                         size_t h, bool *ok) {
    const float *points = hands->detected_keypoints + 63 * h;
    float pixels = wilor_cli_keypoint_fit(points, hands->keypoints_2d + 42 * h);
    if (e->include & WILOR_CLI_DET)
        put(object, "kp2d_det", rows(points, 21, 3, ok), ok);
    if (isfinite(pixels))
        put(object, "fit_px", wilor_cli_json_float(pixels), ok);
}

static json_t *hand(const wilor_cli_event *e, const wilor_model *model,
                    const wilor_hands *hands, size_t h, bool *ok) {
    wilor_side side = hands->side[h] == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
    const float *keypoints = hands->keypoints_3d + 63 * h;
    json_t *object = json_object();
    put(object, "side", json_string(side == WILOR_LEFT ? "left" : "right"), ok);
    if (hands->failed[h]) {
        put(object, "failed", json_true(), ok);
        return object;
    }
    put(object, "conf", wilor_cli_json_float(hands->score[h]), ok);
    if (e->camera)
        put_place(object, hands, h, ok);
    if (e->camera && e->detect && hands->detected[h])
        put_detected(object, e, hands, h, ok);
    put(object, "kp3d", rows(keypoints, 21, 3, ok), ok);
    if (e->camera)
        put(object, "cam_t", numbers(hands->cam_t + 3 * h, 3, ok), ok);
    put(object, "pred_cam", numbers(hands->pred_cam + 3 * h, 3, ok), ok);
    if (e->camera)
        put(object, "wrist",
            wrist(keypoints, hands->cam_t + 3 * h, hands->global_orient + 3 * h, ok), ok);
    if (e->include & WILOR_CLI_MANO)
        put(object, "mano", mano(hands, h, ok), ok);
    if (e->include & WILOR_CLI_GESTURE)
        put(object, "gesture", gesture(keypoints, ok), ok);
    if (e->include & WILOR_CLI_ANGLES)
        put(object, "angles", angles(model, hands, h, side, ok), ok);
    if (e->include & WILOR_CLI_XR26)
        put_xr26(object, model, hands, (int)h, ok);
    if (e->include & WILOR_CLI_VERTICES) {
        size_t v = (size_t)hands->vertices;
        put(object, "vertices", rows(hands->vertices_3d + h * v * 3, v, 3, ok), ok);
    }
    return object;
}

static json_t *model_object(const wilor_model *model, bool *ok) {
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    json_t *object = json_object();
    put(object, "name", json_string(info.name && *info.name ? info.name : "wilor"), ok);
    if (info.label && *info.label) {
        char *label = wilor_cli_utf8_copy(info.label);
        put(object, "label", json_string(label), ok);
        free(label);
    }
    put(object, "dtype", json_string(wilor_dtype_name(info.dtype)), ok);
    put(object, "device", json_string(info.device), ok);
    put(object, "isa", json_string(wilor_isa_name(info.isa)), ok);
    return object;
}

static json_t *camera_object(const wilor_cli_event *e, const wilor_hands *hands, bool *ok) {
    json_t *object = json_object();
    put(object, "fx", wilor_cli_json_float(hands->focal[0]), ok);
    put(object, "fy", wilor_cli_json_float(hands->focal[1]), ok);
    put(object, "cx", wilor_cli_json_float(hands->principal[0]), ok);
    put(object, "cy", wilor_cli_json_float(hands->principal[1]), ok);
    put(object, "source", json_string(e->camera_given ? "given" : "guess"), ok);
    put(object, "metric", json_boolean(e->camera_given), ok);
    return object;
}

static json_t *timing_object(const wilor_cli_event *e, const wilor_hands *hands, bool *ok) {
    const double *ms = hands->stage_ms;
    json_t *object = json_object();
    put(object, "decode", microseconds(e->decode_ms), ok);
    if (e->detect)
        put(object, "detect", microseconds(hands->detect_ms), ok);
    put(object, "crop", microseconds(ms[0]), ok);
    put(object, "pose", microseconds(ms[1] + ms[2]), ok);
    put(object, "post", microseconds(ms[3] - ms[0] - ms[1] - ms[2]), ok);
    put(object, "total", microseconds(e->total_ms), ok);
    return object;
}

static json_t *image_object(const wilor_cli_event *e, bool *ok) {
    json_t *object = json_object();
    put(object, "w", json_integer(e->width), ok);
    put(object, "h", json_integer(e->height), ok);
    put(object, "mirrored", json_boolean(e->mirrored), ok);
    return object;
}

wilor_status wilor_cli_event_build(json_t **out, const wilor_cli_event *e,
                                   const wilor_model *model, const wilor_hands *hands,
                                   wilor_error *err) {
    bool ok = true;
    char *source = wilor_cli_utf8_copy(e->source);
    json_t *event = json_object();
    json_t *list = json_array();
    put(event, "v", json_integer(1), &ok);
    put(event, "type", json_string("hands"), &ok);
    put(event, "source", json_string(source), &ok);
    put(event, "image", image_object(e, &ok), &ok);
    put(event, "model", model_object(model, &ok), &ok);
    if (e->camera && hands->n > 0)
        put(event, "camera", camera_object(e, hands, &ok), &ok);
    put(event, "timing", timing_object(e, hands, &ok), &ok);
    for (int h = 0; h < hands->n; h++)
        push(list, hand(e, model, hands, (size_t)h, &ok), &ok);
    put(event, "hands", list, &ok);
    free(source);
    if (!ok) {
        json_decref(event);
        *out = NULL;
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing JSON");
    }
    *out = event;
    return WILOR_OK;
}
