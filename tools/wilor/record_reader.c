/* Reading binary records of untrusted bytes: every size is checked before anything behind it is looked at. */
#include "cli_text.h"
#include "live_record.h"
#include "record_sizes.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

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

static float of_half(unsigned half) {
    unsigned exponent = half >> 10 & 31, fraction = half & 0x3FF;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? ldexpf((float)(fraction + 1024), (int)exponent - 25)
                                : ldexpf((float)fraction, -24);
    return half & 0x8000 ? -size : size;
}

uint64_t wilor_cli_record_arrays(uint32_t flags, uint32_t vertices) {
    uint64_t size = 0;
    size += flags & WILOR_CLI_RECORD_KP2D ? WILOR_CLI_RECORD_SIZE_KP2D : 0;
    size += flags & WILOR_CLI_RECORD_KP2D_DET ? WILOR_CLI_RECORD_SIZE_KP2D_DET : 0;
    size += flags & WILOR_CLI_RECORD_KP3D ? WILOR_CLI_RECORD_SIZE_KP3D : 0;
    size += flags & WILOR_CLI_RECORD_MANO ? WILOR_CLI_RECORD_SIZE_MANO : 0;
    size += flags & WILOR_CLI_RECORD_XR26 ? WILOR_CLI_RECORD_SIZE_XR26 : 0;
    size += flags & WILOR_CLI_RECORD_VERTICES ? (uint64_t)vertices * 12 : 0;
    size += flags & WILOR_CLI_RECORD_VERTICES_F16 ? (uint64_t)vertices * 6 : 0;
    return size;
}

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
    r->stride =
        r->fixed + (size_t)wilor_cli_record_arrays(r->flags, r->vertices < 0 ? 0 : vertices);
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
    out->kp2d = take(&at, r->flags & WILOR_CLI_RECORD_KP2D, WILOR_CLI_RECORD_SIZE_KP2D);
    out->kp2d_det =
        take(&at, r->flags & WILOR_CLI_RECORD_KP2D_DET, WILOR_CLI_RECORD_SIZE_KP2D_DET);
    out->kp3d = take(&at, r->flags & WILOR_CLI_RECORD_KP3D, WILOR_CLI_RECORD_SIZE_KP3D);
    out->mano = take(&at, r->flags & WILOR_CLI_RECORD_MANO, WILOR_CLI_RECORD_SIZE_MANO);
    out->xr26 = take(&at, r->flags & WILOR_CLI_RECORD_XR26, WILOR_CLI_RECORD_SIZE_XR26);
    out->vertices =
        take(&at, r->flags & (WILOR_CLI_RECORD_VERTICES | WILOR_CLI_RECORD_VERTICES_F16), 0);
}

float wilor_cli_record_vertex(const wilor_cli_record *r, const wilor_cli_record_hand *hand,
                              size_t i) {
    return r->flags & WILOR_CLI_RECORD_VERTICES_F16 ? of_half(get16(hand->vertices + 2 * i))
                                                    : wilor_cli_record_float(hand->vertices, i);
}
