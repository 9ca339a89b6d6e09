#include "made_event.h"

#include <math.h>
#include <string.h>

float made_number(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int32_t)(*state >> 32)) / 2147483648.0f;
}

static void numbers(uint64_t *state, float *out, size_t count, float scale, float middle) {
    for (size_t i = 0; i < count; i++)
        out[i] = middle + scale * made_number(state);
}

static void unit(float *q) {
    float n = sqrtf(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    for (int i = 0; i < 4; i++)
        q[i] = (q[3] < 0 ? -1.0f : 1.0f) * q[i] / n;
}

/* Of a rotation vector; small ones are not met here. */
static void quaternion(const float *v, float *q) {
    float a = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int i = 0; i < 3; i++)
        q[i] = sinf(a / 2) * v[i] / a;
    q[3] = cosf(a / 2);
    unit(q);
}

static void fill_hand(made_event *m, int i, uint64_t *s) {
    wilor_cli_live_hand *h = &m->hands[i];
    h->id = (uint32_t)(7 + 3 * i);
    h->side = i % 2 ? WILOR_LEFT : WILOR_RIGHT;
    h->state = (wilor_cli_hand_state)(i % 3);
    h->conf = 0.5f + 0.5f * made_number(s);
    h->age_ns = 1530000000 + 1234567 * (int64_t)i;
    numbers(s, h->box, 4, 100, 200);
    numbers(s, h->crop, 3, 100, 200);
    numbers(s, h->pred_cam, 3, 1, 2);
    numbers(s, h->cam_t, 3, 0.1f, 0.5f);
    numbers(s, h->keypoints_2d[0], 42, 100, 300);
    h->has_detected_keypoints = i != 1;
    numbers(s, h->detected_keypoints[0], 63, 100, 300);
    h->fit_px = i != 1 ? 2.5f : NAN;
    numbers(s, h->keypoints_3d[0], 63, 0.1f, 0);
    numbers(s, h->global_orient, 3, 1, 0.3f);
    numbers(s, h->hand_pose, 45, 0.5f, 0);
    numbers(s, h->betas, 10, 1, 0);
    quaternion(h->global_orient, h->wrist_q);
    h->has_velocity = i != 2;
    numbers(s, h->velocity, 3, 1, 0);
    numbers(s, h->angular_velocity, 3, 1, 0);
    numbers(s, &h->gesture.pinch_distance, 1, 0.01f, 0.03f);
    numbers(s, &h->gesture.pinch_strength, 1, 0.5f, 0.5f);
    numbers(s, &h->gesture.grab_strength, 1, 0.5f, 0.5f);
    numbers(s, &h->gesture.grab_angle, 1, 0.5f, 0.5f);
    for (int k = 0; k < WILOR_CLI_XR_JOINTS; k++) {
        wilor_xr_joint *joint = &h->xr26[k];
        numbers(s, joint->position, 3, 0.1f, 0);
        numbers(s, joint->orientation, 4, 1, 0.1f);
        unit(joint->orientation);
        numbers(s, &joint->radius, 1, 0.001f, 0.008f);
        joint->flags = k % 5 == 1 ? 3 : 15;
    }
    numbers(s, h->angles[0], 30, 1, 0);
    numbers(s, m->vertices[i], MADE_VERTICES * 3, 0.1f, 0);
    h->vertices_3d = m->vertices[i];
}

void made_event_fill(made_event *m, unsigned seed) {
    uint64_t state = seed + 1;
    memset(m, 0, sizeof *m);
    for (int i = 0; i < MADE_HANDS; i++)
        fill_hand(m, i, &state);
    m->lost[0] = 6;
    m->lost[1] = 4000000000u;
    m->model = (wilor_cli_live_model){.name = "wilor",
                                      .label = "synthetic",
                                      .sha256 = "9f2c",
                                      .dtype = "bf16",
                                      .device = "cpu"};
    m->event = (wilor_cli_live_event){
        .stream = "cam3",
        .session = "5f0c0102030405060708090a0b0c0d0e",
        .seq = 1234 + seed,
        .frame = 9007199254740991,
        .t_capture = 8123456789012,
        .t_ready = 8123471002999,
        .t_utc = 1795400000123456789,
        .clock = WILOR_CLI_CLIENT,
        .width = 640,
        .height = 480,
        .mirrored = true,
        .camera_given = true,
        .metric = true,
        .fx = 606.8,
        .fy = 606.3,
        .cx = 321.5,
        .cy = 247.6,
        .timing = {310499, 420500, 2100000, 180000, 10900000, 160000, 14070499},
        .dropped = 2,
        .lost_count = 2,
        .lost = m->lost,
        .include = ~0u,
        .vertices = MADE_VERTICES,
        .n = MADE_HANDS,
        .hands = m->hands,
        .model = &m->model};
}
