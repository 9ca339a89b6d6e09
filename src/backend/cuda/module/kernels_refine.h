/* RefineNet, in float32: where vertices fall, maps of a corner of the patches or of all, samples, the
 * decoders. A warp is an output channel of up to eight pixels, so that a row of weights is read once for
 * all of them. */
#ifndef WILOR_CUDA_KERNELS_REFINE_H
#define WILOR_CUDA_KERNELS_REFINE_H

#include "kernels_hand.h"

namespace wilor_cuda {

enum { PIXELS_A_WARP = 8, REFINE_THREADS = 128, SAMPLE_WARPS = 8 };

/* Where vertices fall on the maps of side 64, 32, 16, and what corner of the patches they need. A thread is
 * a vertex. xy: hands × 3 × vertices × 2. */
__global__ void place_kernel(const float *verts, const float *cam, int vertices, float *xy,
                             int *corner, int first) {
    int v = (int)blockIdx.x * HAND_THREADS + (int)threadIdx.x, hand = first + (int)blockIdx.y;
    if (v >= vertices)
        return;
    const float *p = verts + ((size_t)hand * (size_t)vertices + (size_t)v) * 3;
    int need = CORNER;
    for (int i = 0; i < MAPS; i++) {
        int side = 64 >> i;
        float *to = xy + (((size_t)hand * MAPS + (size_t)i) * (size_t)vertices + (size_t)v) * 2;
        project(p, cam + hand * CAM, (float)side, to);
        for (int k = 0; k < 2; k++) {
            int n = corner_needed(to[k], side);
            need = n > need ? n : need;
        }
    }
    if (need > CORNER)
        atomicMax(corner + hand, need);
}

/* sum[i] += dot(rows[i], w); rows may be NULL. Lanes hold parts of the sums. */
__device__ __forceinline__ void add_dots(const float *const *rows, const float *w, int k,
                                         int lane, float *sum) {
    for (int i = lane; i < k; i += 32) {
        float by = w[i];
#pragma unroll
        for (int r = 0; r < PIXELS_A_WARP; r++)
            if (rows[r])
                sum[r] = fmaf(rows[r][i], by, sum[r]);
    }
}

struct coarse_args {
    const float *tokens; /* hands × each × d */
    int d, each, pixels, hands;
    layer first; /* d/2 × d */
    float *out;  /* hands × pixels × d/2 */
};

/* Grid: outputs / 4, hands · pixels / 8. */
__global__ void coarse_kernel(coarse_args a) {
    int o = (int)blockIdx.x * (REFINE_THREADS / 32) + (int)threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, from = (int)blockIdx.y * PIXELS_A_WARP, outputs = a.d / 2;
    if (o >= outputs)
        return;
    const float *rows[PIXELS_A_WARP];
    float sum[PIXELS_A_WARP];
#pragma unroll
    for (int r = 0; r < PIXELS_A_WARP; r++) {
        int at = from + r;
        sum[r] = 0;
        rows[r] = nullptr;
        if (at < a.hands * a.pixels)
            rows[r] = a.tokens + ((size_t)(at / a.pixels) * (size_t)a.each + LEAD +
                                  (size_t)(at % a.pixels)) *
                                     (size_t)a.d;
    }
    add_dots(rows, a.first.w + (size_t)o * (size_t)a.d, a.d, lane, sum);
#pragma unroll
    for (int r = 0; r < PIXELS_A_WARP; r++) {
        float whole = warp_sum(sum[r]);
        if (lane == 0 && rows[r])
            a.out[(size_t)(from + r) * (size_t)outputs + (size_t)o] = whole + a.first.b[o];
    }
}

/* A transposed convolution (kernel 4, stride 2, padding 1), batch norm, ReLU. */
struct upsample_args {
    const float *in; /* hands × rows × cols × inputs */
    float *out;      /* hands × out_rows × out_cols × outputs */
    const float *w;  /* parity × outputs × (4 taps × inputs) */
    const float *scale, *shift;
    int rows, cols, inputs, out_rows, out_cols, outputs, hands;
};

/* Grid: outputs / 4, the most pixels of a parity / 8, parities. Output (y, x) of a parity takes inputs y and
 * y − 1, or y + 1 and y, y being half the output's row: refine_load.c. */
__global__ void upsample_kernel(upsample_args a) {
    int o = (int)blockIdx.x * (REFINE_THREADS / 32) + (int)threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, from = (int)blockIdx.y * PIXELS_A_WARP;
    int py = (int)blockIdx.z / 2, px = (int)blockIdx.z % 2;
    int high = (a.out_rows + 1 - py) / 2, wide = (a.out_cols + 1 - px) / 2;
    int count = high * wide;
    if (o >= a.outputs || from >= a.hands * count)
        return;
    float sum[PIXELS_A_WARP] = {0};
    const float *w =
        a.w + ((size_t)blockIdx.z * (size_t)a.outputs + (size_t)o) * 4 * (size_t)a.inputs;
    for (int tap = 0; tap < 4; tap++) {
        const float *rows[PIXELS_A_WARP];
        for (int r = 0; r < PIXELS_A_WARP; r++) {
            int at = from + r, hand = at / count, pixel = at % count;
            int y = pixel / wide + py - tap / 2, x = pixel % wide + px - tap % 2;
            rows[r] = nullptr;
            if (at < a.hands * count && y >= 0 && y < a.rows && x >= 0 && x < a.cols)
                rows[r] = a.in + (((size_t)hand * (size_t)a.rows + (size_t)y) * (size_t)a.cols +
                                  (size_t)x) *
                                     (size_t)a.inputs;
        }
        add_dots(rows, w + (size_t)tap * (size_t)a.inputs, a.inputs, lane, sum);
    }
#pragma unroll
    for (int r = 0; r < PIXELS_A_WARP; r++) {
        int at = from + r, hand = at / count, pixel = at % count;
        float v = warp_sum(sum[r]) * a.scale[o] + a.shift[o];
        size_t y = (size_t)(pixel / wide * 2 + py), x = (size_t)(pixel % wide * 2 + px);
        if (lane == 0 && at < a.hands * count)
            a.out[(((size_t)hand * (size_t)a.out_rows + y) * (size_t)a.out_cols + x) *
                      (size_t)a.outputs +
                  (size_t)o] = v < 0.0f ? 0.0f : v; /* NaN stays */
    }
}

struct sample_args {
    const float *map[MAPS]; /* fine, middle, coarse */
    int rows[MAPS], cols[MAPS], channels[MAPS];
    const float *xy; /* hands × 3 × vertices × 2 */
    int vertices, first;
    float *features; /* hands × all channels */
};

__device__ __forceinline__ float larger(float a, float b) { return b > a || b != b ? b : a; }

/* The maximum over the vertices; a lane is a channel, warps share the vertices. Grid: all channels / 32,
 * hands. */
__global__ void sample_kernel(sample_args a) {
    __shared__ float part[SAMPLE_WARPS][32];
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, hand = (int)blockIdx.y;
    int all = a.channels[0] + a.channels[1] + a.channels[2];
    int at = (int)blockIdx.x * 32 + lane, channel = at, map = 0;
    while (map < MAPS - 1 && channel >= a.channels[map])
        channel -= a.channels[map++];
    float top = -INFINITY;
    if (at < all) {
        const float *xy =
            a.xy + ((size_t)(a.first + hand) * MAPS + (size_t)map) * (size_t)a.vertices * 2;
        const float *data = a.map[map] + (size_t)hand * (size_t)(a.rows[map] * a.cols[map]) *
                                             (size_t)a.channels[map];
        for (int v = warp; v < a.vertices; v += SAMPLE_WARPS)
            top = larger(top, sample(data, a.rows[map], a.cols[map], a.channels[map], channel,
                                     xy + 2 * v));
    }
    part[warp][lane] = top;
    __syncthreads();
    if (warp > 0 || at >= all)
        return;
    for (int i = 1; i < SAMPLE_WARPS; i++)
        top = larger(top, part[i][lane]);
    a.features[(size_t)hand * (size_t)all + (size_t)at] = top;
}

struct correct_args {
    const float *features; /* hands × k */
    int k, hands, first;
    layer pose, shape, cam;
    float *pose6d, *betas, *cam_out;
};

/* The decoders' outputs are added. Grid: 109 / 4, hands / 8. */
__global__ void correct_kernel(correct_args a) {
    int o = (int)blockIdx.x * (REFINE_THREADS / 32) + (int)threadIdx.x / 32;
    int lane = (int)threadIdx.x % 32, from = (int)blockIdx.y * PIXELS_A_WARP;
    if (o >= READ_OUTPUTS)
        return;
    int kind = o < POSE_NUMBERS ? 0 : o < POSE_NUMBERS + BETAS ? 1 : 2;
    int row = kind == 0 ? o : kind == 1 ? o - POSE_NUMBERS : o - POSE_NUMBERS - BETAS;
    int wide = kind == 0 ? (int)POSE_NUMBERS : kind == 1 ? (int)BETAS : (int)CAM;
    const layer *l = kind == 0 ? &a.pose : kind == 1 ? &a.shape : &a.cam;
    float *out = kind == 0 ? a.pose6d : kind == 1 ? a.betas : a.cam_out;
    const float *rows[PIXELS_A_WARP];
    float sum[PIXELS_A_WARP] = {0};
#pragma unroll
    for (int r = 0; r < PIXELS_A_WARP; r++)
        rows[r] = from + r < a.hands ? a.features + (size_t)(from + r) * (size_t)a.k : nullptr;
    add_dots(rows, l->w + (size_t)row * (size_t)a.k, a.k, lane, sum);
#pragma unroll
    for (int r = 0; r < PIXELS_A_WARP; r++) {
        float whole = warp_sum(sum[r]);
        if (lane == 0 && rows[r])
            out[(a.first + from + r) * wide + row] += whole + l->b[row];
    }
}

} // namespace wilor_cuda

#endif
