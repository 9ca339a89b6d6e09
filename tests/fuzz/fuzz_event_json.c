/* Events from hands of arbitrary floats under arbitrary names: what is written must be JSON
 * that jansson reads again. The first bytes choose what the event holds, then comes the name as
 * far as a zero byte, the rest is repeated as floats. */
#include "fuzz_input.h"

#include "event_json.h"
#include <stdlib.h>
#include <string.h>

enum { HANDS = 2, VERTICES = 3, NUMBERS = 256, HEAD = 4 };

static const char *g_label;

/* The library's part, with the least that events need. */
void wilor_model_get_info(const wilor_model *model, wilor_model_info *info, size_t size) {
    (void)model;
    memset(info, 0, size);
    info->isa = WILOR_ISA_C;
    info->label = g_label;
    info->device = "cpu";
}

void wilor_hand_gesture(const float *keypoints_3d, wilor_gesture *out) {
    *out = (wilor_gesture){keypoints_3d[0], keypoints_3d[1], keypoints_3d[2], keypoints_3d[3]};
}

wilor_status wilor_hand_xr26(const wilor_model *model, const wilor_hands *hands, int i,
                             wilor_xr_joint *out, wilor_error *err) {
    const float *x = hands->keypoints_3d;
    (void)model;
    (void)err;
    for (int k = 0; k < 26; k++)
        out[k] = (wilor_xr_joint){{x[k], x[1], x[2]}, {0, 0, x[3], 1}, x[4], 15};
    return i == 0 ? WILOR_OK : WILOR_ERR_ARG;
}

void wilor_hand_angles(const wilor_model *model, const float *hand_pose, wilor_side side,
                       float *out) {
    (void)model;
    for (int k = 0; k < 30; k++)
        out[k] = side == WILOR_LEFT ? -hand_pose[k] : hand_pose[k];
}

static void check(const wilor_cli_event *e, const wilor_hands *hands) {
    json_t *event = NULL;
    json_error_t error;
    if (wilor_cli_event_build(&event, e, NULL, hands, NULL) != WILOR_OK)
        abort();
    char *text = json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_t *again = text ? json_loads(text, JSON_REJECT_DUPLICATES, &error) : NULL;
    const json_t *source = json_object_get(again, "source");
    if (!again || strchr(text, '\n') || !json_equal(source, json_object_get(event, "source")))
        abort();
    if (json_array_size(json_object_get(again, "hands")) != (size_t)hands->n)
        abort();
    json_decref(again);
    json_decref(event);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    float x[NUMBERS] = {0};
    char name[256] = {0};
    if (size < HEAD + 4)
        return 0;
    size_t rest = size - HEAD, length = rest < sizeof name - 1 ? rest : sizeof name - 1;
    memcpy(name, data + HEAD, length);
    for (size_t i = 0; i < NUMBERS; i++)
        for (size_t k = 0; k < sizeof *x; k++)
            ((uint8_t *)&x[i])[k] = data[HEAD + (i * sizeof *x + k) % rest];
    const uint8_t side[HANDS] = {data[0] & 1, data[0] >> 1 & 1};
    const uint8_t failed[HANDS] = {data[0] >> 2 & 1, data[0] >> 3 & 1};
    wilor_hands hands = {.n = data[1] % (HANDS + 1),
                         .vertices = VERTICES,
                         .side = side,
                         .failed = failed,
                         .score = x,
                         .box = x,
                         .crop = x,
                         .pred_cam = x,
                         .cam_t = x,
                         .focal = x,
                         .principal = x,
                         .keypoints_3d = x,
                         .keypoints_2d = x,
                         .vertices_3d = x,
                         .global_orient = x,
                         .hand_pose = x,
                         .betas = x,
                         .rotation = x};
    for (int i = 0; i < 4; i++)
        hands.stage_ms[i] = (double)x[i];
    wilor_cli_event e = {.source = name,
                         .width = data[3],
                         .height = 480,
                         .mirrored = data[0] >> 4 & 1,
                         .camera = data[0] >> 5 & 1,
                         .camera_given = data[0] >> 6 & 1,
                         .include = data[2],
                         .decode_ms = (double)x[5],
                         .total_ms = (double)x[6]};
    g_label = data[0] >> 7 ? name : "";
    check(&e, &hands);
    return 0;
}
