/* A loaded detector network: packed convolutions. Shared by the files that load and run it. */
#ifndef WILOR_YOLO_LOAD_H
#define WILOR_YOLO_LOAD_H

#include "arena.h"
#include "conv16.h"
#include "heap.h"
#include "yolo.h"
#include "yolo_program.h"

/* A convolution as it is kept. What those of coarse maps, nine tenths of all weights, have in half
 * floats stays so, 2 bytes a weight, and is expanded when its turn comes; batch norm's factors, with
 * which it would be half floats no more, are for the sums. Other weights are float32 with the factors
 * folded in. */
typedef struct wilor_yolo_packed {
    wilor_panel_type type; /* F16 or F32; BF16 for conv16.h */
    void *panels; /* [out / nr][size · size][in][nr]; BF16: [out / 32] of conv16.h's b */
    float *scale; /* of the sums, padded to whole panels; NULL: none */
    float *bias;  /* padded, too */
    bool silu;
    bool winograd;
    bool coarse; /* computed on maps of stride 16 or 32 */
    /* BF16: pieces of an output's inputs that lie behind each other, and steps of 32 numbers of each. */
    int pieces, steps;
    bool high_low; /* each piece twice: the weights' high parts, then their low ones */
} wilor_yolo_packed;

enum { WILOR_WINOGRAD_PLANES = 16 };

/* How many pieces of `size` hold `count`. */
static inline int wilor_yolo_parts(int count, int size) { return (count + size - 1) / size; }

/* Weights of an output. */
static inline size_t wilor_yolo_depth(const wilor_yolo_conv *c) {
    return (size_t)c->size * (size_t)c->size * (size_t)c->in;
}

struct wilor_yolo {
    const wilor_kernels *kernels;
    const wilor_conv16 *conv16; /* NULL: float32 */
    wilor_yolo_program program;
    wilor_yolo_packed convs[WILOR_YOLO_CONVS];
    wilor_arena arena;
    wilor_pages pages;
    const wilor_yolo_card *card; /* NULL: the kernel table computes, and convs are set */
    void *net;                   /* the card's */
    wilor_dtype card_dtype;
};

/* bfloat16: how a convolution that reads a map of so many channels is packed; its numbers; packing it from
 * weights with all factors in them, in the table's groups. */
void wilor_yolo_shape_bf16(wilor_yolo_packed *w, const wilor_yolo_conv *c, int map_channels);
size_t wilor_yolo_numbers_bf16(const wilor_yolo_packed *w, const wilor_yolo_conv *c);
void wilor_yolo_pack_bf16(const wilor_yolo_packed *w, const wilor_yolo_conv *c,
                          const float *weight, int group, wilor_threads *pool);

/* Floats of what the kernels read of a convolution: [out / nr][size · size][in][nr], of a Winograd
 * one [out / nr][16][in][nr] of G g Gᵀ. 0: that is what is kept. */
size_t wilor_yolo_expanded(const wilor_yolo *y, int conv);
/* Making them: units of one panel and some of its depth, each at its place in to. */
int wilor_yolo_expand_units(const wilor_yolo *y, int conv);
void wilor_yolo_expand(const wilor_yolo *y, int conv, int unit, float *to);

#endif
