/* Weights of bfloat16 convolutions as conv16.h's tiles. */
#include "yolo_load.h"

#include <string.h>

enum {
    TILE = WILOR_CONV16_TILE,
    RUN = WILOR_CONV16_RUN,
    SIDE = WILOR_CONV16_SIDE,
    DEPTH = WILOR_CONV16_DEPTH
};

/* Numbers of a piece: of one pixel, or of the three of a row when nothing lies between them. */
static int piece_of(const wilor_yolo_packed *w, const wilor_yolo_conv *c) {
    int pieces = w->high_low ? w->pieces / 2 : w->pieces;
    return c->size * c->size * c->in / pieces;
}

void wilor_yolo_shape_bf16(wilor_yolo_packed *w, const wilor_yolo_conv *c, int map_channels) {
    w->type = WILOR_PANEL_BF16;
    w->pieces = map_channels == c->in ? c->size : c->size * c->size;
    w->high_low = c->plain;
    w->pieces *= w->high_low ? 2 : 1;
    w->steps = wilor_yolo_parts(piece_of(w, c), DEPTH);
}

static size_t tile_numbers(const wilor_yolo_packed *w) {
    return (size_t)w->pieces * (size_t)w->steps * TILE;
}

size_t wilor_yolo_numbers_bf16(const wilor_yolo_packed *w, const wilor_yolo_conv *c) {
    return (size_t)wilor_yolo_parts(c->out, RUN) * tile_numbers(w);
}

typedef struct pack_job {
    const wilor_yolo_packed *w;
    const wilor_yolo_conv *conv;
    const float *weight;
    int group; /* conv16.h's */
} pack_job;

/* n numbers of one output; low: what is left of them when they have been narrowed once. */
static void narrow(uint16_t *to, const float *x, int n, bool low) {
    if (low)
        for (int k = 0; k < n; k++)
            to[k] = wilor_conv16_narrow(x[k] - wilor_conv16_widen(wilor_conv16_narrow(x[k])));
    else
        for (int k = 0; k < n; k++)
            to[k] = wilor_conv16_narrow(x[k]);
}

/* A step of a tile: outputs o … , numbers i … of a piece. */
static void pack_tile(const pack_job *j, int piece, int first_output, int first, uint16_t *to) {
    const size_t group = (size_t)j->group, depth = wilor_yolo_depth(j->conv);
    int length = piece_of(j->w, j->conv), whole = (int)depth / length;
    int n = length - first < DEPTH ? length - first : DEPTH;
    bool low = j->w->high_low && piece >= j->w->pieces / 2;
    const float *from = j->weight + (size_t)(piece % whole) * (size_t)length + first;
    for (int c = 0; c < RUN && first_output + c < j->conv->out; c++) {
        uint16_t row[DEPTH] = {0};
        narrow(row, from + (size_t)(first_output + c) * depth, n, low);
        for (size_t k = 0; k < (size_t)n; k += group) {
            uint16_t *at = to + k * RUN + group * (size_t)c;
            if (group == 2)
                memcpy(at, row + k, 2 * sizeof *at); /* a length that is known: one move */
            else
                memcpy(at, row + k, group * sizeof *at);
        }
    }
}

/* A panel of 32 outputs; the last one may have a single tile. Fresh pages are zero, so is all padding. */
static void pack_unit(void *context, int unit, int thread) {
    const pack_job *j = context;
    const wilor_yolo_packed *w = j->w;
    int left = j->conv->out - unit * SIDE, tiles = left > RUN ? 2 : 1;
    uint16_t *to = (uint16_t *)w->panels + (size_t)unit * 2 * tile_numbers(w);
    (void)thread;
    for (int p = 0; p < w->pieces; p++)
        for (int s = 0; s < w->steps; s++)
            for (int t = 0; t < tiles; t++, to += TILE)
                pack_tile(j, p, unit * SIDE + t * RUN, s * DEPTH, to);
}

void wilor_yolo_pack_bf16(const wilor_yolo_packed *w, const wilor_yolo_conv *c,
                          const float *weight, int group, wilor_threads *pool) {
    pack_job j = {w, c, weight, group};
    wilor_threads_run(pool, pack_unit, &j, wilor_yolo_parts(c->out, SIDE));
}
