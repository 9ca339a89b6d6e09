/* Writing and reading binary records. Bytes are put together one by one, so that neither alignment nor the
 * machine's order matters; compilers make single stores of that. */
#include "live_record.h"

#include "cli_text.h"
#include "predict_options.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    KP2D = 21 * 2 * 4,
    KP2D_DET = 21 * 3 * 4,
    KP3D = 21 * 3 * 4,
    MANO = (3 + 45 + 10) * 4,
    XR26 = WILOR_CLI_XR_JOINTS * 8 * 4
};

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

static unsigned get16(const uint8_t *at) { return (unsigned)at[0] | (unsigned)at[1] << 8; }

static uint32_t get32(const uint8_t *at) { return get16(at) | (uint32_t)get16(at + 2) << 16; }

static uint64_t get64(const uint8_t *at) { return get32(at) | (uint64_t)get32(at + 4) << 32; }

float wilor_cli_record_float(const uint8_t *array, size_t i) {
    uint32_t bits = get32(array + 4 * i);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void get_floats(const uint8_t *at, float *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = wilor_cli_record_float(at, i);
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

static float of_half(unsigned half) {
    unsigned exponent = half >> 10 & 31, fraction = half & 0x3FF;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? ldexpf((float)(fraction + 1024), (int)exponent - 25)
                                : ldexpf((float)fraction, -24);
    return half & 0x8000 ? -size : size;
}

/* ---------------------------------------------------------------- sizes */

static uint64_t arrays_size(uint32_t flags, uint32_t vertices) {
    uint64_t size = 0;
    size += flags & WILOR_CLI_RECORD_KP2D ? KP2D : 0;
    size += flags & WILOR_CLI_RECORD_KP2D_DET ? KP2D_DET : 0;
    size += flags & WILOR_CLI_RECORD_KP3D ? KP3D : 0;
    size += flags & WILOR_CLI_RECORD_MANO ? MANO : 0;
    size += flags & WILOR_CLI_RECORD_XR26 ? XR26 : 0;
    size += flags & WILOR_CLI_RECORD_VERTICES ? (uint64_t)vertices * 12 : 0;
    size += flags & WILOR_CLI_RECORD_VERTICES_F16 ? (uint64_t)vertices * 6 : 0;
    return size;
}

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
    uint64_t hand = WILOR_CLI_RECORD_HAND + arrays_size(p.flags, p.vertices);
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
        return put_nothing(at, NAN, XR26 / 4);
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
        at = put_floats(at, h->keypoints_2d[0], KP2D / 4);
    if (p->flags & WILOR_CLI_RECORD_KP2D_DET)
        at = h->has_detected_keypoints ? put_floats(at, h->detected_keypoints[0], KP2D_DET / 4)
                                       : put_nothing(at, 0, KP2D_DET / 4);
    if (p->flags & WILOR_CLI_RECORD_KP3D)
        at = put_floats(at, h->keypoints_3d[0], KP3D / 4);
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

/* ---------------------------------------------------------------- reading */

static wilor_status wrong(wilor_error *err, const char *what, uint64_t value,
                          const char *wanted) {
    return wilor_cli_fail(err, WILOR_ERR_FORMAT, "record: %s is %llu, %s", what,
                          (unsigned long long)value, wanted);
}

/* Magic, version and the sizes that the header itself has. */
static wilor_status check_header(const uint8_t *at, size_t size, wilor_error *err) {
    if (size < WILOR_CLI_RECORD_HEADER)
        return wrong(err, "its length", size, "a header has 96 bytes");
    if (get32(at) != WILOR_CLI_RECORD_MAGIC)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT,
                              "record: it begins with 0x%08lX, not with 0x31454C57 (WLE1)",
                              (unsigned long)get32(at));
    if (get16(at + 4) != WILOR_CLI_RECORD_VERSION)
        return wrong(err, "the version", get16(at + 4), "1 is known");
    if (get16(at + 6) < WILOR_CLI_RECORD_HEADER)
        return wrong(err, "the header's size", get16(at + 6), "at least 96");
    if (get32(at + 8) > WILOR_CLI_RECORD_MOST)
        return wrong(err, "the size", get32(at + 8), "at most 1073741824");
    if (get32(at + 8) > size)
        return wrong(err, "the size", get32(at + 8), "more bytes than there are");
    return WILOR_OK;
}

/* Whether the parts make up the whole. */
static wilor_status check_sizes(const wilor_cli_record *r, size_t header, wilor_error *err) {
    const uint32_t both = WILOR_CLI_RECORD_VERTICES | WILOR_CLI_RECORD_VERTICES_F16;
    const uint32_t clocks = WILOR_CLI_RECORD_CLIENT_CLOCK | WILOR_CLI_RECORD_MEDIA_CLOCK;
    if ((r->flags & both) == both)
        return wrong(err, "its word of flags", r->flags, "with vertices of two types");
    if ((r->flags & clocks) == clocks)
        return wrong(err, "its word of flags", r->flags, "with two clocks");
    if (r->fixed < WILOR_CLI_RECORD_HAND)
        return wrong(err, "the fixed size of a hand", r->fixed, "at least 96");
    if ((r->flags & both) && (r->vertices < 1 || r->vertices > WILOR_CLI_RECORD_MOST_VERTICES))
        return wrong(err, "the number of vertices", (uint32_t)r->vertices, "not 1 to 65536");
    if (header + (uint64_t)r->hands * r->stride != r->size)
        return wrong(err, "the size", r->size, "not what header, hands and flags add up to");
    return WILOR_OK;
}

static wilor_status check_hand(const uint8_t *at, int i, wilor_error *err) {
    char what[48];
    const char *wanted = NULL;
    uint64_t value = 0;
    if (get32(at) == 0)
        snprintf(what, sizeof what, "the id of hand %d", i), wanted = "no id";
    else if ((value = at[4]) > 1)
        snprintf(what, sizeof what, "the side of hand %d", i), wanted = "not 0 or 1";
    else if ((value = at[5]) > 2)
        snprintf(what, sizeof what, "the state of hand %d", i), wanted = "not 0, 1 or 2";
    return wanted ? wrong(err, what, value, wanted) : WILOR_OK;
}

static void get_header(wilor_cli_record *r, const uint8_t *at) {
    float camera[4];
    get_floats(at + 56, camera, 4);
    *r = (wilor_cli_record){.size = get32(at + 8),
                            .flags = get32(at + 12),
                            .seq = get64(at + 16),
                            .frame = get64(at + 24),
                            .t_capture = (int64_t)get64(at + 32),
                            .t_ready = (int64_t)get64(at + 40),
                            .width = get32(at + 48),
                            .height = get32(at + 52),
                            .fx = camera[0],
                            .fy = camera[1],
                            .cx = camera[2],
                            .cy = camera[3],
                            .stream = get32(at + 72),
                            .dropped = get32(at + 76),
                            .hands = (int)get16(at + 80),
                            .fixed = get16(at + 82),
                            .dtype = at[88],
                            .device = at[89],
                            .first = at + get16(at + 6)};
    bool mesh = r->flags & (WILOR_CLI_RECORD_VERTICES | WILOR_CLI_RECORD_VERTICES_F16);
    uint32_t vertices = mesh ? get32(at + 84) : 0;
    r->vertices = vertices <= WILOR_CLI_RECORD_MOST_VERTICES ? (int)vertices : -1;
    r->stride = r->fixed + (size_t)arrays_size(r->flags, r->vertices < 0 ? 0 : vertices);
}

wilor_status wilor_cli_record_read(wilor_cli_record *out, const void *data, size_t size,
                                   wilor_error *err) {
    const uint8_t *at = data;
    *out = (wilor_cli_record){0};
    wilor_status st = check_header(at, size, err);
    if (st != WILOR_OK)
        return st;
    wilor_cli_record r;
    get_header(&r, at);
    st = check_sizes(&r, get16(at + 6), err);
    for (int i = 0; st == WILOR_OK && i < r.hands; i++)
        st = check_hand(r.first + (size_t)i * r.stride, i, err);
    if (st == WILOR_OK)
        *out = r;
    return st;
}

/* The next array, or NULL; *at goes behind it. */
static const uint8_t *take(const uint8_t **at, bool here, size_t size) {
    const uint8_t *array = here ? *at : NULL;
    *at += here ? size : 0;
    return array;
}

void wilor_cli_record_get_hand(const wilor_cli_record *r, int i, wilor_cli_record_hand *out) {
    const uint8_t *at = r->first + (size_t)i * r->stride;
    float fixed[21];
    get_floats(at + 8, fixed, 21);
    *out = (wilor_cli_record_hand){.id = get32(at),
                                   .side = at[4] ? WILOR_RIGHT : WILOR_LEFT,
                                   .state = (wilor_cli_hand_state)at[5],
                                   .conf = fixed[0],
                                   .pinch_strength = fixed[1],
                                   .grab_strength = fixed[2],
                                   .pinch_distance = fixed[3],
                                   .age_us = get32(at + 92)};
    memcpy(out->box, fixed + 4, sizeof out->box);
    memcpy(out->crop, fixed + 8, sizeof out->crop);
    memcpy(out->pred_cam, fixed + 11, sizeof out->pred_cam);
    memcpy(out->cam_t, fixed + 14, sizeof out->cam_t);
    memcpy(out->wrist_q, fixed + 17, sizeof out->wrist_q);
    at += r->fixed;
    out->kp2d = take(&at, r->flags & WILOR_CLI_RECORD_KP2D, KP2D);
    out->kp2d_det = take(&at, r->flags & WILOR_CLI_RECORD_KP2D_DET, KP2D_DET);
    out->kp3d = take(&at, r->flags & WILOR_CLI_RECORD_KP3D, KP3D);
    out->mano = take(&at, r->flags & WILOR_CLI_RECORD_MANO, MANO);
    out->xr26 = take(&at, r->flags & WILOR_CLI_RECORD_XR26, XR26);
    out->vertices =
        take(&at, r->flags & (WILOR_CLI_RECORD_VERTICES | WILOR_CLI_RECORD_VERTICES_F16), 0);
}

float wilor_cli_record_vertex(const wilor_cli_record *r, const wilor_cli_record_hand *hand,
                              size_t i) {
    return r->flags & WILOR_CLI_RECORD_VERTICES_F16 ? of_half(get16(hand->vertices + 2 * i))
                                                    : wilor_cli_record_float(hand->vertices, i);
}
