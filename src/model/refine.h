/* RefineNet: corrects pose, shape and camera with image features sampled at the projected
 * vertices. Source: WiLoR-mini's models/wilor/heads/refinement_net.py.
 *
 * The projection has no offset to the map's centre, so nearly always every sample falls on a
 * map's first pixels, and a corner of the patches is enough. How large a corner,
 * wilor_refine_corner says: the first p × p patches give exactly the first p pixels a side of
 * the coarse map, 2p - 1 of the middle one and 4p - 3 of the fine one. */
#ifndef WILOR_REFINE_H
#define WILOR_REFINE_H

#include "linear.h"
#include "vit.h"

enum { WILOR_MAPS = 3, WILOR_PARITIES = 4, WILOR_CORNER_LEAST = 2 };

/* A transposed convolution (kernel 4, stride 2, padding 1) with batch norm and ReLU. An output
 * pixel takes 2 × 2 input pixels by weights that depend on its row's and column's parity: four
 * GEMMs. */
typedef struct wilor_upsample {
    wilor_linear
        parity[WILOR_PARITIES]; /* [row parity · 2 + column parity]: inputs (tap, channel) */
    const float *scale, *shift; /* batch norm, per output channel */
    const float *gamma,
        *beta;           /* what it learned, without its statistics: for wilor-mlx's way */
    int inputs, outputs; /* channels */
} wilor_upsample;

typedef struct wilor_refine {
    const wilor_kernels *kernels;
    int width;
    wilor_linear first;          /* D -> D/2, no ReLU: the coarse map */
    wilor_upsample middle;       /* D/2 -> D/4: the middle map */
    wilor_upsample fine0, fine1; /* D/2 -> D/4 -> D/8: the fine map */
    wilor_linear dec_pose, dec_shape, dec_cam;
    int features; /* D/8 + D/4 + D/2 */
} wilor_refine;

#define WILOR_REFINE_NORM_EPS 1e-5f /* of its batch norms */

/* The row of output `output` in a parity's matrix, 4 · inputs numbers (tap, channel), of a transposed
 * convolution's weights (inputs, outputs, 4, 4). */
void wilor_refine_regroup(const float *weights, int inputs, int outputs, int parity, int output,
                          float *dst);

wilor_status wilor_refine_load(wilor_refine *r, wilor_loader *l, int width);

typedef struct wilor_map {
    float *data; /* rows × cols × channels */
    int rows, cols, channels;
    int side; /* height of the whole map: 16, 32 or 64 */
} wilor_map;

/* wilor-mlx 0.3.1 differs in two things. It leaves its batch norms in training mode: they take the
 * mean and biased variance of the hands in work, so all of these need their maps at once. And a
 * neighbour outside the map is the nearest pixel inside, not zero. */
typedef struct wilor_refine_work {
    bool mlx;
    int hands;                   /* whose maps are kept: 1, with mlx a batch */
    float *all_maps[WILOR_MAPS]; /* hands × pixels × channels */
    float *all_half;
    wilor_map map[WILOR_MAPS]; /* of the hand in work: fine, middle, coarse: upstream's order */
    float *half;               /* between fine0 and fine1 */
    float *plane;              /* one parity's pixels of a map */
    float *xy;                 /* maps × vertices × 2: where the vertices fall, pixels */
    float *weights;            /* vertices × 4, of the map in work */
    int32_t *corner;           /* vertices × 4: offsets of neighbours, -1 outside */
    float *features;           /* wilor_refine.features */
    float *packed;             /* a GEMM's input */
    float *scratch;            /* threads × scratch_floats: rows before packing */
    size_t scratch_floats;
    float *tiles;
    size_t tile_stride;
    int vertices;
} wilor_refine_work;

/* packed, scratch and tiles are lent by the backbone's workspace, which is idle by then: at
 * least wilor_refine_packed and wilor_refine_scratch floats (per thread). */
void wilor_refine_work_push(wilor_refine_work *w, const wilor_refine *r, int vertices, bool mlx,
                            int batch, wilor_arena *arena);
size_t wilor_refine_packed(const wilor_refine *r);
size_t wilor_refine_scratch(const wilor_refine *r);

/* Project V vertices (V × 3) with the weak perspective cam onto the three maps: w->xy. */
void wilor_refine_project(wilor_refine_work *w, const float *verts, const float *cam);

/* How many patch rows (and columns, where there are so many) the projected points need: 2 … 16.
 * NaN and infinity ask for the whole map. */
int wilor_refine_corner(const wilor_refine_work *w);

/* Feature maps from patch_rows × patch_cols patch tokens (ld apart, row by row): the whole grid
 * or its corner. */
void wilor_refine_maps(const wilor_refine *r, wilor_refine_work *w, const float *patches,
                       size_t ld, int patch_rows, int patch_cols, wilor_threads *pool);

/* The same in wilor-mlx's way, whole maps only. First for each hand, below w->hands, the coarse
 * map and the next ones before their norms; then for all n hands what statistics they share. Then
 * choose a hand to sample. */
void wilor_refine_maps_begin(const wilor_refine *r, wilor_refine_work *w, int hand,
                             const float *patches, size_t ld, wilor_threads *pool);
void wilor_refine_maps_end(const wilor_refine *r, wilor_refine_work *w, int n,
                           wilor_threads *pool);
void wilor_refine_choose(wilor_refine_work *w, int hand);

/* Sample the maps at w->xy, take the maximum over the vertices: w->features. */
void wilor_refine_sample(wilor_refine_work *w, wilor_threads *pool);

/* Add the decoders' outputs of w->features. */
void wilor_refine_decode(const wilor_refine *r, wilor_refine_work *w, float *pose6d,
                         float *betas, float *cam, wilor_threads *pool);

#endif
