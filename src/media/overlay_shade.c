/* A soft, slightly glossy material under three lights, fixed to the camera: a warm key from the
 * upper left, a cool fill from the right, a rim from behind that sets hands off from what is
 * behind them, and a sky that occlusion takes away. All in linear light; wrapped diffuse (it
 * bleeds past the terminator as skin does), Blinn and Phong's highlight, Schlick's edge. Right
 * hands are blue, left ones orange: no photo of a hand has those, and people with weak colour
 * vision tell them apart. */
#include "overlay_shade.h"

#include <math.h>

typedef struct vec {
    float x, y, z;
} vec;

static const vec KEY_DIR = {-0.5298f, -0.6888f, -0.4945f}; /* towards the light, length 1 */
static const vec FILL_DIR = {0.8165f, -0.0680f, -0.5733f};
static const vec RIM_DIR = {0.3015f, -0.6030f, 0.7385f};

static const vec KEY = {1.30f, 1.23f, 1.12f};
static const vec FILL = {0.20f, 0.25f, 0.33f};
static const vec RIM = {0.85f, 0.92f, 1.00f};
static const vec SKY = {0.30f, 0.33f, 0.38f};
static const vec GROUND = {0.13f, 0.11f, 0.11f};

static const vec ALBEDO[2] = {{0.90f, 0.34f, 0.13f}, {0.17f, 0.38f, 0.86f}};

/* left, right */ /* left, right */

static float dot(vec a, vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

static vec scaled(vec a, float s) { return (vec){a.x * s, a.y * s, a.z * s}; }

static vec sum(vec a, vec b) { return (vec){a.x + b.x, a.y + b.y, a.z + b.z}; }

static vec product(vec a, vec b) { return (vec){a.x * b.x, a.y * b.y, a.z * b.z}; }

static vec unit(vec a) {
    float n = dot(a, a);
    return n > 0 ? scaled(a, 1 / sqrtf(n)) : (vec){0, 0, -1};
}

static float above0(float v) { return v > 0 ? v : 0; }

static float wrapped(vec normal, vec light, float wrap) {
    return above0((dot(normal, light) + wrap) / (1 + wrap));
}

static float to_power_32(float v) {
    for (int i = 0; i < 5; i++)
        v *= v;
    return v;
}

static vec light_on(vec n, float open) {
    float up = 0.5f - 0.5f * n.y, bounce = 0.35f + 0.65f * open;
    vec sky = sum(scaled(SKY, up), scaled(GROUND, 1 - up));
    vec key = scaled(KEY, wrapped(n, KEY_DIR, 0.12f) * bounce);
    vec fill = scaled(FILL, wrapped(n, FILL_DIR, 0.30f) * bounce);
    return sum(sum(key, fill), scaled(sky, open * open));
}

static vec gloss_on(vec n, vec eye, float open) {
    float edge = above0(1 - above0(dot(n, eye)));
    float schlick = edge * edge * edge;
    float highlight = to_power_32(above0(dot(n, unit(sum(KEY_DIR, eye)))));
    float rim = schlick * wrapped(n, RIM_DIR, 0.5f);
    return sum(scaled(KEY, 0.26f * highlight * open), scaled(RIM, 0.75f * rim * open));
}

void wilor_shade_curve_init(wilor_shade_curve *curve) {
    for (int i = 0; i < WILOR_SHADE_STEPS; i++) {
        /* Steps are even in the square root of light, 0 … 2: finer in the dark, as eyes are. */
        float root = (float)i / (float)(WILOR_SHADE_STEPS - 1);
        float light = 2 * root * root;
        /* Straight below 0.6, then a shoulder that reaches 1 at 2. */
        float over = (light - 0.6f) / 1.4f;
        float shown =
            over > 0 ? 0.6f + 0.4f * (1 - (1 - over) * (1 - over) * (1 - over)) : light;
        float srgb =
            shown <= 0.0031308f ? 12.92f * shown : 1.055f * powf(shown, 1 / 2.4f) - 0.055f;
        curve->value[i] = (uint8_t)(255 * (srgb > 1 ? 1 : srgb) + 0.5f);
    }
}

static uint8_t shown(const wilor_shade_curve *curve, float light) {
    static const float TOP = WILOR_SHADE_STEPS - 1;
    float at = sqrtf(above0(light) * 0.5f) * TOP;
    return curve->value[at < TOP ? (int)(at + 0.5f) : WILOR_SHADE_STEPS - 1];
}

void wilor_shade(const wilor_shade_curve *curve, const wilor_shade_point *p, uint8_t *rgb) {
    vec n = unit((vec){p->normal[0], p->normal[1], p->normal[2]});
    vec eye = unit((vec){p->to_eye[0], p->to_eye[1], p->to_eye[2]});
    vec light;
    if (p->inside)
        light = product(scaled(ALBEDO[p->side & 1], 0.28f), light_on(scaled(n, -1), 0.5f));
    else
        light =
            sum(product(ALBEDO[p->side & 1], light_on(n, p->open)), gloss_on(n, eye, p->open));
    rgb[0] = shown(curve, light.x);
    rgb[1] = shown(curve, light.y);
    rgb[2] = shown(curve, light.z);
}
