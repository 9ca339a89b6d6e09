/* The renderer of the training pictures: triangles of posed hands, arms and things, lit, shadowed, over a picture.
 *
 * One source, two builds: `nvcc` makes the GPU's, a C++ compiler the plain one that tests and contact sheets use.
 * All arrays belong to the caller (torch tensors); every picture of a batch has the same triangles, so that a picture
 * is nothing but vertices, materials, lights and a camera.
 *
 * Steps of a batch: normals -> setup + raster from each light (depth only) -> setup + raster from the camera, shaded.
 * Axes: camera's, x right, y down, z away, metres. Colours: linear light, written as linear floats.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define DEV __device__ __forceinline__
#else
#define DEV static inline
struct float3 {
    float x, y, z;
};
static inline float3 make_float3(float x, float y, float z) { return float3{x, y, z}; }
#endif

enum { MATERIAL = 32, LIGHTING = 48, ATTRIBUTES = 8, LIGHTS = 2, SHADOW = 128, TILE = 16 };
enum { MIP_TEXELS = 320 * 320 + 160 * 160 + 80 * 80 + 40 * 40 };

/* One triangle on the screen: barycentric coordinates w0, w1 and depth order q are affine in (x, y). */
struct Setup {
    float a0, b0, c0, a1, b1, c1, aq, bq, cq;
};

struct Scene {
    int32_t pictures, width, height, vertices, triangles, slots;
    int32_t samples; /* a pixel's side in samples: 1 or 2 */
    int32_t backgrounds;
    const float *position;      /* pictures x vertices x 3 */
    float *normal;              /* pictures x vertices x 3, made by normals */
    const float *attribute;     /* vertices x ATTRIBUTES: rest position, finger coordinate, cos, sin, finger, - */
    const int32_t *triangle;    /* triangles x 3 */
    const uint8_t *slot;        /* of a triangle */
    const int32_t *around;      /* vertices + 1: first entry in around_triangle */
    const int32_t *around_triangle;
    const float *material;      /* pictures x slots x MATERIAL */
    const float *camera;        /* pictures x 3: focal length, principal point, pixels */
    const float *lighting;      /* pictures x LIGHTING */
    const float *light_frame;   /* pictures x LIGHTS x 12: rows of the map from a point to map x, y, depth */
    const uint8_t *background;  /* backgrounds x MIP_TEXELS x 3, sRGB, four sizes one after the other */
    Setup *setup;               /* pictures x triangles, scratch */
    int16_t *bounds;            /* pictures x triangles x 4: x0 y0 x1 y1, in pixels */
    float *shadow;              /* pictures x LIGHTS x SHADOW x SHADOW: depth order of what is nearest */
    float *colour;              /* out: pictures x height x width x 3, linear */
    uint8_t *seen;              /* out: pictures x height x width: slot + 1, 0 = background */
    float *depth;               /* out: pictures x height x width, metres; 1e9 = background */
};

/* ---------------------------------------------------------------- small arithmetic */
DEV float3 v3(float x, float y, float z) { return make_float3(x, y, z); }
DEV float3 add(float3 a, float3 b) { return v3(a.x + b.x, a.y + b.y, a.z + b.z); }
DEV float3 sub(float3 a, float3 b) { return v3(a.x - b.x, a.y - b.y, a.z - b.z); }
DEV float3 mul(float3 a, float s) { return v3(a.x * s, a.y * s, a.z * s); }
DEV float3 tint(float3 a, float3 b) { return v3(a.x * b.x, a.y * b.y, a.z * b.z); }
DEV float dot(float3 a, float3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
DEV float3 cross(float3 a, float3 b) { return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x); }
DEV float3 unit(float3 a) { return mul(a, 1.0f / sqrtf(fmaxf(dot(a, a), 1e-20f))); }
DEV float3 blend(float3 a, float3 b, float t) { return add(mul(a, 1 - t), mul(b, t)); }
DEV float clamp01(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
DEV float smooth(float a, float b, float x) {
    float t = clamp01((x - a) / (b - a));
    return t * t * (3 - 2 * t);
}
DEV float bump(float x, float width) { return expf(-(x / width) * (x / width)); }
DEV float3 at3(const float *p) { return v3(p[0], p[1], p[2]); }

DEV uint32_t hash3(int x, int y, int z, uint32_t seed) {
    uint32_t h = seed ^ ((uint32_t)x * 0x8da6b343u) ^ ((uint32_t)y * 0xd8163841u) ^ ((uint32_t)z * 0xcb1ab31fu);
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ (h >> 16);
}
DEV float cell(int x, int y, int z, uint32_t seed) { return (float)(hash3(x, y, z, seed) >> 8) * (1.0f / 16777216.0f); }
/* Value noise, 0..1. */
DEV float noise(float3 p, uint32_t seed) {
    float fx = floorf(p.x), fy = floorf(p.y), fz = floorf(p.z);
    int x = (int)fx, y = (int)fy, z = (int)fz;
    float u = p.x - fx, v = p.y - fy, w = p.z - fz;
    u = u * u * (3 - 2 * u), v = v * v * (3 - 2 * v), w = w * w * (3 - 2 * w);
    float r[2];
    for (int k = 0; k < 2; k++) {
        float a = cell(x, y, z + k, seed), b = cell(x + 1, y, z + k, seed);
        float c = cell(x, y + 1, z + k, seed), d = cell(x + 1, y + 1, z + k, seed);
        a += (b - a) * u, c += (d - c) * u;
        r[k] = a + (c - a) * v;
    }
    return r[0] + (r[1] - r[0]) * w;
}
DEV float fractal(float3 p, uint32_t seed) {
    return 0.57f * noise(p, seed) + 0.29f * noise(mul(p, 2.03f), seed + 1) + 0.14f * noise(mul(p, 4.1f), seed + 2);
}
/* A background's colour at (u, v) in 0..1, mirrored outside, of one of four sizes. */
DEV float3 texel(const Scene *s, int picture, int level, float u, float v) {
    int side = 320 >> level, off = 0;
    for (int k = 0; k < level; k++)
        off += (320 >> k) * (320 >> k);
    const uint8_t *t = s->background + ((size_t)picture * MIP_TEXELS + off) * 3;
    u = fabsf(u - 2 * floorf(u * 0.5f + 0.5f)), v = fabsf(v - 2 * floorf(v * 0.5f + 0.5f));
    float x = fminf(fmaxf(u * side - 0.5f, 0.0f), side - 1.001f), y = fminf(fmaxf(v * side - 0.5f, 0.0f), side - 1.001f);
    int ix = (int)x, iy = (int)y;
    float a = x - ix, b = y - iy, out[3];
    const uint8_t *p = t + ((size_t)iy * side + ix) * 3;
    for (int c = 0; c < 3; c++) {
        float r0 = p[c] + a * ((float)p[c + 3] - p[c]), r1 = p[c + 3 * side] + a * ((float)p[c + 3 * side + 3] - p[c + 3 * side]);
        float r = (r0 + b * (r1 - r0)) * (1.0f / 255.0f);
        out[c] = r * (0.3f * r * r + 0.68f * r + 0.02f);
    }
    return v3(out[0], out[1], out[2]);
}

/* ---------------------------------------------------------------- geometry */
DEV void normal_of(const Scene *s, int b, int v) {
    const float *p = s->position + (size_t)b * s->vertices * 3;
    float3 n = v3(0, 0, 0);
    for (int k = s->around[v]; k < s->around[v + 1]; k++) {
        const int32_t *t = s->triangle + 3 * s->around_triangle[k];
        float3 a = at3(p + 3 * t[0]);
        n = add(n, cross(sub(at3(p + 3 * t[1]), a), sub(at3(p + 3 * t[2]), a)));
    }
    n = unit(n);
    float *o = s->normal + ((size_t)b * s->vertices + v) * 3;
    o[0] = n.x, o[1] = n.y, o[2] = n.z;
}

/* light < 0: the camera's picture; else that light's map. An empty box leaves a triangle out. */
DEV void setup_of(const Scene *s, int b, int t, int light) {
    const float *p = s->position + (size_t)b * s->vertices * 3;
    const int32_t *tri = s->triangle + 3 * t;
    int16_t *box = s->bounds + ((size_t)b * s->triangles + t) * 4;
    Setup *out = s->setup + (size_t)b * s->triangles + t;
    box[0] = box[1] = 32000, box[2] = box[3] = -1;
    if (s->material[((size_t)b * s->slots + s->slot[t]) * MATERIAL] <= 0)
        return;
    float x[3], y[3], q[3];
    int width = light < 0 ? s->width : SHADOW, height = light < 0 ? s->height : SHADOW;
    for (int k = 0; k < 3; k++) {
        float3 v = at3(p + 3 * tri[k]);
        if (light < 0) {
            const float *c = s->camera + b * 3;
            if (v.z < 0.03f)
                return;
            q[k] = 1.0f / v.z;
            x[k] = c[0] * v.x * q[k] + c[1], y[k] = c[0] * v.y * q[k] + c[2];
        } else {
            const float *f = s->light_frame + ((size_t)b * LIGHTS + light) * 12;
            x[k] = dot(at3(f), v) + f[3], y[k] = dot(at3(f + 4), v) + f[7], q[k] = -(dot(at3(f + 8), v) + f[11]);
        }
    }
    float area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
    if (!(fabsf(area) > 1e-9f))
        return;
    float r = 1.0f / area;
    /* w0 belongs to corner 0: zero on the edge 1-2, one at corner 0 */
    out->a0 = (y[1] - y[2]) * r, out->b0 = (x[2] - x[1]) * r, out->c0 = (x[1] * y[2] - x[2] * y[1]) * r;
    out->a1 = (y[2] - y[0]) * r, out->b1 = (x[0] - x[2]) * r, out->c1 = (x[2] * y[0] - x[0] * y[2]) * r;
    out->aq = (q[0] - q[2]) * out->a0 + (q[1] - q[2]) * out->a1;
    out->bq = (q[0] - q[2]) * out->b0 + (q[1] - q[2]) * out->b1;
    out->cq = (q[0] - q[2]) * out->c0 + (q[1] - q[2]) * out->c1 + q[2];
    float x0 = floorf(fminf(x[0], fminf(x[1], x[2]))), x1 = ceilf(fmaxf(x[0], fmaxf(x[1], x[2])));
    float y0 = floorf(fminf(y[0], fminf(y[1], y[2]))), y1 = ceilf(fmaxf(y[0], fmaxf(y[1], y[2])));
    if (!(x1 >= 0 && y1 >= 0 && x0 <= width && y0 <= height))
        return;
    box[0] = (int16_t)fmaxf(x0, 0), box[1] = (int16_t)fmaxf(y0, 0);
    box[2] = (int16_t)fminf(x1, width), box[3] = (int16_t)fminf(y1, height);
}

/* What is nearest at one sample so far. */
struct Nearest {
    float q;
    int triangle;
};
DEV void consider(const Setup *t, int triangle, float x, float y, Nearest *n) {
    float w0 = t->a0 * x + t->b0 * y + t->c0, w1 = t->a1 * x + t->b1 * y + t->c1;
    float q = t->aq * x + t->bq * y + t->cq;
    if (w0 >= -1e-6f && w1 >= -1e-6f && w0 + w1 <= 1.000002f && q > n->q)
        n->q = q, n->triangle = triangle;
}

/* ---------------------------------------------------------------- light */
/* How much of a light reaches a point: 0..1, the mean of four looks at its map. */
DEV float lit(const Scene *s, int b, int light, float3 p, float bias) {
    const float *f = s->light_frame + ((size_t)b * LIGHTS + light) * 12;
    const float *map = s->shadow + ((size_t)b * LIGHTS + light) * SHADOW * SHADOW;
    float x = dot(at3(f), p) + f[3], y = dot(at3(f + 4), p) + f[7], q = -(dot(at3(f + 8), p) + f[11]);
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        int ix = (int)floorf(x + (k & 1) * 1.2f - 0.6f), iy = (int)floorf(y + (k >> 1) * 1.2f - 0.6f);
        if (ix < 0 || iy < 0 || ix >= SHADOW || iy >= SHADOW || map[iy * SHADOW + ix] <= q + bias)
            sum += 0.25f;
    }
    return sum;
}

/* A surface at one point: what a material makes of it. */
struct Surface {
    float3 albedo, normal;
    float shine, sharpness, wrap;
};

DEV float pattern(int kind, float3 p, float scale, uint32_t seed) {
    float3 q = mul(p, scale);
    switch (kind) {
    case 1: return smooth(0.35f, 0.65f, 0.5f + 0.5f * sinf(6.2832f * q.x));                       /* stripes along x */
    case 2: return ((((int)floorf(q.x) + (int)floorf(q.y) + (int)floorf(q.z)) & 1) ? 1.0f : 0.0f); /* checks */
    case 3: return smooth(0.4f, 0.6f, fractal(mul(q, 0.7f), seed));                                /* blots */
    case 4: return 0.5f + 0.5f * sinf(6.2832f * (q.x + 2.5f * fractal(mul(q, 0.35f), seed)));      /* wood */
    case 5: {                                                                                      /* dots */
        float u = q.x - floorf(q.x) - 0.5f, v = q.z - floorf(q.z) - 0.5f;
        return smooth(0.3f, 0.25f, sqrtf(u * u + v * v));
    }
    case 6: return smooth(0.4f, 0.6f, 0.5f + 0.5f * sinf(6.2832f * q.y)); /* stripes across */
    default: return 0;
    }
}

/* Finger coordinate t: 0 knuckle, 1 and 2 the next joints, 3 the tip, below 0 the palm. c: 1 = back, -1 = palm side. */
DEV void skin(const float *m, float3 rest, float t, float c, int finger, Surface *o) {
    uint32_t seed = (uint32_t)m[16];
    float3 a = at3(m + 2);
    float palm = smooth(0.25f, -0.55f, c) * (finger >= 0 ? 1.0f : smooth(-1.05f, -0.6f, t));
    a = blend(a, at3(m + 5), palm * m[25]);
    float mottle = fractal(mul(rest, m[11]), seed) - 0.5f, red = fractal(mul(rest, 45.0f), seed + 7) - 0.5f;
    a = mul(a, 1 + 2 * m[10] * mottle);
    a.x *= 1 + m[26] * red, a.z *= 1 - 0.6f * m[26] * red, a.y *= 1 - 0.4f * m[26] * red;
    float fine = noise(mul(rest, 420.0f), seed + 3) - 0.5f;
    a = mul(a, 1 + 0.25f * m[14] * fine);
    float ridge = fabsf(fractal(mul(v3(rest.x * 1.6f, rest.y, rest.z), 90.0f), seed + 5) - 0.5f);
    a = mul(a, 1 - 0.22f * m[23] * bump(ridge, 0.016f));
    float shine = m[12], sharp = m[13];
    if (finger >= 0) {
        float f0 = 0, lines = 0;
        for (int k = 0; k < 3; k++) {
            float d = t - k;
            f0 += bump(d, 0.2f) * fmaxf(c, 0.0f);
            lines += (bump(d - 0.03f, 0.03f) + 0.7f * bump(d + 0.06f, 0.028f)) * smooth(0.3f, -0.4f, c);
        }
        lines += 0.8f * f0 * bump(sinf(t * 34.0f + 3 * fine), 0.35f) * 0.5f;
        float3 knuckle = v3(0.9f, 0.66f, 0.62f);
        a = tint(a, blend(v3(1, 1, 1), knuckle, clamp01(f0 * m[27])));
        a = mul(a, 1 - 0.55f * clamp01(lines) * m[23]);
        float tip = smooth(2.2f, 2.9f, t) * palm;
        a = tint(a, blend(v3(1, 1, 1), v3(1.05f, 0.86f, 0.84f), tip * 0.8f));
        float nail = smooth(2.36f, 2.44f, t) * smooth(3.1f, 2.98f, t) * smooth(0.58f, 0.68f, c);
        float rim = nail * (1 - smooth(2.42f, 2.5f, t) * smooth(0.66f, 0.78f, c));
        float3 plate = at3(m + 17);
        if (t > 2.86f)
            plate = blend(plate, v3(0.75f, 0.68f, 0.6f), 0.5f * m[28]);
        a = blend(a, plate, nail * 0.85f);
        a = mul(a, 1 - 0.35f * rim);
        shine += nail * 0.35f, sharp = sharp + nail * 30;
        int rings = (int)m[20];
        if (rings >> finger & 1) {
            float band = bump(t - 0.42f, 0.06f);
            if (band > 0.4f)
                a = (rings >> 5 & 1) ? v3(0.72f, 0.5f, 0.18f) : v3(0.6f, 0.6f, 0.62f), shine = 1.2f, sharp = 40;
        }
    }
    o->albedo = a, o->shine = shine, o->sharpness = sharp;
}

/* How far skin stands out, metres: tendons and knuckles of a hand's back (m[24], 1: an old, thin hand's), veins (m[30]), folds (m[31]). */
DEV float relief(const float *m, float3 rest, const float *at, int finger) {
    /* x and z of the knuckles in the CC0 hand's rest position, and of the thumb's next joint; tendons come from the wrist */
    const float to_x[5] = {-0.0087f, -0.0080f, -0.0021f, 0.0076f, 0.0398f}, to_z[5] = {0.0325f, 0.0061f, -0.0136f, -0.0323f, 0.0526f};
    const float from_x = 0.088f, from_z = 0.004f;
    float t = at[0], c = at[1], back = smooth(-0.1f, 0.5f, c), h = 0;
    if (m[24] > 0 && back > 0 && t > -1.25f) {
        float cords = 0, heads = 0;
        for (int k = 0; k < 5; k++) {
            float dx = to_x[k] - from_x, dz = to_z[k] - from_z, x = rest.x - from_x, z = rest.z - from_z;
            float along = (x * dx + z * dz) / (dx * dx + dz * dz), off = (x * dz - z * dx) / sqrtf(dx * dx + dz * dz);
            cords += bump(off, 0.0026f) * smooth(0.05f, 0.35f, along) * smooth(1.02f, 0.8f, along);
            float px = rest.x - to_x[k], pz = rest.z - to_z[k];
            heads += k < 4 ? bump(sqrtf(px * px + pz * pz), 0.0075f) : 0.0f;
        }
        h += m[24] * back * (0.0011f * cords + 0.0022f * heads);
    }
    if (m[30] > 0) {
        uint32_t seed = (uint32_t)m[16] + 21;
        float3 q = v3(rest.x * 22.0f, rest.y * 30.0f, rest.z * 34.0f);
        float line = noise(q, seed) + 0.35f * noise(mul(q, 2.1f), seed + 1) - 0.675f;
        h += m[30] * 0.0011f * bump(line, 0.055f) * smooth(-0.4f, 0.3f, c) * (finger >= 0 ? smooth(1.0f, 0.2f, t) : 1.0f);
    }
    if (m[31] > 0 && finger >= 0) {
        float swell = 0, lines = 0;
        for (int k = 1; k < 3; k++) {
            float d = t - k;
            swell += bump(d, 0.17f) * fmaxf(c, 0.0f);
            lines += bump(d - 0.03f, 0.04f) * smooth(0.3f, -0.4f, c);
        }
        h += m[31] * (0.0009f * swell - 0.0006f * swell * bump(sinf(t * 34.0f), 0.35f) - 0.0007f * lines);
    }
    return h;
}

/* The normal n of a triangle's point as its relief turns it. a: its corners' attributes, at: the point's; p: the corners. */
DEV float3 raised(const float *m, float3 n, const float *const a[3], float3 rest, const float *at, const float3 p[3]) {
    int finger = (int)floorf(at[3] + 0.5f);
    float3 e1 = sub(p[1], p[0]), e2 = sub(p[2], p[0]), across = cross(e1, e2);
    float area = dot(across, across), here = relief(m, rest, at, finger), slope[2];
    for (int k = 0; k < 2; k++) {
        /* a step of 0.4 mm along an edge, in the attributes */
        float3 e = sub(at3(a[k + 1]), at3(a[0]));
        float step = 0.0004f / sqrtf(fmaxf(dot(e, e), 1e-8f));
        float moved[4] = {at[0] + step * (a[k + 1][3] - a[0][3]), at[1] + step * (a[k + 1][4] - a[0][4]), at[2], at[3]};
        slope[k] = (relief(m, add(rest, mul(e, step)), moved, finger) - here) / step;
    }
    if (!(area > 1e-20f))
        return n;
    float3 rise = add(mul(cross(e2, across), slope[0] / area), mul(cross(across, e1), slope[1] / area));
    return unit(sub(n, rise));
}

DEV void surface_of(const Scene *s, const float *m, float3 rest, const float *at, float3 n, Surface *o) {
    uint32_t seed = (uint32_t)m[16];
    int kind = (int)m[1];
    o->wrap = m[22];
    if (kind == 0) {
        skin(m, rest, at[0], at[1], (int)floorf(at[3] + 0.5f), o);
    } else {
        float k = pattern((int)m[8], rest, m[9], seed);
        o->albedo = blend(at3(m + 2), at3(m + 5), k);
        if (m[21] >= 0)
            o->albedo = tint(texel(s, (int)m[21], 0, rest.x * m[29] + 0.37f, (rest.y + rest.z) * m[29] + 0.41f), mul(at3(m + 2), 1.6f));
        float mottle = fractal(mul(rest, m[11]), seed) - 0.5f;
        o->albedo = mul(o->albedo, 1 + 2 * m[10] * mottle);
        o->shine = m[12], o->sharpness = m[13];
    }
    if (m[14] > 0) {
        float3 q = mul(rest, m[15]);
        float3 d = v3(noise(q, seed + 11) - 0.5f, noise(q, seed + 12) - 0.5f, noise(q, seed + 13) - 0.5f);
        n = unit(add(n, mul(d, m[14])));
    }
    o->normal = n;
    o->albedo = v3(clamp01(o->albedo.x), clamp01(o->albedo.y), clamp01(o->albedo.z));
}

DEV float3 light_on(const Scene *s, int b, const Surface *f, float3 p, float3 n) {
    const float *l = s->lighting + (size_t)b * LIGHTING;
    float up = 0.5f + 0.5f * dot(n, at3(l + 6));
    float3 out = tint(f->albedo, blend(at3(l + 3), at3(l), up));
    float3 view = unit(mul(p, -1.0f));
    for (int k = 0; k < LIGHTS; k++) {
        const float *q = l + 9 + 8 * k;
        float3 d = at3(q), c = at3(q + 3);
        float cosine = dot(n, d), w = f->wrap;
        float open = q[6] > 0 ? 1 - q[6] * (1 - lit(s, b, k, add(p, mul(n, 0.002f)), q[7])) : 1.0f;
        /* light that wraps round a soft edge reaches further in red than in blue */
        float3 diffuse = v3(fmaxf((cosine + w) / (1 + w), 0.0f), fmaxf((cosine + 0.45f * w) / (1 + 0.45f * w), 0.0f),
                            fmaxf((cosine + 0.3f * w) / (1 + 0.3f * w), 0.0f));
        out = add(out, mul(tint(tint(f->albedo, diffuse), c), open));
        float3 h = unit(add(d, view));
        float g = fmaxf(dot(n, h), 0.0f);
        if (cosine > 0)
            out = add(out, mul(c, open * f->shine * powf(g, f->sharpness)));
    }
    float edge = 1 - fmaxf(dot(n, view), 0.0f);
    return add(out, mul(at3(l), 0.25f * f->shine * edge * edge * edge * edge));
}

/* The background at a pixel: a picture, darkened where something stands between a light and the surface it may show. */
DEV float3 behind(const Scene *s, int b, float x, float y) {
    const float *l = s->lighting + (size_t)b * LIGHTING, *c = s->camera + b * 3;
    float u = (x - s->width * 0.5f) / s->width, v = (y - s->height * 0.5f) / s->width;
    float3 out = texel(s, (int)l[32], (int)l[33], l[34] * u + l[35] * v + l[36], l[37] * u + l[38] * v + l[39]);
    out = tint(out, at3(l + 40));
    if (l[29] > 0) {
        float3 ray = v3((x - c[1]) / c[0], (y - c[2]) / c[0], 1.0f);
        float down = dot(at3(l + 25), ray);
        float z = fabsf(down) > 1e-4f ? l[28] / down : -1;
        if (z > 0 && z < 20) {
            float3 p = mul(ray, z);
            for (int k = 0; k < LIGHTS; k++)
                out = mul(out, 1 - l[29] * (k ? 0.5f : 1.0f) * (1 - lit(s, b, k, p, 0.003f)));
        }
    }
    return out;
}

/* One sample: colour, and what was hit. */
DEV float3 sample_colour(const Scene *s, int b, float x, float y, const Nearest *hit) {
    if (hit->triangle < 0)
        return behind(s, b, x, y);
    const Setup *t = s->setup + (size_t)b * s->triangles + hit->triangle;
    const int32_t *tri = s->triangle + 3 * hit->triangle;
    const float *p = s->position + (size_t)b * s->vertices * 3, *nv = s->normal + (size_t)b * s->vertices * 3;
    float w[3] = {t->a0 * x + t->b0 * y + t->c0, t->a1 * x + t->b1 * y + t->c1, 0}, total = 0;
    w[2] = 1 - w[0] - w[1];
    for (int k = 0; k < 3; k++)
        w[k] /= p[3 * tri[k] + 2], total += w[k];
    float3 pos = v3(0, 0, 0), n = v3(0, 0, 0), rest = v3(0, 0, 0);
    float at[4] = {0, 0, 0, 0};
    for (int k = 0; k < 3; k++) {
        float f = w[k] / total;
        const float *a = s->attribute + (size_t)tri[k] * ATTRIBUTES;
        pos = add(pos, mul(at3(p + 3 * tri[k]), f)), n = add(n, mul(at3(nv + 3 * tri[k]), f));
        rest = add(rest, mul(at3(a), f));
        for (int j = 0; j < 4; j++)
            at[j] += f * a[3 + j];
    }
    at[3] = s->attribute[(size_t)tri[0] * ATTRIBUTES + 6];
    n = unit(n);
    /* the side of the triangle that is looked at: a mirrored hand is inside out, a sleeve may be looked into */
    float3 corner = at3(p + 3 * tri[0]);
    if (dot(cross(sub(at3(p + 3 * tri[1]), corner), sub(at3(p + 3 * tri[2]), corner)), corner) > 0)
        n = mul(n, -1.0f);
    Surface f;
    const float *m = s->material + ((size_t)b * s->slots + s->slot[hit->triangle]) * MATERIAL;
    if (m[1] == 0 && m[24] + m[30] + m[31] > 0) {
        const float *const a[3] = {s->attribute + (size_t)tri[0] * ATTRIBUTES, s->attribute + (size_t)tri[1] * ATTRIBUTES,
                                   s->attribute + (size_t)tri[2] * ATTRIBUTES};
        const float3 corners[3] = {corner, at3(p + 3 * tri[1]), at3(p + 3 * tri[2])};
        n = raised(m, n, a, rest, at, corners);
    }
    surface_of(s, m, rest, at, n, &f);
    return light_on(s, b, &f, pos, f.normal);
}

DEV void write_pixel(const Scene *s, int b, int x, int y, const Nearest *hit) {
    int n = s->samples;
    float3 sum = v3(0, 0, 0);
    for (int k = 0; k < n * n; k++)
        sum = add(sum, sample_colour(s, b, x + ((k % n) + 0.5f) / n, y + ((k / n) + 0.5f) / n, hit + k));
    size_t at = ((size_t)b * s->height + y) * s->width + x;
    float gain = s->lighting[(size_t)b * LIGHTING + 30] / (n * n);
    s->colour[3 * at] = sum.x * gain, s->colour[3 * at + 1] = sum.y * gain, s->colour[3 * at + 2] = sum.z * gain;
    s->seen[at] = hit[0].triangle < 0 ? 0 : (uint8_t)(s->slot[hit[0].triangle] + 1);
    s->depth[at] = hit[0].triangle < 0 ? 1e9f : 1.0f / hit[0].q;
}

/* ---------------------------------------------------------------- what comes after the lens */
struct Sensor {
    int32_t pictures, width, height, unused;
    const float *in;     /* pictures x height x width x 3 */
    float *out;          /* the same */
    const float *setting; /* pictures x 16, see the passes */
};
DEV void clamp_at(int *x, int n) { *x = *x < 0 ? 0 : *x >= n ? n - 1 : *x; }

/* Nine looks along a line: setting 0, 1 = the step in pixels, 2 = sigma in steps (0: no blur). */
DEV void blur_pixel(const Sensor *s, int b, int x, int y) {
    const float *q = s->setting + b * 16;
    float3 sum = v3(0, 0, 0);
    float total = 0;
    for (int k = -4; k <= 4; k++) {
        float w = q[2] > 0 ? expf(-0.5f * k * k / (q[2] * q[2])) : (k == 0 ? 1.0f : 0.0f);
        if (w < 1e-3f)
            continue;
        float fx = x + k * q[0], fy = y + k * q[1];
        int ix = (int)floorf(fx), iy = (int)floorf(fy);
        float a = fx - ix, c = fy - iy;
        for (int j = 0; j < 4; j++) {
            int px = ix + (j & 1), py = iy + (j >> 1);
            float f = w * ((j & 1) ? a : 1 - a) * ((j >> 1) ? c : 1 - c);
            if (f == 0)
                continue;
            clamp_at(&px, s->width), clamp_at(&py, s->height);
            sum = add(sum, mul(at3(s->in + (((size_t)b * s->height + py) * s->width + px) * 3), f)), total += f;
        }
    }
    float *o = s->out + (((size_t)b * s->height + y) * s->width + x) * 3;
    sum = mul(sum, 1 / total);
    o[0] = sum.x, o[1] = sum.y, o[2] = sum.z;
}

/* setting 3: pixels of the picture in one of the sensor's (>= 1), 4, 5: offset. Linear light in, linear light out; what lies
 * outside of the smaller picture repeats its edge. */
DEV void shrink_pixel(const Sensor *s, int b, int x, int y) {
    const float *q = s->setting + b * 16;
    float3 sum = v3(0, 0, 0);
    int n = q[3] > 2 ? 4 : q[3] > 1.01f ? 3 : 1;
    for (int k = 0; k < n * n; k++) {
        float fx = (x + ((k % n) + 0.5f) / n) * q[3] - q[4] - 0.5f, fy = (y + ((k / n) + 0.5f) / n) * q[3] - q[5] - 0.5f;
        int ix = (int)floorf(fx + 0.5f), iy = (int)floorf(fy + 0.5f);
        clamp_at(&ix, s->width), clamp_at(&iy, s->height);
        sum = add(sum, at3(s->in + (((size_t)b * s->height + iy) * s->width + ix) * 3));
    }
    float *o = s->out + (((size_t)b * s->height + y) * s->width + x) * 3;
    o[0] = sum.x / (n * n), o[1] = sum.y / (n * n), o[2] = sum.z / (n * n);
}

/* The other way, bilinear, as a crop is cut from a picture. */
DEV void grow_pixel(const Sensor *s, int b, int x, int y) {
    const float *q = s->setting + b * 16;
    float fx = (x + 0.5f + q[4]) / q[3] - 0.5f, fy = (y + 0.5f + q[5]) / q[3] - 0.5f;
    int ix = (int)floorf(fx), iy = (int)floorf(fy);
    float a = fx - ix, c = fy - iy;
    float3 sum = v3(0, 0, 0);
    for (int j = 0; j < 4; j++) {
        int px = ix + (j & 1), py = iy + (j >> 1);
        clamp_at(&px, s->width), clamp_at(&py, s->height);
        sum = add(sum, mul(at3(s->in + (((size_t)b * s->height + py) * s->width + px) * 3),
                           ((j & 1) ? a : 1 - a) * ((j >> 1) ? c : 1 - c)));
    }
    float *o = s->out + (((size_t)b * s->height + y) * s->width + x) * 3;
    o[0] = sum.x, o[1] = sum.y, o[2] = sum.z;
}

/* ---------------------------------------------------------------- launches */
#ifdef __CUDACC__
__global__ void normals_kernel(Scene s) {
    int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v < s.vertices)
        normal_of(&s, blockIdx.y, v);
}
__global__ void setup_kernel(Scene s, int light) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t < s.triangles)
        setup_of(&s, blockIdx.y, t, light);
}
template <int N> __global__ void raster_kernel(Scene s, int light) {
    __shared__ int list[TILE * TILE];
    __shared__ int count;
    int b = blockIdx.z, x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
    int id = threadIdx.y * TILE + threadIdx.x;
    int tx = blockIdx.x * TILE, ty = blockIdx.y * TILE;
    const int16_t *bounds = s.bounds + (size_t)b * s.triangles * 4;
    const Setup *setup = s.setup + (size_t)b * s.triangles;
    Nearest hit[N * N];
    for (int k = 0; k < N * N; k++)
        hit[k].q = light < 0 ? 0.0f : -1e9f, hit[k].triangle = -1;
    for (int first = 0; first < s.triangles; first += TILE * TILE) {
        if (id == 0)
            count = 0;
        __syncthreads();
        int t = first + id;
        if (t < s.triangles) {
            short4 q = *(const short4 *)(bounds + 4 * t);
            if (q.x < tx + TILE && q.z >= tx && q.y < ty + TILE && q.w >= ty && q.z >= 0)
                list[atomicAdd(&count, 1)] = t;
        }
        __syncthreads();
        int n = count;
        for (int k = 0; k < n; k++) {
            int t1 = list[k];
            Setup u = setup[t1];
            for (int j = 0; j < N * N; j++)
                consider(&u, t1, x + ((j % N) + 0.5f) / N, y + ((j / N) + 0.5f) / N, hit + j);
        }
        __syncthreads();
    }
    if (light >= 0) {
        s.shadow[(((size_t)b * LIGHTS + light) * SHADOW + y) * SHADOW + x] = hit[0].q;
        return;
    }
    if (x < s.width && y < s.height)
        write_pixel(&s, b, x, y, hit);
}
template <int PASS> __global__ void sensor_kernel(Sensor s) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= s.width || y >= s.height)
        return;
    if (PASS == 0)
        blur_pixel(&s, blockIdx.z, x, y);
    else if (PASS == 1)
        shrink_pixel(&s, blockIdx.z, x, y);
    else
        grow_pixel(&s, blockIdx.z, x, y);
}
extern "C" int nano_render(const Scene *s, void *stream) {
    cudaStream_t q = (cudaStream_t)stream;
    dim3 tile(TILE, TILE), pictures(1, s->pictures);
    normals_kernel<<<dim3((s->vertices + 127) / 128, s->pictures), 128, 0, q>>>(*s);
    for (int light = 0; light < LIGHTS; light++) {
        setup_kernel<<<dim3((s->triangles + 127) / 128, s->pictures), 128, 0, q>>>(*s, light);
        raster_kernel<1><<<dim3(SHADOW / TILE, SHADOW / TILE, s->pictures), tile, 0, q>>>(*s, light);
    }
    setup_kernel<<<dim3((s->triangles + 127) / 128, s->pictures), 128, 0, q>>>(*s, -1);
    dim3 tiles((s->width + TILE - 1) / TILE, (s->height + TILE - 1) / TILE, s->pictures);
    if (s->samples == 2)
        raster_kernel<2><<<tiles, tile, 0, q>>>(*s, -1);
    else
        raster_kernel<1><<<tiles, tile, 0, q>>>(*s, -1);
    return (int)cudaGetLastError();
}
extern "C" int nano_sensor(const Sensor *s, int pass, void *stream) {
    cudaStream_t q = (cudaStream_t)stream;
    dim3 block(32, 8), grid((s->width + 31) / 32, (s->height + 7) / 8, s->pictures);
    if (pass == 0)
        sensor_kernel<0><<<grid, block, 0, q>>>(*s);
    else if (pass == 1)
        sensor_kernel<1><<<grid, block, 0, q>>>(*s);
    else
        sensor_kernel<2><<<grid, block, 0, q>>>(*s);
    return (int)cudaGetLastError();
}
#else
#include <stdlib.h>
/* The plain way: triangle after triangle into a buffer of nearest hits. */
static void raster(const Scene *s, int b, int light, Nearest *hits) {
    int n = light < 0 ? s->samples : 1, w = light < 0 ? s->width : SHADOW, h = light < 0 ? s->height : SHADOW;
    for (int k = 0; k < w * h * n * n; k++)
        hits[k].q = light < 0 ? 0.0f : -1e9f, hits[k].triangle = -1;
    for (int t = 0; t < s->triangles; t++) {
        const int16_t *q = s->bounds + ((size_t)b * s->triangles + t) * 4;
        for (int y = q[1]; y <= q[3] && y < h; y++)
            for (int x = q[0]; x <= q[2] && x < w; x++)
                for (int j = 0; j < n * n; j++)
                    consider(s->setup + (size_t)b * s->triangles + t, t, x + ((j % n) + 0.5f) / n, y + ((j / n) + 0.5f) / n,
                             hits + ((size_t)y * w + x) * n * n + j);
    }
}
extern "C" int nano_render(const Scene *s, void *stream) {
    (void)stream;
    int side = s->width > s->height ? s->width : s->height;
    if (side < SHADOW)
        side = SHADOW;
    Nearest *hits = (Nearest *)malloc(sizeof(Nearest) * 4 * side * side);
    if (!hits)
        return 2;
    for (int b = 0; b < s->pictures; b++) {
        for (int v = 0; v < s->vertices; v++)
            normal_of(s, b, v);
        for (int light = 0; light < LIGHTS; light++) {
            for (int t = 0; t < s->triangles; t++)
                setup_of(s, b, t, light);
            raster(s, b, light, hits);
            for (int k = 0; k < SHADOW * SHADOW; k++)
                s->shadow[((size_t)b * LIGHTS + light) * SHADOW * SHADOW + k] = hits[k].q;
        }
        for (int t = 0; t < s->triangles; t++)
            setup_of(s, b, t, -1);
        raster(s, b, -1, hits);
        for (int y = 0; y < s->height; y++)
            for (int x = 0; x < s->width; x++)
                write_pixel(s, b, x, y, hits + ((size_t)y * s->width + x) * s->samples * s->samples);
    }
    free(hits);
    return 0;
}
extern "C" int nano_sensor(const Sensor *s, int pass, void *stream) {
    (void)stream;
    for (int b = 0; b < s->pictures; b++)
        for (int y = 0; y < s->height; y++)
            for (int x = 0; x < s->width; x++)
                pass == 0 ? blur_pixel(s, b, x, y) : pass == 1 ? shrink_pixel(s, b, x, y) : grow_pixel(s, b, x, y);
    return 0;
}
#endif
