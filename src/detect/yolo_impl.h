/* A detector's working memory, shared by the files that run it: yolo_run.c (phases), yolo_maps.c (memory),
 * yolo_conv_f32.c and yolo_conv_bf16.c (convolutions), yolo_head.c (what comes out). */
#ifndef WILOR_YOLO_IMPL_H
#define WILOR_YOLO_IMPL_H

#include "yolo_load.h"

#include <string.h>

enum { WILOR_YOLO_TAPS = 9 };

/* A map in memory. */
typedef struct wilor_yolo_area {
    char *data; /* channel 0 of pixel (0, 0) */
    int bytes;  /* of a number: 4, float32; 2, bfloat16 */
    int width, height, pitch, channels;
} wilor_yolo_area;

static inline void *wilor_yolo_at(const wilor_yolo_area *m, ptrdiff_t pixel, int channel) {
    return m->data + (pixel * m->channels + channel) * m->bytes;
}

static inline float *wilor_yolo_f32(const wilor_yolo_area *m, ptrdiff_t pixel, int channel) {
    return wilor_yolo_at(m, pixel, channel);
}

static inline uint16_t *wilor_yolo_bf16(const wilor_yolo_area *m, ptrdiff_t pixel,
                                        int channel) {
    return wilor_yolo_at(m, pixel, channel);
}

/* Memory that is in use from one phase to another: a map, or the weights that a phase expands. */
typedef struct wilor_yolo_piece {
    size_t bytes, at;
    int first, last;
} wilor_yolo_piece;

enum { WILOR_YOLO_PIECES = WILOR_YOLO_MAPS + WILOR_YOLO_STEPS };

typedef struct wilor_yolo_layout {
    wilor_yolo_area maps[WILOR_YOLO_MAPS];
    wilor_yolo_piece pieces[WILOR_YOLO_PIECES]; /* the maps', then one a phase */
    size_t bytes;
} wilor_yolo_layout;

/* A step, cut in units for an input's size. */
typedef struct wilor_yolo_job {
    const wilor_yolo_step *step;
    int first;            /* unit of the phase */
    int units;            /* chunks · groups of a convolution */
    const float *weights; /* float32: panels as the kernels read them */
    int expanded;         /* of them are made before the phase */
    int tiles, chunk;     /* of pixels; tiles (bfloat16: pairs of them) a unit */
    int panels, group;    /* of columns; panels a unit */
    int chunks, groups;
    bool panel_major; /* neighbouring units share the panel, not the pixels */
    bool flat;        /* bfloat16: tiles run on over the ends of rows */
    ptrdiff_t offset[2 * WILOR_YOLO_TAPS];
} wilor_yolo_job;

typedef struct wilor_yolo_phase {
    int first, count;    /* steps */
    int units, expanded; /* of all of them */
} wilor_yolo_phase;

struct wilor_yolo_run {
    const wilor_yolo *yolo;
    wilor_threads *pool;
    void *card_run; /* the card's; then only width, height and the heads' maps are used */
    wilor_yolo_chosen chosen;
    bool keep; /* maps do not share memory */
    int width, height;
    wilor_pages map_pages, scratch_pages;
    wilor_yolo_layout layout;
    size_t scratch_stride; /* bytes a thread */
    float divided[256];    /* v / 255 */
    wilor_yolo_job jobs[WILOR_YOLO_STEPS];
    wilor_yolo_phase phases[WILOR_YOLO_STEPS];
    const wilor_yolo_phase *now;
    wilor_yolo_time *times;            /* NULL: nobody asks */
    float *expanded[WILOR_YOLO_CONVS]; /* NULL: the weights are read where they are kept */
};

/* What no anchor that scores above conf is below: σ is monotonic, and clearly below the threshold's logit needs no
 * exponential. */
float wilor_yolo_lowest_logit(float conf);

/* Sizes and places of everything for an input. keep: as in wilor_yolo_open. */
void wilor_yolo_lay_out(wilor_yolo_layout *l, const wilor_yolo *yolo, bool keep, int width,
                        int height);
/* Zeros above and below a map, in columns channel … channel + n - 1. */
void wilor_yolo_clear_edges(const wilor_yolo_area *m, int channel, int n, bool top,
                            bool bottom);
/* The same wherever a convolution's outputs column … column + cols - 1 go. The zero at the end of each row
 * is written with the row. */
void wilor_yolo_clear_around(const wilor_yolo_run *run, const wilor_yolo_step *s, int column,
                             int cols, bool top, bool bottom);
/* Behind the last pixel of a row. */
void wilor_yolo_end_row(const wilor_yolo_area *m, ptrdiff_t last_pixel, int channel, int n);
/* What a step has written, count pixels of a row of its map, to its place of twice the size. */
void wilor_yolo_repeat(const wilor_yolo_run *run, const wilor_yolo_step *s, ptrdiff_t pixel,
                       int count, int column, int cols);

/* Per arithmetic: cut a convolution in units, of which about `wanted` do for all threads; run one; bytes
 * of scratch that a unit needs. */
void wilor_yolo_cut_f32(const wilor_yolo_run *run, wilor_yolo_job *j, int wanted);
void wilor_yolo_conv_f32(const wilor_yolo_run *run, const wilor_yolo_job *j, int unit,
                         float *scratch);
size_t wilor_yolo_scratch_f32(const wilor_yolo *y, const wilor_yolo_step *s);
void wilor_yolo_cut_bf16(const wilor_yolo_run *run, wilor_yolo_job *j, int wanted);
void wilor_yolo_conv_bf16(const wilor_yolo_run *run, const wilor_yolo_job *j, int unit,
                          float *scratch);

#endif
