/* Writing binary records. Bytes are put together one by one, so that neither alignment nor the
 * machine's order matters; compilers make single stores of that. */
#include "live_record.h"
#include "record_sizes.h"

#include "cli_text.h"
#include "predict_options.h"
#include <math.h>

#include <string.h>

/* ---------------------------------------------------------------- numbers */

static uint8_t *put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t value) {
    return put16(put16(at, value & 0xFFFF), value >> 16);
}

static uint8_t *put64(uint8_t *at, uint64_t value) {
    return put32(put32(at, (uint32_t)value), (uint32_t)(value >> 32));
}

static uint8_t *put_float(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put32(at, bits);
}

static uint8_t *put_floats(uint8_t *at, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        at = put_float(at, values[i]);
    return at;
}

/* To float16, to nearest, ties to even. */
static unsigned half_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned sign = bits >> 16 & 0x8000;
    uint32_t rest = bits & 0x7FFFFFFF;
    if (rest > 0x7F800000) /* NaN, its highest bit set */
        return sign | 0x7E00;
    if (rest >= 0x477FF000) /* half way from the largest, 65504, to the next: infinite */
        return sign | 0x7C00;
    if (rest < 0x38800000) { /* below 2^-14: a multiple of 2^-24, which a float adds exactly */
        float size;
        memcpy(&size, &rest, sizeof size);
        return sign | (unsigned)lrintf(size * 16777216.0f);
    }
    rest += 0xFFF + (rest >> 13 & 1);
    return sign | ((rest >> 13) - (112 << 10));
}

/* ---------------------------------------------------------------- sizes */

static uint32_t flags_of(const wilor_cli_live_event *e, const wilor_cli_record_how *how) {
    uint32_t flags = WILOR_CLI_RECORD_KP3D;
    flags |= e->mirrored ? WILOR_CLI_RECORD_MIRRORED : 0;
    flags |= e->metric ? WILOR_CLI_RECORD_METRIC : 0;
    flags |= how->no_place ? 0 : WILOR_CLI_RECORD_KP2D;
    flags |= !how->no_place && (e->include & WILOR_CLI_DET) ? WILOR_CLI_RECORD_KP2D_DET : 0;
    flags |= e->include & WILOR_CLI_MANO ? WILOR_CLI_RECORD_MANO : 0;
    flags |= e->include & WILOR_CLI_XR26 ? WILOR_CLI_RECORD_XR26 : 0;
    if ((e->include & WILOR_CLI_VERTICES) && !how->no_vertices && e->vertices > 0)
        flags |= how->half ? WILOR_CLI_RECORD_VERTICES_F16 : WILOR_CLI_RECORD_VERTICES;
    flags |= e->clock == WILOR_CLI_CLIENT ? WILOR_CLI_RECORD_CLIENT_CLOCK : 0;
    flags |= e->clock == WILOR_CLI_MEDIA ? WILOR_CLI_RECORD_MEDIA_CLOCK : 0;
    flags |= e->extrinsics ? WILOR_CLI_RECORD_MOVED : 0;
    return flags;
}

/* What a record will be: at most so many hands as the format's numbers can say. */
typedef struct plan {
    uint32_t flags, vertices, hands;
    size_t size;
} plan;

static plan plan_of(const wilor_cli_live_event *e, const wilor_cli_record_how *how) {
    plan p = {.flags = flags_of(e, how), .hands = (uint32_t)(e->n > 0 ? e->n : 0)};
    if (p.flags & (WILOR_CLI_RECORD_VERTICES | WILOR_CLI_RECORD_VERTICES_F16))
        p.vertices = (uint32_t)e->vertices;
    uint64_t hand = WILOR_CLI_RECORD_HAND + wilor_cli_record_arrays(p.flags, p.vertices);
    uint64_t most = (WILOR_CLI_RECORD_MOST - WILOR_CLI_RECORD_HEADER) / hand;
    if (how->most_hands > 0 && most > (uint64_t)how->most_hands)
        most = (uint64_t)how->most_hands;
    if (most > WILOR_CLI_RECORD_MOST_HANDS)
        most = WILOR_CLI_RECORD_MOST_HANDS;
    p.hands = p.hands < most ? p.hands : (uint32_t)most;
    p.size = (size_t)(WILOR_CLI_RECORD_HEADER + p.hands * hand);
    return p;
}

static const wilor_cli_record_how g_plain;

size_t wilor_cli_record_size(const wilor_cli_live_event *e, const wilor_cli_record_how *how) {
    return plan_of(e, how ? how : &g_plain).size;
}

/* ---------------------------------------------------------------- writing */

/* "cam3": 3; 0 without digits at its end. */
static uint32_t stream_number(const char *name) {
    size_t n = name ? strlen(name) : 0;
    uint32_t value = 0;
    while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    for (const char *s = name ? name + n : ""; *s; s++)
        value = value * 10 + (uint32_t)(*s - '0');
    return value;
}

static unsigned dtype_number(const char *name) {
    for (int d = WILOR_DTYPE_F32; name && d <= WILOR_DTYPE_FP8; d++)
        if (!strcmp(name, wilor_dtype_name((wilor_dtype)d)))
            return (unsigned)d;
    return 255;
}

static unsigned device_number(const char *name) {
    static const char *const names[] = {"cpu", "cuda", "mlx"};
    for (unsigned i = 0; name && i < 3; i++)
        if (!strncmp(name, names[i], strlen(names[i])))
            return i;
    return 255;
}

static uint8_t *put_header(uint8_t *at, const wilor_cli_live_event *e, const plan *p,
                           unsigned dropped) {
    at = put32(at, WILOR_CLI_RECORD_MAGIC);
    at = put16(at, WILOR_CLI_RECORD_VERSION);
    at = put16(at, WILOR_CLI_RECORD_HEADER);
    at = put32(at, (uint32_t)p->size);
    at = put32(at, p->flags);
    at = put64(at, e->seq);
    at = put64(at, e->frame);
    at = put64(at, (uint64_t)e->t_capture);
    at = put64(at, (uint64_t)e->t_ready);
    at = put32(at, (uint32_t)e->width);
    at = put32(at, (uint32_t)e->height);
    at = put_float(at, (float)e->fx);
    at = put_float(at, (float)e->fy);
    at = put_float(at, (float)e->cx);
    at = put_float(at, (float)e->cy);
    at = put32(at, stream_number(e->stream));
    at = put32(at, dropped);
    at = put16(at, p->hands);
    at = put16(at, WILOR_CLI_RECORD_HAND);
    at = put32(at, p->vertices);
    *at++ = (uint8_t)dtype_number(e->model ? e->model->dtype : NULL);
    *at++ = (uint8_t)device_number(e->model ? e->model->device : NULL);
    memset(at, 0, 6);
    return at + 6;
}

static uint8_t *put_fixed(uint8_t *at, const wilor_cli_live_hand *h) {
    int64_t age = h->age_ns > 0 ? h->age_ns / 1000 : 0;
    at = put32(at, h->id);
    *at++ = h->side == WILOR_RIGHT;
    *at++ = (uint8_t)h->state;
    at = put16(at, 0);
    at = put_float(at, h->conf);
    at = put_float(at, h->gesture.pinch_strength);
    at = put_float(at, h->gesture.grab_strength);
    at = put_float(at, h->gesture.pinch_distance);
    at = put_floats(at, h->box, 4);
    at = put_floats(at, h->crop, 3);
    at = put_floats(at, h->pred_cam, 3);
    at = put_floats(at, h->cam_t, 3);
    at = put_floats(at, h->wrist_q, 4);
    return put32(at, age < UINT32_MAX ? (uint32_t)age : UINT32_MAX);
}

/* What a hand lacks of an array that the others have. */
static uint8_t *put_nothing(uint8_t *at, float value, size_t count) {
    for (size_t i = 0; i < count; i++)
        at = put_float(at, value);
    return at;
}

static uint8_t *put_joints(uint8_t *at, const wilor_xr_joint *joints) {
    if (!joints[0].flags)
        return put_nothing(at, NAN, WILOR_CLI_RECORD_SIZE_XR26 / 4);
    for (int i = 0; i < WILOR_CLI_XR_JOINTS; i++) {
        at = put_floats(at, joints[i].position, 3);
        at = put_floats(at, joints[i].orientation, 4);
        at = put_float(at, joints[i].radius);
    }
    return at;
}

static uint8_t *put_vertices(uint8_t *at, const float *values, size_t count, bool half) {
    if (!half)
        return values ? put_floats(at, values, count) : put_nothing(at, NAN, count);
    for (size_t i = 0; i < count; i++)
        at = put16(at, half_of(values ? values[i] : NAN));
    return at;
}

static uint8_t *put_arrays(uint8_t *at, const wilor_cli_live_hand *h, const plan *p) {
    if (p->flags & WILOR_CLI_RECORD_KP2D)
        at = put_floats(at, h->keypoints_2d[0], WILOR_CLI_RECORD_SIZE_KP2D / 4);
    if (p->flags & WILOR_CLI_RECORD_KP2D_DET)
        at = h->has_detected_keypoints
                 ? put_floats(at, h->detected_keypoints[0], WILOR_CLI_RECORD_SIZE_KP2D_DET / 4)
                 : put_nothing(at, 0, WILOR_CLI_RECORD_SIZE_KP2D_DET / 4);
    if (p->flags & WILOR_CLI_RECORD_KP3D)
        at = put_floats(at, h->keypoints_3d[0], WILOR_CLI_RECORD_SIZE_KP3D / 4);
    if (p->flags & WILOR_CLI_RECORD_MANO) {
        at = put_floats(at, h->global_orient, 3);
        at = put_floats(at, h->hand_pose, 45);
        at = put_floats(at, h->betas, 10);
    }
    if (p->flags & WILOR_CLI_RECORD_XR26)
        at = put_joints(at, h->xr26);
    if (p->vertices)
        at = put_vertices(at, h->vertices_3d, (size_t)p->vertices * 3,
                          p->flags & WILOR_CLI_RECORD_VERTICES_F16);
    return at;
}

size_t wilor_cli_record_write(void *to, size_t room, const wilor_cli_live_event *e,
                              const wilor_cli_record_how *how) {
    plan p = plan_of(e, how ? how : &g_plain);
    if (p.size > room)
        return 0;
    uint8_t *at = put_header(to, e, &p, how && how->dropped ? *how->dropped : e->dropped);
    for (uint32_t i = 0; i < p.hands; i++)
        at = put_arrays(put_fixed(at, &e->hands[i]), &e->hands[i], &p);
    return p.size;
}
